"""Both arms come from the same ranked set, the budget holds whatever the draw, and policies rank as they say."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.campaign.assignment import uniforms
from holdfast.campaign.definition import Campaign
from holdfast.campaign.eligibility import Reason
from holdfast.campaign.policy import Case, Selection, expected_saved, propose, select
from holdfast.errors import MissingDataError
from tests.fakes.operations import campaign

RUN = "win_back@2017-11-26"
OFFER = {"kind": "amount", "amount": 5, "minimum_basket": 25, "valid_days": 21}
MESSAGE = {"channel": "email", "template": "m"}


def people(*values: float, **columns: object) -> pd.DataFrame:
    """Customers 0, 1, 2… of these values, each with probability one half."""
    ids = pd.Series([str(i) for i in range(len(values))], dtype=object)
    return pd.DataFrame({"customer_id": ids, "probability": 0.5, "tier": "high", "value": values} | columns)


def selected(one: Campaign, candidates: pd.DataFrame, refused: dict[str, Reason] | None = None) -> Selection:
    reasons = np.array([(refused or {}).get(customer) for customer in candidates["customer_id"]], dtype=object)
    return select(Case(candidates, one, RUN, margin=1), reasons)


def skips(selection: Selection) -> dict[str, Reason]:
    return dict(zip(selection.skipped["customer_id"], selection.skipped["reason"], strict=True))


def ranking(one: Campaign, candidates: pd.DataFrame) -> list[str]:
    """The candidates by merit; those left alone are not among them."""
    merit = propose(Case(candidates, one, RUN, margin=1)).merit
    return candidates.assign(merit=merit).dropna().sort_values("merit", ascending=False)["customer_id"].tolist()


def test_the_budget_takes_the_most_valuable_and_says_so_to_the_rest() -> None:
    three_places = campaign(budget={"money": 17, "contacts": 100})  # 5 each, all coupons used: 3 and a rest of 2
    selection = selected(three_places, people(10, 50, 30, 20, 40))
    assert set(selection.assigned["customer_id"]) == {"1", "4", "2"}
    assert skips(selection) == {"3": Reason.BUDGET, "0": Reason.BUDGET}


def test_a_limit_to_liability_cuts_like_money() -> None:
    half_used = {"offer": OFFER | {"assumed_redemption": 0.5}}
    two_places = campaign(budget={"money": 1_000, "contacts": 100, "liability": 12}, **half_used)
    assert set(selected(two_places, people(10, 50, 30)).assigned["customer_id"]) == {"1", "2"}


def test_equal_merit_ranks_by_id_however_the_rows_arrive() -> None:
    one_place = campaign(budget={"money": 1_000, "contacts": 1})
    same = people(10, 10, 10)
    for rows in (same, same[::-1].reset_index(drop=True)):
        assert selected(one_place, rows).assigned["customer_id"].tolist() == ["0"]


def test_who_may_not_be_contacted_takes_no_place_and_is_in_no_arm() -> None:
    one_place = campaign(budget={"money": 1_000, "contacts": 1})
    selection = selected(one_place, people(50, 10), {"0": Reason.NO_CONSENT})
    assert selection.assigned["customer_id"].tolist() == ["1"]
    assert skips(selection) == {"0": Reason.NO_CONSENT}


def test_the_dearest_arm_is_what_everybody_must_be_affordable_at() -> None:
    arms = [
        {"name": "coupon", "offer": OFFER, "message": MESSAGE},
        {"name": "reminder", "message": MESSAGE, "cost_per_contact": "0.01"},
    ]
    two_arms = campaign(arms=arms, budget={"money": 10, "contacts": 100}, control_share=0.01)
    selection = selected(two_arms, people(*range(10, 30)))
    assert len(selection.assigned) == 2
    costs = {"coupon": 5.0, "reminder": 0.01, "control": 0.0}
    assert [float(cost) for cost in selection.assigned["cost"]] == [costs[arm] for arm in selection.assigned["arm"]]


def test_by_risk_the_likeliest_come_first_and_by_value_at_risk_the_dearest() -> None:
    three = people(10, 1, 100, probability=[0.5, 0.9, 0.1])
    assert ranking(campaign(policy={"by": "risk"}), three) == ["1", "0", "2"]
    assert ranking(campaign(policy={"by": "value_at_risk"}), three) == ["2", "0", "1"]


def test_a_score_with_a_value_at_risk_of_its_own_is_taken_at_its_word() -> None:
    three = people(10, 20, 30, value_at_risk=[9.0, 1.0, 5.0])
    assert ranking(campaign(policy={"by": "value_at_risk"}), three) == ["0", "2", "1"]


def test_by_expected_profit_whoever_costs_more_than_is_saved_is_left_alone() -> None:
    tenth = campaign(policy={"by": "expected_profit"}, assumed_effect=0.1)  # saves 0.05 of the value, costs 5
    selection = selected(tenth, people(90, 101, 300))
    assert ranking(tenth, people(90, 101, 300)) == ["2", "1"]
    assert skips(selection) == {"0": Reason.NOT_CHOSEN}


def test_at_random_the_band_alone_is_treated_in_an_order_that_ignores_value() -> None:
    band = campaign(policy={"by": "random", "at_least": 0.2, "below": 0.6})
    everyone = people(*range(200), probability=[i / 200 for i in range(200)])
    order = ranking(band, everyone)
    assert set(order) == {str(i) for i in range(40, 120)}
    numbers = uniforms(f"{RUN}:order", order)
    assert numbers.tolist() == sorted(numbers)


def test_by_uplift_the_greatest_effect_on_value_comes_first_and_harm_is_left_alone() -> None:
    three = people(100, 100, 1_000, uplift_treatment=[0.2, -0.1, 0.06])
    assert ranking(campaign(policy={"by": "uplift"}), three) == ["2", "0"]
    assert skips(selected(campaign(policy={"by": "uplift"}), three)) == {"1": Reason.NOT_CHOSEN}


def test_who_is_surely_harmed_by_every_arm_is_not_disturbed_and_told_apart_from_who_is_not_worth_it() -> None:
    three = people(100, 100, 100, uplift_treatment=[0.2, -0.1, -0.2], harms_treatment=[False, False, True])
    assert skips(selected(campaign(policy={"by": "uplift"}), three)) == {
        "1": Reason.NOT_CHOSEN,
        "2": Reason.DO_NOT_DISTURB,
    }


CHEAP_AND_DEAR = [
    {"name": "coupon", "offer": OFFER, "message": MESSAGE},
    {"name": "reminder", "message": MESSAGE, "cost_per_contact": "0.10"},
]


def test_by_uplift_each_customer_is_given_the_arm_that_brings_most_for_the_money() -> None:
    """Both arms work on both; the coupon's extra 3 on the first is not worth 4.90 more, that on the second is."""
    two = people(100, 100, uplift_coupon=[0.18, 0.5], uplift_reminder=[0.15, 0.15])
    by_uplift = campaign(arms=CHEAP_AND_DEAR, policy={"by": "uplift", "explore": 1e-9}, control_share=0.001)
    assert selected(by_uplift, two).assigned["arm"].tolist() == ["reminder", "coupon"]


