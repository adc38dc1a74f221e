"""Readout and learned policies against the truth: in short what ``benchmarks/rehearsal_scores.py`` measures."""

from pathlib import Path

import pytest

from holdfast import proving
from holdfast.adapters.yaml_files import load
from holdfast.simulator.config import ShopConfig


@pytest.fixture(scope="module")
def config(project: Path) -> ShopConfig:
    return load(project / "config" / "simulator.yaml", ShopConfig)


def trialled(config: ShopConfig, seeds: range) -> dict[str, proving.Share]:
    return proving.coverage([one for seed in seeds for one in proving.experiments(config, seed, 2, 4096, 84)])


def test_intervals_cover_the_truth_and_nothing_is_claimed_where_there_is_none(config: ShopConfig) -> None:
    """Of 12 experiments at 95 %, fewer than 9 cover, or more than 2 falsely claim, once in a thousand times or less."""
    found = trialled(config, range(1, 7))
    assert found["retained"].cases == 12
    assert found["retained"].value >= 9 / 12
    assert found["net"].value >= 9 / 12
    assert found["false claims, confidence sequence"].value <= 2 / 12


def test_a_learned_policy_brings_more_than_chance_and_less_than_knowing(config: ShopConfig) -> None:
    oracles = {"oracle": proving.Oracle.of(config, [1_000_001], 30_000, 140, seeing=False)}
    done = [
        proving.learned_policies(
            config,
            seed,
            customers=8_192,
            history_days=84,
            campaigns=4,
            share=0.3,
            learners=["s_logistic"],
            oracles=oracles,
        )
        for seed in (1, 2)
    ]
    net = {name: sum(one.net[name] for one in done) for name in done[0].net}
    assert net["nobody"] == 0
    assert net["random"] < net["s_logistic"] < net["oracle"]
    for wavering in (True, False):
        cut = {name: proving.churn_cut(done, name, wavering=wavering).value for name in ("s_logistic", "oracle")}
        assert 0 < cut["s_logistic"] < cut["oracle"]


@pytest.mark.full
def test_coverage_over_two_hundred_seeds(config: ShopConfig) -> None:
    found = trialled(config, range(1, 201))
    assert found["retained"].high >= 0.95 >= found["retained"].low
    assert found["net"].high >= 0.95 >= found["net"].low
    assert found["false claims, confidence sequence"].value <= 0.05
    assert found["false claims, plain interval looked at daily"].value > 0.1, "why the sequence is needed"
