"""The vault, campaign runs, outbox, ledger and audit log, on SQLite and on PostgreSQL."""

import os
import sqlite3
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from threading import Barrier

import pandas as pd
import psycopg
import pytest
from sqlalchemy import Engine, event, func, select
from sqlalchemy.exc import DBAPIError, IntegrityError

from holdfast.adapters.operations import database
from holdfast.adapters.operations.columns import FixedPoint, UtcInstant
from holdfast.adapters.operations.models import AssignmentRow
from holdfast.adapters.operations.replies import RepliesDatabase
from holdfast.adapters.operations.repository import OperationsDatabase
from holdfast.adapters.operations.vault import SqlVault
from holdfast.campaign.audit import first_break
from holdfast.campaign.definition import CampaignRun
from holdfast.campaign.eligibility import EXPLANATIONS, Known, Reason
from holdfast.campaign.feedback import SuppressionReason
from holdfast.campaign.offers import Balance, Coupon, Redeemed, RedemptionReport, Terms, terms
from holdfast.campaign.outbox import LEASE, Batch, Counts, Lease, OutboxEntry, Outcome, State, Step
from holdfast.campaign.planned import Coupons, messages_of
from holdfast.campaign.policy import Selection
from holdfast.errors import CampaignError, MissingDataError
from holdfast.pipelines.redeem import import_codes
from holdfast.rules import ChannelLimits, FrequencyCap, Outreach
from holdfast.windows import Window
from tests.fakes.operations import (
    KEYRING,
    NOON,
    SHOP,
    campaign,
    contact_rows,
    contacts,
    decide,
    operations_url,
    reachable,
)

_REFUSED = (sqlite3.IntegrityError, psycopg.errors.UniqueViolation)
RUN = CampaignRun(campaign(), date(2017, 11, 26), NOON, scored=4, audience=3)
ALL = Batch("email")
LONG_AGO = datetime(2017, 1, 1, tzinfo=UTC)
CAPS = (FrequencyCap(messages=9, days=14),)


@pytest.fixture
def operations(engine: Engine) -> OperationsDatabase:
    return OperationsDatabase(engine, KEYRING)


def add(
    operations: OperationsDatabase, run: CampaignRun = RUN, treated: Sequence[str] = ("1",), code: str = "A"
) -> None:
    """A run with these treated customers, customer c in control and customer s skipped."""
    arm = run.campaign.arms[0]
    rows = [*((customer, "treatment", Decimal(5)) for customer in treated), ("c", "control", Decimal(0))]
    assigned = pd.DataFrame(rows, columns=["customer_id", "arm", "cost"]).assign(
        tier="high", probability=0.7, value=40.0, propensity=0.5, timezone="UTC"
    )
    assigned["chances"] = [[0.5]] * len(assigned)
    selection = Selection(assigned, pd.DataFrame({"customer_id": ["s"], "reason": [Reason.NO_CONSENT]}))
    offered = terms(arm.offer, run.planned_at, SHOP.zone)
    window = run.campaign.schedule.window(run.planned_at, SHOP.zone)
    messages = messages_of(
        run,
        arm,
        treated=selection.treated,
        window=window,
        terms=offered,
        outreach=Outreach(),
        contexts=[None] * len(treated),
    )
    with operations.planning() as tx:
        tx.add(run, selection, [Coupons(treated, [f"{code}-{one}" for one in treated], offered)], [messages])


def known(operations: OperationsDatabase, customer: str, at: datetime = NOON) -> tuple[object, object, int]:
    """Whether there is an address, consent and messages that count against the cap."""
    with operations.reading() as tx:
        found = tx.known([customer], ["email"], CAPS, at)["email"]
    return bool(found.reachable[0]), found.consent[0], int(found.recent[0, 0])


def lease(operations: OperationsDatabase, worker: str = "w", at: datetime = NOON, limit: int = 1) -> list[Lease]:
    with operations.writing() as tx:
        return list(tx.outbox.lease(ALL, limit, worker, Outreach(), at).leases)


