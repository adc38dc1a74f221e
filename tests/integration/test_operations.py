"""The vault and the campaign tables on a real SQLite file."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import chain
from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.exc import IntegrityError

from holdfast.adapters.operations import database
from holdfast.adapters.operations.columns import FixedPoint, UtcInstant
from holdfast.adapters.operations.models import AssignmentRow, ContactRow
from holdfast.adapters.operations.repository import OperationsDatabase
from holdfast.adapters.operations.vault import SqlVault
from holdfast.campaign.assignment import Arm, Assignment
from holdfast.campaign.definition import CampaignRun
from holdfast.campaign.eligibility import Obstacle, Reason, Standing
from holdfast.campaign.offers import Coupon, issue
from holdfast.campaign.outbox import Claim, Outcome, State
from holdfast.campaign.policy import Selection, Skip
from holdfast.errors import MissingDataError
from holdfast.windows import Window
from tests.fakes.operations import NOON, SHOP, campaign, contacts, decide, operations_engine, operations_url, reachable

RUN = CampaignRun(campaign(), date(2017, 11, 26), NOON, scored=4, audience=3)
LONG_AGO = datetime(2017, 1, 1, tzinfo=UTC)


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return operations_engine(tmp_path)


@pytest.fixture
def operations(engine: Engine) -> OperationsDatabase:
    return OperationsDatabase(engine)


def add(
    operations: OperationsDatabase, run: CampaignRun = RUN, treated: Sequence[str] = ("1",), code: str = "A"
) -> None:
    """A run with these treated customers, customer c in control and customer s skipped."""
    arms = [*((customer, Arm.TREATMENT) for customer in treated), ("c", Arm.CONTROL)]
    selection = Selection(
        tuple(Assignment(customer, arm, "high", 0.7, 40.0, 0.5) for customer, arm in arms),
        (Skip("s", Obstacle(Reason.NO_CONSENT, "never given")),),
    )
    coupons = [issue(one, f"{code}-{one}", run.campaign.offer, run.planned_at, SHOP.zone) for one in treated]
    with operations.planning() as tx:
        tx.add(run, selection, coupons)


def standing(operations: OperationsDatabase, customer: str, since: datetime = LONG_AGO) -> Standing:
    with operations.reading() as tx:
        return tx.standings([customer], since)[customer]


def claim(operations: OperationsDatabase, worker: str = "w", at: datetime = NOON) -> Claim | None:
    """Claim the run's first planned message."""
    with operations.writing() as tx:
        waiting = tx.planned(RUN.id, 0, 1)
        return tx.claim(waiting[0], worker, at) if waiting else None


def finish(operations: OperationsDatabase, held: Claim, state: State) -> bool:
    with operations.writing() as tx:
        return tx.finish(held, Outcome(state, "because"), NOON)


# The vault


