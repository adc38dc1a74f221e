"""Both arms come from the same ranked set, and the budget holds whatever the draw."""

from hypothesis import given
from hypothesis import strategies as st

from holdfast.campaign.assignment import Arm, arm
from holdfast.campaign.eligibility import Candidate, Reason, Standing
from holdfast.campaign.policy import audience, places, select
from tests.fakes.operations import campaign

RUN = "win_back@2017-11-26"
FINE = Standing(address="a@shop.example", given_name=None, consent="given", recent_messages=0)
NO_CONSENT = Standing(address="a@shop.example", given_name=None, consent="withdrawn", recent_messages=0)


def people(*values: float) -> list[Candidate]:
    """Customers 0, 1, 2… of these values, each with probability one half."""
    return [Candidate(str(i), 0.5, "high", value) for i, value in enumerate(values)]


def test_the_audience_is_ranked_by_probability_times_value() -> None:
    likely, rich, both = (
        Candidate("l", 0.9, "high", 10),
        Candidate("r", 0.1, "high", 100),
        Candidate("b", 0.9, "high", 100),
    )
    outside = Candidate("o", 0.9, "low", 1_000)
    assert [one.customer_id for one in audience(campaign(), [likely, rich, outside, both])] == ["b", "r", "l"]


def test_equal_value_at_risk_ranks_by_id_however_the_rows_arrive() -> None:
    same = people(10, 10, 10)
    assert audience(campaign(), same) == audience(campaign(), same[::-1])


def test_the_budget_takes_the_most_valuable_and_says_so_to_the_rest() -> None:
    three_places = campaign(budget={"money": 17, "contacts": 100})  # 5 each, all coupons used: 3 and a rest of 2
    assert places(three_places) == 3
    ranked = audience(three_places, people(10, 50, 30, 20, 40))
    selection = select(three_places, RUN, ranked, dict.fromkeys("01234", FINE))
    assert {a.customer_id for a in selection.assignments} == {"1", "4", "2"}
    assert [(skip.customer_id, skip.obstacle.reason) for skip in selection.skips] == [
        ("3", Reason.BUDGET),
        ("0", Reason.BUDGET),
    ]


def test_who_may_not_be_contacted_takes_no_place_and_is_in_neither_arm() -> None:
    one_place = campaign(budget={"money": 1_000, "contacts": 1})
    selection = select(one_place, RUN, people(50, 10), {"0": NO_CONSENT, "1": FINE})
    assert [a.customer_id for a in selection.assignments] == ["1"]
    assert [skip.obstacle.reason for skip in selection.skips] == [Reason.NO_CONSENT]


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
    ranked = audience(limited, people(*(float(count - i) for i in range(count))))
    standings = {c.customer_id: NO_CONSENT if int(c.customer_id) in silent else FINE for c in ranked}
    selection = select(limited, RUN, ranked, standings)
    assigned = [a.customer_id for a in selection.assignments]
    assert sorted(assigned + [s.customer_id for s in selection.skips]) == sorted(c.customer_id for c in ranked)
    assert len(selection.treated) <= len(assigned) <= contacts
    # The assigned are exactly the first of the ranking who may be contacted: the draw moved nobody in or out.
    willing = [c.customer_id for c in ranked if int(c.customer_id) not in silent]
    assert assigned == willing[:contacts]
    assert all(a.arm is arm(RUN, a.customer_id, share) for a in selection.assignments)
    assert set(selection.treated) == {a.customer_id for a in selection.assignments if a.arm is Arm.TREATMENT}