def claim(operations: OperationsDatabase, at: datetime = NOON) -> Lease | None:
    """Lease and claim the first due message."""
    held = lease(operations, at=at)
    if not held:
        return None
    with operations.writing() as tx:
        assert tx.outbox.claim(held[0], at)
    return held[0]


def finish(operations: OperationsDatabase, held: Lease, state: State, at: datetime = NOON) -> bool:
    with operations.writing() as tx:
        return tx.outbox.finish(held, Outcome(state, "because", at), at)


def states(operations: OperationsDatabase) -> dict[str, int]:
    with operations.reading() as tx:
        return dict(tx.counts(RUN.id).messages)


# The vault


def test_within_one_call_the_last_row_of_a_customer_counts_and_every_missing_value_is_none(
    engine: Engine, operations: OperationsDatabase
) -> None:
    rows = contact_rows(("1", "old@shop.example", "Anna", "a"), ("1", "new@shop.example", float("nan"), "a"))
    vault = SqlVault(engine, KEYRING)
    vault.append("contacts", rows, ["a"])
    assert known(operations, "1") == (True, None, 0)
    assert vault.contact("1") == {"email": "new@shop.example"}


def test_a_batch_that_fails_is_not_entered_in_the_ledger(engine: Engine) -> None:
    vault = SqlVault(engine, KEYRING)
    with pytest.raises(IntegrityError):
        vault.append("contacts", contact_rows((None, "a@shop.example", None, "a")), ["a"])
    assert vault.append("contacts", contact_rows(("1", "a@shop.example", None, "a")), ["a"]) == 1


def test_the_same_batch_from_two_loaders_at_once_is_loaded_once(url: str) -> None:
    rows = contact_rows(*((str(i), f"{i}@shop.example", None, "a") for i in range(200)))
    with ThreadPoolExecutor(4) as loaders:
        added = list(
            loaders.map(lambda _: SqlVault(database.connect(url), KEYRING).append("contacts", rows, ["a"]), range(4))
        )
    assert sorted(added) == [0, 0, 0, 200]


def test_the_latest_consent_counts_whatever_the_order_of_arrival(
    engine: Engine, operations: OperationsDatabase
) -> None:
    decide(engine, ["1", "2"], "withdrawn", NOON)
    decide(engine, ["1"], "given", NOON - timedelta(days=1))
    decide(engine, ["2"], "given", NOON + timedelta(seconds=1))
    assert known(operations, "1")[1] == "withdrawn"
    assert known(operations, "2")[1] == "given"
    assert known(operations, "3")[1] is None


def test_of_two_decisions_at_the_same_instant_the_withdrawal_counts(
    engine: Engine, operations: OperationsDatabase
) -> None:
    decide(engine, ["1"], "withdrawn", NOON)
    decide(engine, ["1"], "given", NOON)
    assert known(operations, "1")[1] == "withdrawn"


def test_a_decision_told_twice_is_one_decision(engine: Engine, operations: OperationsDatabase) -> None:
    rows = pd.DataFrame(
        [("1", "marketing", "email", "given", pd.Timestamp(NOON))],
        columns=["customer_id", "purpose", "channel", "status", "recorded_at"],
    )
    vault = SqlVault(engine, KEYRING)
    assert vault.append("consents", rows.assign(batch="a"), ["a"]) == 1
    assert vault.append("consents", rows.assign(batch="b"), ["b"]) == 1
    assert known(operations, "1")[1] == "given"


def test_a_channel_without_addresses_is_told_the_shops_own_id(engine: Engine, operations: OperationsDatabase) -> None:
    told = {"channel": "care_desk", "template": "m"}
    SqlVault(engine, KEYRING).identify({"1": "shop-4711"})
    add(operations, replace(RUN, campaign=campaign(purpose="transactional", message=told)), ["1"])
    with operations.writing() as tx:
        [held] = tx.outbox.lease(Batch("care_desk"), 1, "w", Outreach(), NOON).leases
    assert (held.draft.customer_id, held.draft.recipient) == ("1", "shop-4711")


