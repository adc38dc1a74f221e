"""The log of assignments in bulk, on SQLite and on PostgreSQL."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from sqlalchemy import Engine

from holdfast.adapters.operations.repository import OperationsDatabase
from holdfast.adapters.operations.trials import TrialDatabase
from holdfast.campaign.offers import RedemptionReport
from holdfast.windows import Window
from tests.fakes.channel import FakeChannel
from tests.fakes.operations import CUTOFF, NOON, campaign, intervention, reachable, scores

RUN = f"win_back@{CUTOFF}"
WEEK = Window(NOON, NOON + timedelta(days=7))


def test_everybody_assigned_comes_with_what_was_sent_and_redeemed_within_the_window(engine: Engine) -> None:
    reachable(engine, "abcdefgh")
    table = scores(*((one, 0.7, "high", 40.0) for one in "abcdefgh"))
    use_cases = intervention(engine, table, FakeChannel())
    plan = use_cases.plan(campaign(cost_per_contact=Decimal("0.1")))
    for batch in use_cases.batches([plan])[:1]:  # one shard only: the rest stays planned
        use_cases.send(batch, lambda: NOON)
    found = TrialDatabase(engine).assigned(RUN, WEEK)
    assert found["customer_id"].tolist() == list("abcdefgh")
    assert set(found["arm"]) == {"treatment", "control"}
    assert (found["propensity"] == 0.5).all()
    assert found["persona"].isna().all()
    treated, control = found[found["arm"] == "treatment"], found[found["arm"] == "control"]
    assert (treated["cost"] == 5.1).all()
    assert (control["cost"] == 0).all()
    assert not control["exposed"].any()
    assert 0 < treated["exposed"].sum() < len(treated)
    assert found["discount"].sum() == 0


def test_what_a_coupon_took_off_counts_within_the_window_alone(engine: Engine) -> None:
    reachable(engine, "abcdefgh")
    table = scores(*((one, 0.7, "high", 40.0) for one in "abcdefgh"))
    use_cases = intervention(engine, table, FakeChannel())
    use_cases.plan(campaign())
    operations = OperationsDatabase(engine)
    treated = TrialDatabase(engine).assigned(RUN, WEEK).query("arm == 'treatment'")["customer_id"].tolist()
    for customer, at in zip(treated, (WEEK.start, WEEK.end), strict=False):
        with operations.writing() as tx:
            code = tx.history(customer)[0].code
            report = RedemptionReport(f"r-{customer}", code, at, Decimal(60), Decimal("4.50"), None)
            assert tx.ledger.redeem(report, "test", at).value == "accepted"
    found = TrialDatabase(engine).assigned(RUN, WEEK).set_index("customer_id")["discount"]
    assert found[treated[0]] == 4.5
    assert found.sum() == 4.5


def test_a_run_that_nobody_planned_has_no_rows(engine: Engine) -> None:
    assert TrialDatabase(engine).assigned("nothing@2017-11-26", Window(datetime(2017, 1, 1, tzinfo=UTC), NOON)).empty