def test_a_tight_budget_gives_the_dear_arm_to_those_on_whom_it_does_most() -> None:
    many = people(*[100.0] * 400, uplift_coupon=[0.1 + i / 2_000 for i in range(400)], uplift_reminder=[0.04] * 400)
    tight = campaign(
        arms=CHEAP_AND_DEAR,
        policy={"by": "uplift", "explore": 1e-9},
        control_share=0.001,
        budget={"money": 540, "contacts": 400},  # 40 for reminders to all, and 500 more is a coupon for every fourth
    )
    assigned = selected(tight, many).assigned
    counts = assigned["arm"].value_counts()
    assert counts["reminder"] > 280
    assert counts["coupon"] > 90
    best = assigned[assigned["arm"] == "coupon"]["customer_id"].astype(int)
    assert best.min() >= 290


def test_some_are_explored_whatever_is_predicted_and_everyones_chances_are_exact_and_logged() -> None:
    many = people(*[100.0] * 2_000, uplift_coupon=0.5, uplift_reminder=0.1)
    exploring = campaign(
        arms=CHEAP_AND_DEAR,
        policy={"by": "uplift", "explore": 0.2},
        control_share=0.1,
        budget={"money": 100_000, "contacts": 5_000},
    )
    assigned = selected(exploring, many).assigned
    explored = uniforms(f"{RUN}:explore", assigned["customer_id"].tolist()) < 0.2
    chances = np.array(assigned["chances"].tolist())
    assert chances[explored] == pytest.approx(np.tile([0.45, 0.45], (explored.sum(), 1)))
    assert chances[~explored] == pytest.approx(np.tile([0.9, 0.0], ((~explored).sum(), 1)))
    of_arm = {"coupon": chances[:, 0], "reminder": chances[:, 1], "control": np.full(len(assigned), 0.1)}
    told = [of_arm[arm][i] for i, arm in enumerate(assigned["arm"])]
    assert assigned["propensity"].tolist() == pytest.approx(told)
    assert 0.15 < explored.mean() < 0.25
    assert (assigned["arm"] == "reminder").sum() == pytest.approx(2_000 * 0.2 * 0.45, abs=50)
    assert (assigned["arm"] == "control").sum() == pytest.approx(200, abs=50)