def test_a_table_that_belongs_to_the_lake_is_refused(engine: Engine) -> None:
    with pytest.raises(ValueError, match="'orders' does not belong to the vault"):
        SqlVault(engine, KEYRING).append("orders", pd.DataFrame({"batch": []}), [])


# Connections


def test_a_forked_process_opens_a_connection_of_its_own(engine: Engine) -> None:
    with engine.connect() as connection:
        inherited = connection.connection.driver_connection
    child = os.fork()
    if child == 0:
        with engine.connect() as connection:
            os._exit(1 if connection.connection.driver_connection is inherited else 0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


# Columns


def test_instants_come_back_in_utc_and_naive_ones_are_refused(operations: OperationsDatabase) -> None:
    in_new_york = NOON.astimezone(SHOP.zone)
    add(operations, replace(RUN, planned_at=in_new_york))
    with operations.reading() as tx:
        run = tx.run(RUN.id)
    assert run is not None
    assert (run.planned_at, run.planned_at.utcoffset()) == (NOON, timedelta(0))
    with pytest.raises(ValueError, match="no time zone"):
        UtcInstant().process_bind_param(datetime(2017, 11, 26), None)  # noqa: DTZ001  (naive on purpose)


def test_money_is_exact_and_a_third_decimal_is_refused() -> None:
    hundredths = FixedPoint(2)
    stored = [hundredths.process_bind_param(Decimal(text), None) for text in ("0.01", "19.99", "99999999.99")]
    assert stored == [1, 1999, 9999999999]
    assert [str(hundredths.process_result_value(value, None)) for value in stored] == ["0.01", "19.99", "99999999.99"]
    with pytest.raises(ValueError, match="2 decimal places"):
        hundredths.process_bind_param(Decimal("0.001"), None)


# Campaign runs


def test_a_run_comes_back_as_it_was_planned(operations: OperationsDatabase, engine: Engine) -> None:
    add(operations, treated=["1", "2"])
    with operations.reading() as tx:
        assert tx.run(RUN.id) == RUN
        assert tx.run("win_back@1999-01-01") is None
        assert tx.run_ids() == [RUN.id]
        counts = tx.counts(RUN.id)
    assert counts == Counts(
        skips={"no_consent": 1},
        arms={"treatment": 2, "control": 1},
        offers={"issued": 2},
        messages={"planned": 2},
        skipped_at_send={},
        cost=Decimal(10),
        void_owed=0,
    )
    reachable(engine, ["1", "2"])
    ends = datetime(2017, 12, 18, 5, tzinfo=UTC)
    second = lease(operations, limit=2)[1].draft
    assert second.coupon == Coupon("2", "A-2", Terms(Decimal(5), None, Decimal(5), Decimal(25), Window(NOON, ends)))
    assert (second.recipient, second.arm.name, second.campaign) == ("2@shop.example", "treatment", RUN.campaign)


def test_a_plan_that_fails_on_its_last_row_leaves_no_row(operations: OperationsDatabase, engine: Engine) -> None:
    add(operations)
    other = replace(RUN, campaign=campaign(name="other"))
    with pytest.raises(_REFUSED, match="code"):
        add(operations, other)  # the same coupon code again
    with operations.reading() as tx:
        assert tx.run(other.id) is None
    with database.reading(engine) as connection:
        assert connection.scalar(select(func.count()).select_from(AssignmentRow)) == 2


def test_the_database_itself_refuses_a_second_run_of_the_same_name(operations: OperationsDatabase) -> None:
    add(operations)
    with pytest.raises(IntegrityError, match="campaigns"):
        add(operations, code="B")


def test_as_many_queries_ask_about_six_thousand_strangers_as_about_ten(
    operations: OperationsDatabase, engine: Engine
) -> None:
    reachable(engine, ["5999"])
    sent: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *told: sent.append(told[2]))

    def asked(customers: int) -> tuple[int, int, Known]:
        """How many questions were put, how many statements were sent in all, and what was told."""
        sent.clear()
        with operations.reading() as tx:
            found = tx.known([str(i) for i in range(customers)], ["email"], CAPS, NOON)["email"]
        questions = [one for one in sent if one.startswith(("SELECT", "WITH")) and "pg_catalog" not in one]
        return len(questions), len(sent), found

    (few, _, nobody), (many, statements, found) = asked(10), asked(6_000)
    assert few == many > 0
    assert asked(12_000)[1] == statements, "the ids themselves are sent in one go"
    assert not nobody.reachable.any()
    assert (found.reachable[5_999], found.consent[5_999]) == (True, "given")
    assert not found.reachable[:5_999].any()


