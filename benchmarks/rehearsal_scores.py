"""Readout and learned policies held against simulated shops' truth.

``python -m benchmarks.rehearsal_scores PART [SEEDS [FIRST]]``: PART is ``coverage`` (intervals, false claims) or
``policies`` (what the learned policy brings beside others). FIRST is the first seed: 1, or 1001 of policies, since
simulator and learners were chosen while looking at seeds 1 to 40. Rewrites results/rehearsal_PART.json; policies
are kept by seed in var/rehearsal_scores, where a run that was cut short goes on: empty it after a change of the code.
All figures are of simulated shops.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.measured import record
from holdfast import proving
from holdfast.adapters.yaml_files import load
from holdfast.simulator.config import ShopConfig
from tests.fakes.policy_proving import Oracle, Policies, Taught, churn_cut, learned_policies, oracles, share_of, taught

HISTORY_DAYS, SHOPS, CUSTOMERS = 112, 2, 4096
POLICY_CUSTOMERS, CAMPAIGNS = 16_384, 12
SHARES = (0.3, 0.5)
LEARNERS = ("s_logistic", "pooled")
KEPT = Path(__file__).parents[1] / "var" / "rehearsal_scores"
ORACLE_SEEDS = range(1_000_001, 1_000_013)
EVERY = 50
"""A row of results after so many seeds: each sums up all seeds up to it."""


def config() -> ShopConfig:
    return load(Path(__file__).parents[1] / "config" / "simulator.yaml", ShopConfig)


def rounded(told: Any) -> Any:
    return {key: round(value, 4) if isinstance(value, float) else value for key, value in asdict(told).items()}


def coverage(seeds: range) -> Iterator[Mapping[str, Any]]:
    done: list[proving.Trialled] = []
    for count, seed in enumerate(seeds, 1):
        done += proving.experiments(config(), seed, SHOPS, CUSTOMERS, HISTORY_DAYS)
        if count % EVERY == 0:
            found = {name: rounded(share) for name, share in proving.coverage(done).items()}
            yield {"simulated": True, "seeds": count, "first_seed": seeds[0], "customers_each": CUSTOMERS, **found}


def after_campaigns(seed: int) -> Taught:
    return taught(config(), seed, customers=POLICY_CUSTOMERS, history_days=HISTORY_DAYS, campaigns=CAMPAIGNS)


@cache
def knowing() -> Mapping[str, Oracle]:
    return oracles(after_campaigns(seed).watched for seed in ORACLE_SEEDS)


def weighed(seed: int) -> list[Policies]:
    """The seed's policies at each share, from ``KEPT`` if an earlier run has weighed them."""
    path = KEPT / f"{seed}.json"
    if not path.exists():
        found = learned_policies(after_campaigns(seed), shares=SHARES, learners=LEARNERS, knowing=knowing())
        aside = path.with_suffix(".part")
        aside.parent.mkdir(parents=True, exist_ok=True)
        aside.write_text(json.dumps([asdict(one) for one in found]))
        aside.rename(path)
    return [Policies(**one) for one in json.loads(path.read_text())]


def policies(seeds: range) -> Iterator[Mapping[str, Any]]:
    done = [weighed(seed) for seed in seeds]
    for at_share in zip(*done, strict=True):
        yield {"simulated": True, "seeds": len(done), "first_seed": seeds[0], **summed_up(at_share)}


def summed_up(done: Sequence[Policies]) -> Mapping[str, Any]:
    names = [name for name in done[0].net if name != "nobody"]
    return {
        "customers": POLICY_CUSTOMERS,
        "campaigns": CAMPAIGNS,
        "treated_share": done[0].share,
        "audience": round(sum(each.audience for each in done) / len(done)),
        "money_a_campaign": {name: round(sum(each.net[name] for each in done) / len(done)) for name in names},
        "share_of_oracle": {name: rounded(share_of(done, name, "oracle")) for name in names},
        "share_of_seeing_oracle": {name: rounded(share_of(done, name, "seeing oracle")) for name in names},
        "seeds_below_random": {name: sum(each.net[name] < each.net["random"] for each in done) for name in names},
        "churn_of_wavering_persuadables_cut": {name: rounded(churn_cut(done, name, wavering=True)) for name in names},
        "churn_of_all_persuadables_cut": {name: rounded(churn_cut(done, name, wavering=False)) for name in names},
    }


if __name__ == "__main__":
    part, *numbers = sys.argv[1:]
    seeds, first = [*map(int, numbers), *(200, {"coverage": 1, "policies": 1001}[part])[len(numbers) :]]
    done = {"coverage": coverage, "policies": policies}[part](range(first, first + seeds))
    record(f"rehearsal_{part}", done, ["numpy", "tea-tasting"])
