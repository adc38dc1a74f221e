"""What an outcome does to a message, when a channel is held back, and the sums that must hold."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.campaign.definition import CampaignRun
from holdfast.campaign.outbox import (
    MAX_ATTEMPTS,
    Counts,
    Draft,
    Lease,
    State,
    Throttle,
    after_failure,
    after_success,
    allowance,
    check_sums,
    delay,
    idempotency_key,
    outcome_of,
    reference,
)
from holdfast.errors import (
    AmbiguousDeliveryError,
    CampaignError,
    ChannelUnavailableError,
    MessageRefusedError,
    TemporaryChannelError,
)
from holdfast.rules import ChannelLimits
from tests.fakes.operations import NOON, campaign

DRAFT = Draft(campaign(), "win_back@2017-11-26", "7", campaign().arms[0], "a@shop.example", None, None, "UTC", {})
TWO_A_SECOND = ChannelLimits(per_minute=120, burst=10)
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("error", "attempt", "state"),
    [
        (TemporaryChannelError("451"), 1, State.PLANNED),
        (TemporaryChannelError("451"), MAX_ATTEMPTS, State.FAILED),
        (ChannelUnavailableError("down"), 1, State.PLANNED),
        (ChannelUnavailableError("down"), MAX_ATTEMPTS, State.PLANNED),
        (ChannelUnavailableError("down"), 100, State.PLANNED),
        (MessageRefusedError("550"), 1, State.FAILED),
        (AmbiguousDeliveryError("broke off"), 1, State.UNKNOWN),
        (AmbiguousDeliveryError("broke off"), MAX_ATTEMPTS, State.UNKNOWN),
    ],
)
def test_only_a_temporary_refusal_is_tried_again_and_only_so_often(error, attempt: int, state: State) -> None:
    lease = Lease(1, epoch=1, attempt=attempt, gate=0, until=NOON, draft=DRAFT)
    outcome = outcome_of(error, lease, NOON)
    assert (outcome.state, outcome.detail) == (state, str(error))
    assert (outcome.due_at is not None) == (state is State.PLANNED)


@given(st.text(max_size=10))
def test_each_wait_is_longer_than_the_last_and_jitter_takes_at_most_half(seed: str) -> None:
    waits = [delay(attempt, seed) for attempt in (1, 2, 3, 4)]
    longest = [timedelta(seconds=30) * 4**i for i in range(4)]
    assert all(most / 2 <= wait <= most for wait, most in zip(waits, longest, strict=True))
    assert waits == sorted(waits)


def test_messages_refused_together_do_not_all_come_back_together() -> None:
    assert len({delay(1, str(seed)) for seed in range(100)}) == 100


def test_a_message_names_no_customer_to_the_outside() -> None:
    key = idempotency_key("win_back@2017-11-26", "00123", "email")
    assert key == "win_back@2017-11-26:00123:email"
    assert reference(key) == "118b27a10c9c12d53099f87e12f3cecb"
    assert reference(key + "x") != reference(key)


# Rate limit and circuit breaker


def test_without_a_limit_all_that_is_wanted_may_leave() -> None:
    assert allowance(Throttle(0, NOON), None, 50, NOON)[0].messages == 50


def test_a_burst_leaves_at_once_and_the_rest_at_the_rate() -> None:
    burst, empty = allowance(Throttle(10, NOON), TWO_A_SECOND, 50, NOON)
    none, _ = allowance(empty, TWO_A_SECOND, 50, NOON)
    two, _ = allowance(empty, TWO_A_SECOND, 50, NOON + SECOND)
    assert (burst.messages, none.messages, two.messages) == (10, 0, 2)
    assert none.retry_at == NOON + SECOND / 2
    assert none.why == "the channel's rate limit"


@given(st.lists(st.tuples(st.integers(0, 3_000), st.integers(1, 20)), max_size=40))
def test_in_no_span_do_more_leave_than_burst_plus_rate(asked: list[tuple[int, int]]) -> None:
    throttle, at, given_out = Throttle(float("inf"), NOON), NOON, []
    for milliseconds, wanted in asked:
        at += timedelta(milliseconds=milliseconds)
        allowed, throttle = allowance(throttle, TWO_A_SECOND, wanted, at)
        given_out.append((at, allowed.messages))
    for start in range(len(given_out)):
        for end in range(start, len(given_out)):
            span = (given_out[end][0] - given_out[start][0]).total_seconds()
            assert sum(messages for _, messages in given_out[start : end + 1]) <= 10 + 2 * span + 1e-6


def failed(times: int) -> Throttle:
    throttle = Throttle(0, NOON)
    for _ in range(times):
        throttle = after_failure(throttle, NOON)
    return throttle


def test_the_circuit_opens_after_five_failures_in_a_row_and_tries_again_with_one_message() -> None:
    assert allowance(failed(4), None, 50, NOON)[0].messages == 50
    held = allowance(failed(5), None, 50, NOON)[0]
    assert (held.messages, held.retry_at, held.why) == (0, NOON + 30 * SECOND, "the channel is down")
    half_open = allowance(failed(5), None, 50, NOON + 30 * SECOND)[0]
    assert (half_open.messages, half_open.probe) == (1, True)


def test_each_further_failure_doubles_the_break_and_an_answer_ends_it() -> None:
    assert [failed(n).open_until for n in (5, 6, 7)] == [NOON + n * SECOND for n in (30, 60, 120)]
    assert failed(50).open_until == NOON + timedelta(minutes=30)
    assert after_success(failed(7)) == Throttle(0, NOON)


# Sums

RUN = CampaignRun(campaign(), date(2017, 11, 26), NOON, scored=20, audience=10)
GOOD = Counts(
    skips={"no_consent": 3},
    arms={"control": 2, "treatment": 5},
    offers={"issued": 2, "redeemed": 1, "void": 2},
    messages={"sent": 2, "unknown": 1, "failed": 1, "skipped": 1},
    skipped_at_send={"no_consent": 1},
    cost=Decimal(25),
    void_owed=2,
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
        (replace(GOOD, offers={"issued": 4, "void": 2}), "treated with an offer is 5, but offers make 6"),
        (replace(GOOD, void_owed=3), "void offers is 2, but messages failed or skipped .* make 3"),
    ],
)
def test_a_row_missing_or_too_many_is_told_with_both_sums(wrong: Counts, told: str) -> None:
    with pytest.raises(CampaignError, match=told.replace("+", r"\+")):
        check_sums(RUN, wrong)


def test_an_arm_without_an_offer_owes_no_coupons() -> None:
    check_sums(replace(RUN, campaign=campaign(offer=None)), replace(GOOD, offers={}, void_owed=0))