def test_messages_of_any_campaign_count_against_the_cap_unless_they_reached_nobody(
    engine: Engine, operations: OperationsDatabase
) -> None:
    reachable(engine, ["1", "2"])
    add(operations, treated=["1", "2"])
    held = claim(operations)
    assert held is not None
    finish(operations, held, State.FAILED)
    assert [known(operations, customer)[2] for customer in ("1", "2")] == [0, 1]
    sent = claim(operations)
    assert sent is not None
    finish(operations, sent, State.SENT)
    assert known(operations, "2", NOON + timedelta(days=13))[2] == 1
    assert known(operations, "2", NOON + timedelta(days=14))[2] == 0


@pytest.mark.parametrize("sent", [False, True])
def test_transactional_messages_do_not_count_against_the_cap(
    engine: Engine, operations: OperationsDatabase, sent: bool
) -> None:
    reachable(engine, ["1"])
    recall = replace(RUN, campaign=campaign(name="recall", purpose="transactional"))
    add(operations, recall, code="R")
    if sent:
        held = claim(operations)
        assert held is not None
        finish(operations, held, State.SENT)
    assert known(operations, "1")[2] == 0
    add(operations)
    assert known(operations, "1")[2] == 1


# The outbox


@pytest.fixture
def planned(engine: Engine, operations: OperationsDatabase) -> OperationsDatabase:
    """One planned message, to a customer who may get it."""
    reachable(engine, ["1"])
    add(operations)
    return operations


def test_a_message_is_leased_once_however_many_ask(planned: OperationsDatabase, url: str) -> None:
    def attempt(worker: int) -> list[Lease]:
        return lease(OperationsDatabase(database.connect(url), KEYRING), f"worker {worker}")

    with ThreadPoolExecutor(4) as workers:
        assert sum(len(leases) for leases in workers.map(attempt, range(4))) == 1


def test_a_claim_whose_transaction_is_rolled_back_is_no_claim(planned: OperationsDatabase) -> None:
    [held] = lease(planned)
    with suppress(MissingDataError), planned.writing() as tx:
        assert tx.outbox.claim(held, NOON)
        raise MissingDataError("something went wrong before the commit")
    with planned.writing() as tx:
        assert tx.outbox.claim(held, NOON)
        assert not tx.outbox.claim(held, NOON)


@pytest.mark.parametrize("state", [State.SENT, State.FAILED, State.UNKNOWN])
def test_a_finished_message_is_never_leased_again(planned: OperationsDatabase, state: State) -> None:
    held = claim(planned)
    assert held is not None
    assert finish(planned, held, state)
    assert lease(planned, at=NOON + 2 * LEASE) == []
    assert states(planned) == {state.value: 1}


@pytest.mark.parametrize(
    ("state", "coupon"), [(State.SENT, "issued"), (State.UNKNOWN, "issued"), (State.FAILED, "void")]
)
def test_a_coupon_is_void_exactly_when_its_message_reached_nobody(
    planned: OperationsDatabase, state: State, coupon: str
) -> None:
    held = claim(planned)
    assert held is not None
    finish(planned, held, state)
    with planned.reading() as tx:
        assert tx.counts(RUN.id).offers == {coupon: 1}


def test_a_message_put_back_can_be_claimed_again_by_a_new_lease_alone(planned: OperationsDatabase) -> None:
    first = claim(planned)
    assert first is not None
    finish(planned, first, State.PLANNED)
    second = claim(planned)
    assert second is not None
    assert (first.attempt, second.attempt) == (1, 2)
    assert not finish(planned, first, State.SENT)  # the first holder comes back late
    assert finish(planned, second, State.FAILED)


