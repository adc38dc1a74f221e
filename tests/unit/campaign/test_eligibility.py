"""The send gate asks in a fixed order and says the first reason."""

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.campaign.eligibility import (
    EXPLANATIONS,
    Known,
    Objects,
    Reason,
    Standings,
    gate,
    has_one_recipient,
    in_quiet_hours,
    quiet_from,
    quiet_until,
)
from holdfast.campaign.recipient import is_plain_address
from holdfast.rules import FrequencyCap, Outreach, QuietHours

LATE = datetime(2017, 11, 26, 23, 30, tzinfo=UTC)
RULES = Outreach(
    frequency_caps=(FrequencyCap(messages=1, days=7), FrequencyCap(messages=3, days=60)),
    quiet_hours=QuietHours(start="21:00", end="08:00"),
)
NIGHT = QuietHours(start="21:00", end="08:00")


def objects(*values: object) -> Objects:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def asked(*, within_budget: bool = True, exempt: bool = False, **faults: object) -> Reason | None:
    """The gate's answer about one customer in whose way stands nothing but these faults."""
    known = Known(
        reachable=np.array([faults.get("reachable", True)]),
        consent=objects(faults.get("consent", "given")),
        suppressed=np.array([faults.get("suppressed", False)]),
        recent=np.array([faults.get("recent", (0, 0))]),
    )
    standings = Standings(
        known,
        holdout=np.array([faults.get("holdout", False)]),
        control=np.array([faults.get("control", False)]),
        timezone=objects(faults.get("timezone", "America/Los_Angeles")),
    )
    flags = {"within_budget": np.array([within_budget]), "exempt": np.array([exempt])}
    return gate(standings, RULES, LATE, **flags)[0]


FAULTS: dict[Reason, dict[str, object]] = {
    Reason.NO_CONTACT: {"reachable": False},
    Reason.NO_CONSENT: {"consent": None},
    Reason.SUPPRESSED: {"suppressed": True},
    Reason.HOLDOUT: {"holdout": True},
    Reason.CONTROL: {"control": True},
    Reason.FREQUENCY_CAP: {"recent": (1, 1)},
    Reason.QUIET_HOURS: {"timezone": "Europe/London"},
    Reason.BUDGET: {"within_budget": False},
}


def test_a_customer_in_whose_way_stands_nothing_may_be_contacted() -> None:
    assert asked() is None


@pytest.mark.parametrize("reason", FAULTS)
def test_each_fault_alone_is_its_own_reason(reason: Reason) -> None:
    assert asked(**FAULTS[reason]) is reason


@given(st.sets(st.sampled_from(list(FAULTS)), min_size=1))
def test_of_several_faults_the_first_in_the_order_is_told(faults: set[Reason]) -> None:
    together = {name: value for reason in faults for name, value in FAULTS[reason].items()}
    assert asked(**together) is next(reason for reason in FAULTS if reason in faults)


def test_every_cap_counts() -> None:
    assert asked(recent=(0, 2)) is None
    assert asked(recent=(0, 3)) is Reason.FREQUENCY_CAP


def test_a_withdrawn_consent_is_none() -> None:
    assert asked(consent="withdrawn") is Reason.NO_CONSENT


def test_a_transactional_message_is_asked_for_an_address_control_and_budget_alone() -> None:
    exempt = {name for reason in FAULTS if asked(exempt=True, **FAULTS[reason]) is None for name in [reason]}
    assert set(FAULTS) - exempt == {Reason.NO_CONTACT, Reason.CONTROL, Reason.BUDGET}


def test_every_reason_has_words() -> None:
    assert set(EXPLANATIONS) == set(Reason)


@given(st.one_of(st.emails(), st.text("ab.@, <>()é\n", max_size=12)))
def test_the_quick_look_at_an_address_agrees_with_the_thorough_one(address: str) -> None:
    assert has_one_recipient(objects(address), "email").tolist() == [is_plain_address(address)]


def test_quiet_hours_go_by_each_customers_own_clock() -> None:
    zones = objects("Europe/London", "America/New_York", "Asia/Shanghai", "Europe/London")
    assert in_quiet_hours(zones, NIGHT, LATE).tolist() == [True, False, True, True]
    assert not in_quiet_hours(zones, None, LATE).any()
    ends = quiet_until(zones, NIGHT, LATE)
    assert [end.isoformat() for end in ends[:3]] == [
        "2017-11-27T08:00:00+00:00",
        "2017-11-27T13:00:00+00:00",
        "2017-11-27T00:00:00+00:00",
    ]
    assert quiet_from(zones, NIGHT, LATE)[1].isoformat() == "2017-11-27T02:00:00+00:00"


def test_quiet_hours_within_one_day_end_on_it() -> None:
    siesta = QuietHours(start="12:00", end="14:00")
    noon = datetime(2017, 11, 26, 12, tzinfo=UTC)
    assert in_quiet_hours(objects("UTC"), siesta, noon).tolist() == [True]
    assert not in_quiet_hours(objects("UTC"), siesta, noon.replace(hour=14)).any()
    assert quiet_until(objects("UTC"), siesta, noon)[0].hour == 14


def test_standings_draw_the_holdout_by_hash() -> None:
    known = Known(np.ones(2, bool), objects(*"ab"), np.zeros(2, bool), np.zeros((2, 2), np.int64))
    nobody = Standings.of(["1", "2"], known, objects("UTC", "UTC"), RULES)
    all_ = RULES.model_copy(update={"holdout": RULES.holdout.model_copy(update={"share": 0.999999})})
    assert not nobody.holdout.any()
    assert Standings.of(["1", "2"], known, objects("UTC", "UTC"), all_).holdout.all()
    assert not nobody.control.any()
