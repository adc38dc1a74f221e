"""Campaign after campaign on customers of a known truth (simulated): learning ends near the best there is."""

from __future__ import annotations

from tests.fakes.closed_loop import LEARNED, loop


def test_within_a_few_campaigns_learning_leaves_risk_value_and_chance_behind() -> None:
    rounds = loop(4_000, seed=1).run(6)
    assert not rounds[0].by_model
    last = rounds[-1]
    assert last.by_model
    assert last.share_of_oracle > 0.5
    for rival in ("risk", "value_at_risk", "random"):
        assert last.net_values[LEARNED] > last.net_values[rival]
    assert all(one.net_values[LEARNED] <= one.net_values["oracle"] for one in rounds)


def test_where_nobody_can_be_moved_no_model_ever_chooses() -> None:
    assert not any(one.by_model for one in loop(2_000, seed=2, strength=0.0).run(3))


def test_a_run_can_be_repeated() -> None:
    first, again = (loop(1_500, seed=3).run(2) for _ in range(2))
    assert first == again