def test_a_claim_that_lapsed_is_unknown_for_good_whoever_comes_back(planned: OperationsDatabase) -> None:
    held = claim(planned)
    assert held is not None
    assert lease(planned, at=NOON + LEASE - timedelta(seconds=1)) == []
    assert states(planned) == {"claimed": 1}
    assert lease(planned, at=NOON + LEASE) == []
    assert states(planned) == {"unknown": 1}
    assert not finish(planned, held, State.SENT)


def test_a_lease_that_ran_out_goes_to_another_and_its_old_holder_claims_nothing(planned: OperationsDatabase) -> None:
    [old] = lease(planned)
    with planned.writing() as tx:
        assert not tx.outbox.claim(old, NOON + LEASE)
    [new] = lease(planned, "another", NOON + LEASE)
    with planned.writing() as tx:
        assert not tx.outbox.claim(old, NOON)  # even one whose clock stood still
        assert tx.outbox.claim(new, NOON + LEASE)


def test_a_lease_given_back_is_free_at_once(planned: OperationsDatabase) -> None:
    held = lease(planned)
    with planned.writing() as tx:
        tx.outbox.release(held)
    assert len(lease(planned)) == 1


def test_whatever_the_gate_asks_about_a_change_of_it_ends_every_lease(
    planned: OperationsDatabase, engine: Engine
) -> None:
    [held] = lease(planned)
    decide(engine, ["somebody else"], "withdrawn", NOON)
    with planned.writing() as tx:
        assert not tx.outbox.claim(held, NOON)


@pytest.mark.parametrize("reason", SuppressionReason)
def test_a_suppressed_customer_is_skipped_at_the_send_with_the_reason_kept(
    planned: OperationsDatabase, engine: Engine, reason: SuppressionReason
) -> None:
    with RepliesDatabase(engine).writing() as tx:
        assert tx.suppress("1", "all", reason, "test", NOON)
        assert not tx.suppress("1", "all", reason, "test", NOON)
    assert lease(planned) == []
    with planned.reading() as tx:
        assert tx.counts(RUN.id).skipped_at_send == {"suppressed": 1}


def step(operations: OperationsDatabase, last: tuple[Lease, Outcome] | None, following: Lease, at: datetime) -> Step:
    with operations.kept() as kept:
        return kept.step(last, following, at)


SENT = Outcome(State.SENT)


def test_one_step_marks_the_last_message_and_claims_the_next(operations: OperationsDatabase, engine: Engine) -> None:
    reachable(engine, ["1", "2"])
    add(operations, treated=("1", "2"))
    first, second = lease(operations, limit=2)
    assert step(operations, None, first, NOON) == Step(marked=True, claimed=True)
    assert step(operations, (first, SENT), second, NOON) == Step(marked=True, claimed=True)
    assert states(operations) == {"sent": 1, "claimed": 1}
    assert step(operations, (first, SENT), second, NOON) == Step(marked=False, claimed=False)
    with operations.reading() as tx:
        entries = tx.outbox.entries(None, RUN.id, 10)
    assert [(one.state, one.attempts, one.claimed_at) for one in entries] == [("sent", 1, NOON), ("claimed", 1, NOON)]


@pytest.mark.parametrize("late", ["lease", "gate"])
def test_a_step_marks_the_last_message_though_the_next_may_not_leave_any_more(
    operations: OperationsDatabase, engine: Engine, late: str
) -> None:
    reachable(engine, ["1", "2"])
    add(operations, treated=("1", "2"))
    first, second = lease(operations, limit=2)
    step(operations, None, first, NOON)
    at = NOON + LEASE if late == "lease" else NOON
    if late == "gate":
        decide(engine, ["somebody else"], "withdrawn", NOON)
    assert step(operations, (first, SENT), second, at) == Step(marked=True, claimed=False)
    assert states(operations) == {"sent": 1, "planned": 1}


