"""A model made again from its record, after the lake and the rules have gone on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from holdfast.pipelines.rebuild import Rebuild
from tests.fakes.promoting import Bench
from tests.fakes.registry import FakeRegistry
from tests.fakes.scratch import FakeScratch
from tests.fakes.small_shop import shop


@pytest.fixture(scope="module")
def bench() -> Bench:
    """A shop with a champion whose lake has since got another order of every customer, and other lines."""
    bench = Bench(shop())
    bench.crown()
    orders, lines = bench.lake.read("orders"), bench.lake.read("order_lines")
    more = orders.assign(order_id="again-" + orders["order_id"], batch="later")
    bench.lake.append("orders", more, ["later"])
    bench.lake.append("order_lines", lines.assign(order_id="again-" + lines["order_id"], batch="later"), ["later"])
    return bench


def rebuild(bench: Bench, registry: FakeRegistry) -> Rebuild:
    return Rebuild(bench.lake, registry, FakeScratch(), Path("no searches"))


def test_it_is_the_same_to_the_last_byte(bench: Bench) -> None:
    made = rebuild(bench, bench.registry).again(bench.registry.versions["1"])
    assert (made.identical, made.difference, made.other_code) == (True, 0.0, False)
    assert made.rows > 0


def test_other_data_are_told_by_how_far_predictions_differ(bench: Bench) -> None:
    registry = FakeRegistry()
    vars(registry).update(vars(bench.registry))
    [run] = [run for run in registry.runs.values() if run.candidate == "logistic"]
    now = {name: bench.lake.version(name) for name in run.lake_versions}
    registry.runs = {name: replace(one, lake_versions=now) for name, one in registry.runs.items()}
    made = rebuild(bench, registry).again(registry.versions["1"])
    assert not made.identical
    assert made.difference > 0


def test_other_feature_code_is_told(bench: Bench) -> None:
    registry = FakeRegistry()
    vars(registry).update(vars(bench.registry) | {"feature_code": "of another release"})
    assert rebuild(bench, registry).again(registry.versions["1"]).other_code