def test_some_are_explored_though_no_arm_is_predicted_to_bring_anything_and_they_come_last() -> None:
    half = [0.5] * 1_000 + [0.0] * 1_000
    many = people(*[100.0] * 2_000, uplift_coupon=half, uplift_reminder=0.0)
    exploring = campaign(
        arms=CHEAP_AND_DEAR, policy={"by": "uplift", "explore": 0.2}, budget={"money": 100_000, "contacts": 5_000}
    )
    found = selected(exploring, many)
    hopeless = found.assigned[found.assigned["customer_id"].astype(int) >= 1_000]
    explored = uniforms(f"{RUN}:explore", [str(one) for one in range(1_000, 2_000)]) < 0.2
    assert sorted(hopeless["customer_id"].astype(int)) == (1_000 + np.flatnonzero(explored)).tolist()
    assert set(hopeless["arm"]) == {"coupon", "reminder", "control"}
    assert hopeless["merit"].max() < found.assigned["merit"].iloc[:1_000].min()
    assert set(skips(found).values()) == {Reason.NOT_CHOSEN}


def test_exploring_never_spends_beyond_the_budget_and_moves_nobody_in_or_out() -> None:
    many = people(*range(200, 1_200), uplift_coupon=0.3, uplift_reminder=0.25)
    budget = {"money": 500, "contacts": 900}
    exploring = campaign(arms=CHEAP_AND_DEAR, policy={"by": "uplift", "explore": 0.3}, budget=budget)
    assigned = selected(exploring, many).assigned
    worst = np.where(np.array(assigned["chances"].tolist())[:, 0] > 0, 5.0, 0.1)
    assert worst.sum() <= 500  # as if everybody were given the dearest arm that they had a chance of, control included
    explored = uniforms(f"{RUN}:explore", assigned["customer_id"].tolist()) < 0.3
    assert explored.mean() == pytest.approx(0.3, abs=0.06)


def test_without_an_uplift_model_the_policy_until_then_decides() -> None:
    three = people(10, 1, 100, probability=[0.5, 0.9, 0.1])
    assert ranking(campaign(policy={"by": "uplift", "until": {"by": "risk"}}), three) == ["1", "0", "2"]
    assert ranking(campaign(policy={"by": "uplift"}), three) == ["2", "0", "1"]


def test_learned_shares_are_the_odds_of_each_segment_and_weights_those_of_one_never_seen() -> None:
    learning = campaign(arms=CHEAP_AND_DEAR, arm_shares={"segments": "tier"}, control_share=0.5)
    four = people(1, 2, 3, tier=["high", "low", "medium"])
    case = Case(four, learning, RUN, margin=1, shares={"high": (0.9, 0.1), "low": (0.2, 0.8)})
    assert propose(case).weights.tolist() == [[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]]
    chances = select(case, np.full(3, None, dtype=object)).assigned["chances"].tolist()
    assert chances == [pytest.approx([0.45, 0.05]), pytest.approx([0.1, 0.4]), pytest.approx([0.25, 0.25])]


def test_a_policy_without_the_scores_that_it_needs_says_which() -> None:
    half = people(1, 2).drop(columns="value")
    with pytest.raises(MissingDataError, match=r"policy 'value_at_risk' of campaign 'win_back' .* 'value'"):
        propose(Case(half, campaign(policy={"by": "uplift"}), RUN, margin=1))


def test_what_is_expected_to_be_saved_is_the_arms_part_of_the_margin_at_risk() -> None:
    tenth = campaign(assumed_effect=0.1, control_share=0.01)
    case = Case(people(100), tenth, RUN, margin=0.5)
    selection = select(case, np.array([None], dtype=object))
    assert expected_saved(case, selection) == pytest.approx(0.5 * 100 * 0.5 * 0.1)


@given(
    count=st.integers(0, 60),
    contacts=st.integers(0, 60),
    share=st.floats(0.01, 0.99),
    silent=st.sets(st.integers(0, 59)),
)
def test_everybody_is_accounted_for_once_within_budget_and_arms_ignore_everybody_else(
    count: int, contacts: int, share: float, silent: set[int]
) -> None:
    limited = campaign(control_share=share, budget={"money": 100_000, "contacts": contacts})
    candidates = people(*(float(count - i) for i in range(count)))
    selection = selected(limited, candidates, {str(i): Reason.NO_CONSENT for i in silent})
    assigned = selection.assigned["customer_id"].tolist()
    assert sorted([*assigned, *skips(selection)]) == sorted(candidates["customer_id"])
    assert len(selection.treated) <= len(assigned) <= contacts
    # The assigned are exactly the first of the ranking who may be contacted: the draw moved nobody in or out.
    willing = [c for c in candidates["customer_id"] if int(c) not in silent]
    assert assigned == willing[:contacts]
    control = {c for c, number in zip(assigned, uniforms(RUN, assigned), strict=True) if number < share}
    assert set(selection.treated["customer_id"]) == set(assigned) - control
