"""The readout: what is claimed, what is refused, and how often its intervals hold the truth."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import TypeAdapter

from holdfast.effect.estimate import compare
from holdfast.effect.guards import Level
from holdfast.effect.readout import ADJUSTED_BY, ALL_ARMS, Readout, read_out
from holdfast.effect.trial import Trial
from tests.fakes.trials import CUTOFF, NOBODY, simulated, trial

MATURE = CUTOFF + timedelta(days=28)


def read(of: Trial, results: pd.DataFrame, complete_to: date = MATURE, **changes: Any) -> Readout:
    given = {"complete_to": complete_to, "currency": "EUR", "elsewhere": NOBODY} | changes
    return read_out(of, results, **given)


def counted(control: tuple[int, int], *treated: tuple[int, int], propensity: float | None = None) -> Any:
    """A trial by hand: (customers, retained) of the control and of each arm a, b, …; who is retained brings 10."""
    groups = {"control": control} | {chr(97 + i): one for i, one in enumerate(treated)}
    total = sum(size for size, _ in groups.values())
    table = pd.concat(
        [
            pd.DataFrame({"arm": arm, "retained": (np.arange(size) < kept).astype(float)}).assign(
                propensity=size / total if propensity is None else propensity
            )
            for arm, (size, kept) in groups.items()
        ],
        ignore_index=True,
    )
    table["customer_id"] = [f"{i:05}" for i in range(total)]
    of = trial(table, margin=0.5, cost=0.25)
    outcomes = table[["customer_id", "retained"]].assign(
        orders=table["retained"],
        revenue=10 * table["retained"],
        margin=5 * table["retained"],
        visited=0.0,
        days_to_order=np.where(table["retained"] > 0, 27.5, np.nan),
        retained_before=1.0,
        orders_before=np.arange(total) % 3,
        revenue_before=0.0,
        visited_before=0.0,
    )
    return of, of.results(outcomes)


def test_customers_kept_and_money_and_the_cost_of_each() -> None:
    of, results = counted((1_000, 500), (4_000, 2_200))
    found = read(of, results)
    assert found.status == "measured"
    (reading,) = found.readings
    retained = reading.effect("retained")
    assert retained.difference == pytest.approx(0.05, abs=0.001)  # 55 % against 50 %, adjusted by next to nothing
    error = (0.25 / 1_000 + 0.55 * 0.45 / 4_000) ** 0.5
    assert retained.high - retained.difference == pytest.approx(1.96 * error, rel=0.01)
    assert reading.kept.value == pytest.approx(4_000 * retained.difference)
    assert reading.kept.low == pytest.approx(4_000 * retained.low)
    # Each treated customer cost a message of 0.25, and 5 points of retention bring 5 each.
    assert reading.effect("net").difference == pytest.approx(0.05 * 5 - 0.25, abs=0.01)
    assert reading.spent == 1_000
    assert reading.cost_per_kept.value == pytest.approx(1_000 / reading.kept.value)
    assert reading.cost_per_kept.low == pytest.approx(1_000 / reading.kept.high)
    assert found.claim.startswith("Kept 2")
    assert "of 4,000 treated customers for 28 days" in found.claim


def test_what_is_not_shown_is_not_claimed() -> None:
    found = read(*counted((1_000, 500), (4_000, 2_040)))
    assert found.claim.startswith("No effect on retention is shown among 4,000 treated customers (+1.0 points, -2.")
    assert found.readings[0].cost_per_kept.high is None  # it may be that nobody was kept


def test_harm_is_called_harm() -> None:
    found = read(*counted((1_000, 500), (4_000, 1_700)))
    assert "who would have stayed: the campaign did harm" in found.claim
    assert found.readings[0].cost_per_kept is None


def test_several_arms_are_read_together_and_each_with_a_wider_interval() -> None:
    found = read(*counted((1_000, 500), (1_000, 550), (1_000, 510)))
    assert [one.arm for one in found.readings] == [ALL_ARMS, "a", "b"]
    assert found.reading(ALL_ARMS).customers == 2_000
    assert found.reading(ALL_ARMS).effect("retained").confidence == 0.95
    assert found.reading("a").effect("retained").confidence == 0.975
    assert found.reading("a").effect("retained").low < 0  # 5 points ± 4.4 for one arm alone, ± 5.0 for two


def test_an_arm_is_held_against_those_alone_whom_chance_might_have_given_it() -> None:
    of, results = counted((1_000, 500), (1_000, 800), (1_000, 510))
    # The control's second half, of whom nobody ordered, could not have been given arm a.
    control = results["arm"] == "control"
    impossible = control & (results["retained"] == 0)
    results["chances"] = [[0.0, 0.6] if no else [1 / 3, 1 / 3] for no in impossible]
    results.loc[control & (results.index % 50 == 0), "retained"] = 0.0
    found = read(of, results)
    assert found.reading("a").controls == 500
    assert found.reading("b").controls == 1_000
    assert found.reading("a").effect("retained").difference < 0 < found.reading("b").effect("retained").difference


def test_too_early_nothing_is_claimed_but_harm_is_looked_for() -> None:
    of, results = simulated(2)
    found = read(of, results, CUTOFF + timedelta(days=20))
    assert found.status == "too_early"
    assert found.readings == ()
    assert not found.final
    assert [look.day for look in found.looks][-1] == 20
    assert "the window ends on 2018-04-02" in found.claim


def test_harm_shows_before_the_end() -> None:
    of, results = counted((1_000, 800), (1_000, 400))
    results["days_to_order"] -= 20
    found = read(of, results, CUTOFF + timedelta(days=10))
    assert found.harmful == ("a",)
    assert found.status == "too_early"


def test_a_sample_that_chance_did_not_make_is_refused_before_and_after_maturity() -> None:
    of, results = counted((1_000, 500), (4_000, 2_200), propensity=0.5)
    for complete_to in (MATURE, CUTOFF + timedelta(days=20)):
        found = read(of, results, complete_to)
        assert found.status == "refused"
        assert found.readings == found.looks == ()
        assert "not as large as chance would make them" in found.claim


def test_history_without_chance_is_described_with_its_placebo_and_never_credited() -> None:
    of, results = counted((1_000, 300), (4_000, 2_200))
    results = results.assign(
        propensity=np.nan, orders_before=np.where(results["arm"] == "a", 2.0, 0.0) + np.arange(5_000) % 2
    )
    of = replace(of, customers=of.customers.assign(propensity=np.nan), imported=True)
    found = read(of, results)
    assert found.status == "described"
    assert found.readings == found.looks == ()
    assert found.claim.startswith("No effect can be claimed: the arms come without the probabilities")
    assert {group.arm: group.retained for group in found.groups} == {"a": 0.55, "control": 0.3}
    assert any(one.effect.outcome == "orders_before" and one.effect.low > 0 for one in found.placebos)
    assert [check.level for check in found.checks if check.name == "placebo"] == [Level.WARN]


def test_history_without_a_control_is_shown_beside_those_not_chosen() -> None:
    of, results = counted((0, 0), (400, 220), propensity=np.nan)
    others = results.head(100).assign(retained=0.0, orders_before=0.0)
    found = read(of, results, others=others)
    assert [group.arm for group in found.groups] == ["a", "not chosen"]
    assert "there is no control" in found.claim
    assert read(of, results).placebos == ()


def test_it_comes_back_from_json_as_it_was() -> None:
    kind = TypeAdapter(Readout)
    for of, results in (counted((1_000, 500), (1_000, 550), (1_000, 510)), simulated(2)):
        found = read(of, results)
        assert kind.validate_json(kind.dump_json(found)) == found


@pytest.mark.parametrize("explored", [False, True], ids=["plain", "explored"])
@pytest.mark.parametrize(
    ("trials", "low", "high"),
    [pytest.param(80, 0.86, 1.0), pytest.param(2_000, 0.94, 0.96, marks=pytest.mark.full)],
)
def test_the_interval_holds_the_truth_as_often_as_it_says(trials: int, low: float, high: float, explored: bool) -> None:
    held = claims = 0
    cuts = []
    for seed in range(trials):
        results = simulated(seed, effect=0.05, customers=1_500, explored=explored)[1]
        treated = results["arm"] == "treatment"
        effect = compare(results[~treated], results[treated], "retained", ADJUSTED_BY)
        held += effect.low <= 0.05 <= effect.high
        claims += effect.low > 0
        cuts.append(effect.variance_cut)
    told = f"truth held in {held} of {trials}, effect shown in {claims}; variance cut by {np.mean(cuts):.2f}"
    print(told)  # noqa: T201 - the figures are what a proof is run for
    assert low <= held / trials <= high, told
    assert np.mean(cuts) > 0.3