def test_a_step_that_meets_an_opt_out_under_way_waits_for_it_and_claims_nothing(
    operations: OperationsDatabase, engine: Engine, url: str
) -> None:
    reachable(engine, ["1", "2"])
    add(operations, treated=("1", "2"))
    first, second = lease(operations, limit=2)
    step(operations, None, first, NOON)
    other = OperationsDatabase(database.connect(url))
    with ThreadPoolExecutor(1) as sender:
        with RepliesDatabase(engine).writing() as tx:
            tx.suppress("2", "all", SuppressionReason.UNSUBSCRIBED, "test", NOON)
            stepping = sender.submit(step, other, (first, SENT), second, NOON)
            with suppress(TimeoutError):
                stepping.result(timeout=0.3)
            assert not stepping.done()
        assert stepping.result() == Step(marked=True, claimed=False)


def test_a_stopped_campaign_sends_no_more(planned: OperationsDatabase) -> None:
    [held] = lease(planned)
    with planned.writing() as tx:
        assert tx.stop(RUN.id, "anna", NOON) == 1
    with planned.writing() as tx:
        assert not tx.outbox.claim(held, NOON)
        tx.outbox.release([held])
    assert lease(planned) == []
    with planned.reading() as tx:
        assert tx.counts(RUN.id).skipped_at_send == {"stopped": 1}
    with pytest.raises(CampaignError, match="is stopped"), planned.writing() as tx:
        tx.stop(RUN.id, "anna", NOON)


@pytest.mark.parametrize(("delivered", "state", "coupon"), [(True, "sent", "issued"), (False, "failed", "void")])
def test_a_person_settles_a_doubt_once(planned: OperationsDatabase, delivered: bool, state: str, coupon: str) -> None:
    held = claim(planned)
    assert held is not None
    finish(planned, held, State.UNKNOWN)
    [entry] = doubts(planned)
    with planned.writing() as tx:
        tx.outbox.resolve(entry.reference, delivered, "anna", NOON)
    assert states(planned) == {state: 1}
    with planned.reading() as tx:
        assert tx.counts(RUN.id).offers == {coupon: 1}
        [told] = tx.audited()
        assert (told.actor, told.action, told.details["campaign"]) == ("anna", "outbox.resolve", RUN.id)
        assert entry.reference not in told.subject, "it is made from the pseudonym and would outlive an erasure"
    with pytest.raises(CampaignError, match="no message"), planned.writing() as tx:
        tx.outbox.resolve(entry.reference, delivered, "anna", NOON)


def doubts(operations: OperationsDatabase) -> list[OutboxEntry]:
    with operations.reading() as tx:
        return tx.outbox.entries(State.UNKNOWN, None, 10)


def test_the_budget_holds_back_whatever_was_planned_beyond_it(engine: Engine, operations: OperationsDatabase) -> None:
    reachable(engine, ["1", "2", "3"])
    two = replace(RUN, campaign=campaign(budget={"money": 11, "contacts": 9}))
    add(operations, two, treated=["1", "2", "3"])
    first = claim(operations)
    assert first is not None
    finish(operations, first, State.FAILED)  # what reached nobody is given back to the budget
    assert len(lease(operations, limit=9)) == 2
    with operations.reading() as tx:
        assert tx.counts(RUN.id).messages == {"failed": 1, "planned": 2}
    add(operations, replace(two, campaign=campaign(name="b", budget={"money": 4, "contacts": 9})), ["1"], code="B")
    assert lease(operations) == []


def test_shards_hold_every_planned_message_exactly_once(engine: Engine, operations: OperationsDatabase) -> None:
    customers = [str(i) for i in range(10)]
    reachable(engine, customers)
    add(operations, treated=customers)
    found = []
    for shard in range(3):
        with operations.writing() as tx:
            found += tx.outbox.lease(Batch("email", shard, 3), 10, "w", Outreach(), NOON).leases
    assert sorted(one.draft.customer_id for one in found) == customers


def test_a_rate_limit_is_shared_by_all_senders(engine: Engine, operations: OperationsDatabase) -> None:
    customers = [str(i) for i in range(10)]
    reachable(engine, customers)
    add(operations, treated=customers)
    slow = Outreach(limits={"email": ChannelLimits(per_minute=60, burst=3)})
    with operations.writing() as tx:
        assert len(tx.outbox.lease(ALL, 10, "one", slow, NOON).leases) == 3
    with operations.writing() as tx:
        other = tx.outbox.lease(ALL, 10, "another", slow, NOON)
    assert (other.leases, other.retry_at) == ((), NOON + timedelta(seconds=1))


