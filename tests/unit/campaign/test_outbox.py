"""What an outcome does to a message, and the sums that must hold."""

from dataclasses import replace
from datetime import date

import pytest

from holdfast.campaign.definition import CampaignRun
from holdfast.campaign.outbox import MAX_ATTEMPTS, Counts, State, check_sums, idempotency_key, outcome_of, reference
from holdfast.errors import (
    AmbiguousDeliveryError,
    CampaignError,
    ChannelUnavailableError,
    MessageRefusedError,
    TemporaryChannelError,
)
from tests.fakes.operations import NOON, campaign


@pytest.mark.parametrize(
    ("error", "attempt", "state"),
    [
        (TemporaryChannelError("451"), 1, State.PLANNED),
        (TemporaryChannelError("451"), MAX_ATTEMPTS, State.FAILED),
        (ChannelUnavailableError("down"), 1, State.PLANNED),
        (MessageRefusedError("550"), 1, State.FAILED),
        (AmbiguousDeliveryError("broke off"), 1, State.UNKNOWN),
        (AmbiguousDeliveryError("broke off"), MAX_ATTEMPTS, State.UNKNOWN),
    ],
)
def test_only_a_temporary_refusal_is_tried_again_and_only_so_often(error, attempt: int, state: State) -> None:
    outcome = outcome_of(error, attempt)
    assert (outcome.state, outcome.detail) == (state, str(error))


def test_a_message_names_no_customer_to_the_outside() -> None:
    key = idempotency_key("win_back@2017-11-26", "00123", "email")
    assert key == "win_back@2017-11-26:00123:email"
    assert reference(key) == "118b27a10c9c12d53099f87e12f3cecb"
    assert reference(key + "x") != reference(key)


RUN = CampaignRun(campaign(), date(2017, 11, 26), NOON, scored=20, audience=10)
GOOD = Counts(
    skips={"no_consent": 3},
    arms={"control": 2, "treatment": 5},
    offers={"issued": 3, "void": 2},
    messages={"sent": 2, "unknown": 1, "failed": 1, "skipped": 1},
)


def test_sums_that_agree_pass() -> None:
    check_sums(RUN, GOOD)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (replace(GOOD, skips={"no_consent": 2}), "audience is 10, but skipped + control + treated make 9"),
        (
            replace(GOOD, messages={"sent": 2, "failed": 1, "skipped": 1}),
            "treated is 5, but messages in all states make 4",
        ),
        (replace(GOOD, offers={"issued": 4, "void": 2}), "treated is 5, but offers make 6"),
        (replace(GOOD, offers={"issued": 4, "void": 1}), "void offers is 1, but messages failed or skipped make 2"),
    ],
)
def test_a_row_missing_or_too_many_is_told_with_both_sums(wrong: Counts, told: str) -> None:
    with pytest.raises(CampaignError, match=told.replace("+", r"\+")):
        check_sums(RUN, wrong)
