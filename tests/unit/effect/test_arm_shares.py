"""Shares follow what arms have brought, within the floor, and come out the same from the same log."""

import numpy as np
import pandas as pd
import pytest

from holdfast.campaign.assignment import draw
from holdfast.effect.arm_shares import best_chances, learned

ARMS = ["coupon", "reminder"]


def run(
    name: str, count: int, shares: list[float], *, coupon: float, reminder: float, segment: str = "high"
) -> pd.DataFrame:
    """A run of so many customers, a fifth in control; what an arm brings on average, among noise of 10."""
    ids = [f"{name}-{i}" for i in range(count)]
    drawn = draw(name, ids, 0.2, ARMS, np.array([shares]))
    noise = np.random.default_rng(len(name) + count).normal(0, 10, count)
    brought = pd.Series(drawn.arm).map({"control": 0.0, "coupon": coupon, "reminder": reminder}).to_numpy(float)
    return pd.DataFrame(
        {
            "customer_id": ids,
            "segment": segment,
            "arm": drawn.arm,
            "propensity": drawn.propensity,
            "net_value": 5 + brought + noise,
        }
    )


def share(of: pd.DataFrame, arm: str, segment: str = "high") -> float:
    return float(of[(of["arm"] == arm) & (of["segment"] == segment)]["share"].iloc[0])


def test_the_arm_that_brings_more_gets_nearly_all_but_the_floor() -> None:
    found = learned([run("a", 4_000, [0.5, 0.5], coupon=3, reminder=0)], ARMS, floor=0.1)
    assert share(found, "coupon") == pytest.approx(0.9, abs=0.001)
    assert share(found, "reminder") == pytest.approx(0.1, abs=0.001)


def test_arms_that_cannot_be_told_apart_go_on_sharing() -> None:
    found = learned([run("a", 300, [0.5, 0.5], coupon=0.5, reminder=0)], ARMS, floor=0.1)
    assert 0.2 < share(found, "coupon") < 0.8


def test_evidence_of_several_runs_adds_up_also_where_the_shares_had_changed() -> None:
    one = run("a", 600, [0.5, 0.5], coupon=1.0, reminder=0.0)
    later = [run(f"b{i}", 600, [0.9, 0.1], coupon=1.0, reminder=0.0) for i in range(12)]
    few, many = learned([one], ARMS, 0.05), learned([one, *later], ARMS, 0.05)
    assert many["error"].max() < few["error"].max() / 1.5
    error, effect = (float(many.set_index("arm").loc["coupon", name]) for name in ("error", "effect"))
    assert effect == pytest.approx(1.0, abs=3 * error)


def test_a_share_that_depended_on_the_customer_does_not_bend_the_effect() -> None:
    """Those worth more were mostly given the coupon, which does nothing."""
    ids = [str(i) for i in range(20_000)]
    rich = np.arange(20_000) % 2 == 0
    drawn = draw("r", ids, 0.2, ARMS, np.where(rich[:, None], [0.9, 0.1], [0.1, 0.9]))
    rows = pd.DataFrame({"customer_id": ids, "segment": "all", "arm": drawn.arm, "propensity": drawn.propensity})
    found = learned([rows.assign(net_value=np.where(rich, 10.0, 0.0))], ARMS, 0.1).set_index("arm")
    assert found.loc["coupon", "effect"] == pytest.approx(0, abs=3 * found.loc["coupon", "error"])


def test_a_segment_where_an_arm_has_shown_nothing_keeps_its_weights() -> None:
    known = run("a", 2_000, [0.5, 0.5], coupon=3, reminder=0)
    few = run("b", 40, [0.5, 0.5], coupon=0, reminder=3, segment="low")
    assert set(learned([pd.concat([known, few])], ARMS, 0.1)["segment"]) == {"high"}
    assert learned([], ARMS, 0.1).empty


def test_the_same_log_gives_the_same_shares_in_whatever_order_its_runs_come() -> None:
    runs = [run(name, 500, [0.5, 0.5], coupon=1, reminder=0) for name in "abc"]
    once, again = learned(runs, ARMS, 0.1), learned(runs[::-1], ARMS, 0.1)
    assert once["share"].to_numpy() == pytest.approx(again["share"].to_numpy(), abs=1e-12)


def test_how_probably_an_arm_is_best_is_what_sampling_would_show() -> None:
    effects, errors = np.array([1.0, 0.5, 0.0]), np.array([0.5, 1.0, 0.2])
    drawn = np.random.default_rng(0).normal(effects, errors, (200_000, 3)).argmax(axis=1)
    assert best_chances(effects, errors) == pytest.approx(np.bincount(drawn) / 200_000, abs=0.005)


def test_thompson_sampling_finds_the_best_arm_within_a_few_campaigns_and_keeps_trying_the_other() -> None:
    shares, log = [0.5, 0.5], []
    for number in range(8):
        log.append(run(f"r{number}", 800, shares, coupon=0.0, reminder=1.5))
        found = learned(log, ARMS, 0.1)
        shares = [share(found, arm) for arm in ARMS]
    assert shares == pytest.approx([0.1, 0.9], abs=0.02)
    assert (log[-1]["arm"] == "coupon").sum() > 30
    assert (log[-1]["arm"] == "control").sum() > 100