def test_after_five_silences_the_channel_rests_and_an_answer_wakes_it(planned: OperationsDatabase) -> None:
    for _ in range(5):
        with planned.writing() as tx:
            tx.outbox.answered("email", False, NOON)
    with planned.writing() as tx:
        assert tx.outbox.lease(ALL, 10, "w", Outreach(), NOON).retry_at == NOON + timedelta(seconds=30)
        tx.outbox.answered("email", True, NOON)
        assert len(tx.outbox.lease(ALL, 10, "w", Outreach(), NOON).leases) == 1


# The ledger


def report(number: int, code: str = "A-1", **changes: object) -> RedemptionReport:
    given = {"redeemed_at": NOON, "basket": Decimal(30), "discount": Decimal(5)} | changes
    return RedemptionReport(f"r{number}", code, **given)


def redeem(operations: OperationsDatabase, *reports: RedemptionReport) -> list[Redeemed]:
    answers = []
    for one in reports:
        with operations.writing() as tx:
            answers.append(tx.ledger.redeem(one, "test", NOON))
    return answers


def test_a_coupon_is_redeemed_once_and_a_report_told_again_gets_its_first_answer(planned: OperationsDatabase) -> None:
    reports = [report(1, basket=Decimal(1)), report(2), report(3), report(2), report(1)]
    answers = [Redeemed.BASKET_TOO_SMALL, Redeemed.ACCEPTED, Redeemed.ALREADY_REDEEMED, Redeemed.ACCEPTED]
    assert redeem(planned, *reports) == [*answers, Redeemed.BASKET_TOO_SMALL]


def test_of_many_tills_at_once_one_gets_the_coupon(planned: OperationsDatabase, url: str) -> None:
    def till(number: int) -> Redeemed:
        return redeem(OperationsDatabase(database.connect(url), KEYRING), report(number))[0]

    with ThreadPoolExecutor(4) as tills:
        answers = list(tills.map(till, range(4)))
    assert sorted(answers) == ["accepted", *["already_redeemed"] * 3]


@pytest.mark.parametrize("codes", [("nobody's",), ("nobody's", "A-1")], ids=["one code", "two codes"])
def test_a_report_told_by_many_at_once_is_recorded_once_and_all_get_one_answer(
    planned: OperationsDatabase, url: str, codes: Sequence[str]
) -> None:
    together = Barrier(8)

    def till(number: int) -> list[Redeemed]:
        own = OperationsDatabase(database.connect(url), KEYRING)
        reports = [report(i, codes[number % len(codes)]) for i in range(25)]
        together.wait()
        return redeem(own, *reports)

    with ThreadPoolExecutor(8) as tills:
        first, *others = tills.map(till, range(8))
    assert others == [first] * 7
    with planned.reading() as tx:
        assert sum(tx.ledger.refusals().values()) == 25 - first.count(Redeemed.ACCEPTED)


def test_the_reconciliation_tells_what_became_of_every_coupon(engine: Engine, operations: OperationsDatabase) -> None:
    customers = [str(i) for i in range(1, 6)]
    reachable(engine, customers)
    add(operations, treated=customers)
    held = claim(operations)
    assert held is not None
    finish(operations, held, State.FAILED)
    redeem(operations, report(1, "A-2"), report(2, "A-3", discount=Decimal("5.01")), report(3, "nobody's"))
    with operations.reading() as tx:
        [now] = tx.ledger.balances(NOON)
        [later] = tx.ledger.balances(NOON + timedelta(days=60))
        assert tx.ledger.refusals() == {"unknown_code": 1}
    told = {"campaign_id": RUN.id, "issued": 5, "redeemed": 2, "void": 1, "discount": Decimal("10.01"), "beyond": 1}
    assert now == Balance(**told, expired=0, open=2, liability=Decimal(10), untold=0)
    assert later == Balance(**told, expired=2, open=0, liability=Decimal(0), untold=0)