def contact_rows(*rows: tuple[str, str, str | None, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["customer_id", "email", "given_name", "batch"])


def test_a_batch_is_loaded_once_and_a_later_contact_replaces_the_earlier(
    engine: Engine, operations: OperationsDatabase
) -> None:
    vault = SqlVault(engine)
    first = contact_rows(("1", "old@shop.example", "Anna", "a"), ("2", "ben@shop.example", None, "a"))
    assert vault.append("contacts", first, ["a"]) == 2
    assert vault.append("contacts", contact_rows(("1", "new@shop.example", None, "b")), ["b"]) == 1
    assert vault.append("contacts", first, ["a"]) == 0
    assert standing(operations, "1").address == "new@shop.example"
    assert standing(operations, "1").given_name is None
    assert standing(operations, "2").address == "ben@shop.example"


def test_of_a_repeated_and_a_fresh_batch_together_only_the_fresh_one_is_loaded(engine: Engine) -> None:
    vault = SqlVault(engine)
    vault.append("contacts", contact_rows(("1", "a@shop.example", None, "a")), ["a"])
    both = contact_rows(("1", "changed@shop.example", None, "a"), ("2", "b@shop.example", None, "b"))
    assert vault.append("contacts", both, ["a", "b"]) == 1
    with database.reading(engine) as connection:
        assert sorted(connection.scalars(select(ContactRow.email))) == ["a@shop.example", "b@shop.example"]


def test_within_one_call_the_last_row_of_a_customer_counts_and_every_missing_value_is_none(
    engine: Engine, operations: OperationsDatabase
) -> None:
    rows = contact_rows(("1", "old@shop.example", "Anna", "a"), ("1", "new@shop.example", float("nan"), "a"))
    SqlVault(engine).append("contacts", rows, ["a"])
    assert standing(operations, "1") == Standing("new@shop.example", None, None, 0)


def test_a_batch_that_fails_is_not_entered_in_the_ledger(engine: Engine) -> None:
    vault = SqlVault(engine)
    with pytest.raises(IntegrityError):
        vault.append("contacts", contact_rows((None, "a@shop.example", None, "a")), ["a"])
    assert vault.append("contacts", contact_rows(("1", "a@shop.example", None, "a")), ["a"]) == 1


def test_the_same_batch_from_two_loaders_at_once_is_loaded_once(tmp_path: Path) -> None:
    url = operations_url(tmp_path)
    rows = contact_rows(*((str(i), f"{i}@shop.example", None, "a") for i in range(200)))
    with ThreadPoolExecutor(4) as loaders:
        added = list(loaders.map(lambda _: SqlVault(database.connect(url)).append("contacts", rows, ["a"]), range(4)))
    assert sorted(added) == [0, 0, 0, 200]


def test_the_latest_consent_counts_whatever_the_order_of_arrival(
    engine: Engine, operations: OperationsDatabase
) -> None:
    decide(engine, ["1", "2"], "withdrawn", NOON)
    decide(engine, ["1"], "given", NOON - timedelta(days=1))
    decide(engine, ["2"], "given", NOON + timedelta(seconds=1))
    assert standing(operations, "1").consent == "withdrawn"
    assert standing(operations, "2").consent == "given"
    assert standing(operations, "3").consent is None


def test_of_two_decisions_at_the_same_instant_the_withdrawal_counts(
    engine: Engine, operations: OperationsDatabase
) -> None:
    decide(engine, ["1"], "withdrawn", NOON)
    decide(engine, ["1"], "given", NOON)
    assert standing(operations, "1").consent == "withdrawn"


def test_a_decision_told_twice_is_one_decision(engine: Engine, operations: OperationsDatabase) -> None:
    rows = pd.DataFrame(
        [("1", "marketing", "email", "given", pd.Timestamp(NOON))],
        columns=["customer_id", "purpose", "channel", "status", "recorded_at"],
    )
    vault = SqlVault(engine)
    assert vault.append("consents", rows.assign(batch="a"), ["a"]) == 1
    assert vault.append("consents", rows.assign(batch="b"), ["b"]) == 1
    assert standing(operations, "1").consent == "given"


def test_a_table_that_belongs_to_the_lake_is_refused(engine: Engine) -> None:
    with pytest.raises(ValueError, match="'orders' does not belong to the vault"):
        SqlVault(engine).append("orders", pd.DataFrame({"batch": []}), [])


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


def test_a_run_comes_back_as_it_was_planned(operations: OperationsDatabase) -> None:
    add(operations, treated=["1", "2"])
    with operations.reading() as tx:
        assert tx.run(RUN.id) == RUN
        assert tx.run("win_back@1999-01-01") is None
        assert tx.run_ids() == [RUN.id]
        counts = tx.counts(RUN.id)
        coupon = tx.coupon(RUN.id, "2")
    assert counts.arms == {"treatment": 2, "control": 1}
    assert counts.skips == {"no_consent": 1}
    assert counts.offers == {"issued": 2}
    assert counts.messages == {"planned": 2}
    ends = datetime(2017, 12, 18, 5, tzinfo=UTC)
    assert coupon == Coupon("2", "A-2", Decimal(5), None, Decimal(5), Decimal(25), Window(NOON, ends))


def test_a_plan_that_fails_on_its_last_row_leaves_no_row(operations: OperationsDatabase, engine: Engine) -> None:
    add(operations)
    other = replace(RUN, campaign=campaign(name="other"))
    with pytest.raises(IntegrityError, match=r"offers\.code"):
        add(operations, other)  # the same coupon code again
    with operations.reading() as tx:
        assert tx.run(other.id) is None
    with database.reading(engine) as connection:
        assert connection.scalar(select(func.count()).select_from(AssignmentRow)) == 2


def test_the_database_itself_refuses_a_second_run_assignment_or_message(operations: OperationsDatabase) -> None:
    add(operations)
    with pytest.raises(IntegrityError, match=r"campaigns\.id"):
        add(operations, code="B")


def test_messages_of_any_campaign_count_against_the_cap_unless_they_reached_nobody(
    engine: Engine, operations: OperationsDatabase
) -> None:
    reachable(engine, ["1", "2"])
    add(operations, treated=["1", "2"])
    held = claim(operations)
    assert held is not None
    finish(operations, held, State.FAILED)
    assert standing(operations, "1", since=NOON - timedelta(days=14)).recent_messages == 0
    assert standing(operations, "2", since=NOON - timedelta(days=14)).recent_messages == 1
    assert standing(operations, "2", since=NOON).recent_messages == 0


# The outbox


def test_a_message_is_claimed_once_however_many_try(operations: OperationsDatabase, tmp_path: Path) -> None:
    add(operations)
    with operations.reading() as tx:
        (outbox_id,) = tx.planned(RUN.id, 0, 1)

    def attempt(worker: int) -> Claim | None:
        mine = OperationsDatabase(database.connect(f"sqlite:///{tmp_path / 'operations.db'}"))
        with mine.writing() as tx:
            return tx.claim(outbox_id, f"worker {worker}", NOON)

    with ThreadPoolExecutor(4) as workers:
        claims = list(workers.map(attempt, range(4)))
    assert sum(held is not None for held in claims) == 1


def test_a_claim_whose_transaction_is_rolled_back_is_no_claim(operations: OperationsDatabase) -> None:
    add(operations)
    with suppress(MissingDataError), operations.writing() as tx:
        assert tx.claim(tx.planned(RUN.id, 0, 1)[0], "w", NOON)
        raise MissingDataError("something went wrong before the commit")
    again = claim(operations)
    assert again is not None
    assert again.attempt == 1


@pytest.mark.parametrize("state", [State.SENT, State.FAILED, State.UNKNOWN, State.SKIPPED])
def test_a_finished_message_is_never_claimed_again(operations: OperationsDatabase, state: State) -> None:
    add(operations)
    held = claim(operations)
    assert held is not None
    assert finish(operations, held, state)
    assert claim(operations) is None
    with operations.reading() as tx:
        assert tx.counts(RUN.id).messages == {state.value: 1}


@pytest.mark.parametrize(
    ("state", "coupon"),
    [(State.SENT, "issued"), (State.UNKNOWN, "issued"), (State.FAILED, "void"), (State.SKIPPED, "void")],
)
def test_a_coupon_is_void_exactly_when_its_message_reached_nobody(
    operations: OperationsDatabase, state: State, coupon: str
) -> None:
    add(operations)
    held = claim(operations)
    assert held is not None
    finish(operations, held, state)
    with operations.reading() as tx:
        assert tx.counts(RUN.id).offers == {coupon: 1}


def test_a_message_put_back_can_be_claimed_again_with_the_next_attempt(operations: OperationsDatabase) -> None:
    add(operations)
    first = claim(operations)
    assert first is not None
    finish(operations, first, State.PLANNED)
    second = claim(operations)
    assert second is not None
    assert (first.attempt, second.attempt) == (1, 2)
    assert not finish(operations, first, State.SENT)  # the first holder comes back late
    assert finish(operations, second, State.FAILED)


def test_a_claim_that_lapsed_is_unknown_for_good_whoever_comes_back(operations: OperationsDatabase) -> None:
    add(operations)
    held = claim(operations, at=NOON)
    assert held is not None
    with operations.writing() as tx:
        assert tx.lapse_claims(RUN.id, claimed_before=NOON) == 0
        assert tx.lapse_claims(RUN.id, claimed_before=NOON + timedelta(seconds=1)) == 1
    assert not finish(operations, held, State.SENT)
    assert claim(operations) is None
    with operations.reading() as tx:
        assert tx.counts(RUN.id).messages == {"unknown": 1}


def test_shards_hold_every_planned_message_exactly_once(operations: OperationsDatabase) -> None:
    add(operations, treated=[str(i) for i in range(10)])
    with operations.reading() as tx:
        shards = [tx.planned(RUN.id, shard, 3) for shard in range(3)]
        everything = tx.planned(RUN.id, 0, 1)
    assert sorted(chain.from_iterable(shards)) == everything
    assert len(everything) == 10


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
    assert [(one.skipped, one.arm, one.detail) for one in skipped] == [("no_consent", None, None)] * 2