def test_imported_codes_are_given_out_once_and_a_pool_that_is_empty_says_so(operations: OperationsDatabase) -> None:
    with operations.writing() as tx:
        assert tx.ledger.import_codes("spring", ["C", "A", "B", "A"], "anna", NOON) == 3
        assert tx.ledger.import_codes("spring", ["C", "D"], "anna", NOON) == 1
    with operations.writing() as tx:
        assert tx.ledger.take_codes("spring", 3) == ["A", "B", "C"]
    with (
        pytest.raises(CampaignError, match=r"'spring' holds 1 free codes, but 2 are needed"),
        operations.writing() as tx,
    ):
        tx.ledger.take_codes("spring", 2)


def test_a_code_that_comes_in_while_others_are_taken_is_lost_to_nobody(tmp_path: Path) -> None:
    url = operations_url(tmp_path, "postgresql")
    engine, other = database.connect(url), OperationsDatabase(database.connect(url))
    operations = OperationsDatabase(engine)
    import_codes(operations, "spring", ["B", "C"], "anna", NOON)

    @event.listens_for(engine, "before_cursor_execute")
    def _import_meanwhile(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if statement.startswith("UPDATE imported_codes"):
            with other.writing() as tx:
                tx.ledger.import_codes("spring", ["A"], "anna", NOON)

    with operations.planning() as tx:
        first = tx.ledger.take_codes("spring", 2)
    with other.planning() as tx:
        assert sorted([*first, *tx.ledger.take_codes("spring", 1)]) == ["A", "B", "C"]


def test_codes_imported_by_many_at_once_are_imported_once(url: str) -> None:
    together = Barrier(4)

    def run(_: int) -> int:
        own = OperationsDatabase(database.connect(url))
        together.wait()
        return import_codes(own, "spring", [f"CODE-{i}" for i in range(500)], "anna", NOON)

    with ThreadPoolExecutor(4) as importers:
        assert sorted(importers.map(run, range(4))) == [0, 0, 0, 500]


# The audit log


def test_the_audit_log_is_one_chain_however_many_write(operations: OperationsDatabase, url: str) -> None:
    def write(number: int) -> None:
        with OperationsDatabase(database.connect(url), KEYRING).writing() as tx:
            tx.log(NOON, "anna", "test", str(number), {"number": number})

    with ThreadPoolExecutor(4) as writers:
        list(writers.map(write, range(20)))
    with operations.reading() as tx:
        entries = list(tx.audited())
    assert len(entries) == 20
    assert first_break(entries) is None


@pytest.mark.parametrize("change", ["UPDATE audit SET actor = 'eve'", "DELETE FROM audit"])
def test_the_database_refuses_to_change_the_audit_log(
    operations: OperationsDatabase, engine: Engine, change: str
) -> None:
    with operations.writing() as tx:
        tx.log(NOON, "anna", "test", "1", {})
    with pytest.raises(DBAPIError, match="append-only"), database.writing(engine) as connection:
        connection.exec_driver_sql(change)


def test_a_customers_history_tells_every_run_that_met_them(engine: Engine, operations: OperationsDatabase) -> None:
    contacts(engine, {"1": "anna@shop.example"})
    add(operations, treated=["1"])
    later = replace(RUN, campaign=campaign(name="later"), planned_at=NOON + timedelta(days=7))
    add(operations, later, treated=["2"], code="B")
    with operations.reading() as tx:
        (treated,) = tx.history("1")
        control = tx.history("c")
        skipped = tx.history("s")
        assert tx.history("nobody") == []
    assert (treated.campaign_id, treated.arm, treated.code, treated.message) == (RUN.id, "treatment", "A-1", "planned")
    assert [(one.campaign_id, one.arm, one.code, one.message) for one in control] == [
        (later.id, "control", None, None),
        (RUN.id, "control", None, None),
    ]
    assert [(one.skipped, one.arm, one.detail) for one in skipped] == [
        ("no_consent", None, EXPLANATIONS[Reason.NO_CONSENT])
    ] * 2
