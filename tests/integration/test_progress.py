"""How far customers came, read from a real operations database."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from sqlalchemy import insert, update

from holdfast.adapters.operations import database
from holdfast.adapters.operations.models import AssignmentRow, CampaignRow, OfferRow, OutboxRow
from holdfast.adapters.operations.progress import ProgressDatabase
from holdfast.adapters.operations.replies import RepliesDatabase
from holdfast.campaign.feedback import Feedback
from holdfast.campaign.funnel import Attention, Progress
from holdfast.campaign.replies import Told
from tests.fakes.correspondence import RUN, sent
from tests.fakes.operations import NOON, operations_engine


def test_a_customer_who_opened_one_who_redeemed_and_a_control(tmp_path: Path) -> None:
    engine = operations_engine(tmp_path)
    opened, _ = sent(engine, "1"), sent(engine, "2")
    assignment = {"campaign_id": RUN, "customer_id": "3", "arm": "control", "tier": "high", "probability": 0.6}
    terms = {"maximum_discount": Decimal(5), "minimum_basket": Decimal(25), "amount": Decimal(5)}
    validity = {"valid_from": NOON, "valid_to": NOON + timedelta(days=21)}
    with database.writing(engine) as connection:
        rest = {"value": 20.0, "propensity": 0.5, "cost": Decimal(0)}
        connection.execute(insert(AssignmentRow).values(**assignment, **rest))
        offer = {"campaign_id": RUN, "customer_id": "2", "code": "7KQ2", "state": "redeemed"}
        connection.execute(insert(OfferRow).values(**offer, **terms, **validity))
    with RepliesDatabase(engine).writing() as tx:
        tx.tell("email", Told("e1", opened, Feedback.OPENED, NOON), NOON)
        tx.tell("email", Told("e2", opened, Feedback.CLICKED, NOON), NOON)
    assert sorted(ProgressDatabase(engine).of(RUN), key=lambda one: one.customer_id) == [
        Progress("1", "treatment", "email", "sent", told=True, opened=True, redeemed=False),
        Progress("2", "treatment", "email", "sent", told=True, opened=False, redeemed=True),
        Progress("3", "control", None, None, told=False, opened=False, redeemed=False),
    ]
    assert ProgressDatabase(engine).of("other@2017-11-26") == []


def test_what_needs_a_person_is_told_of_every_run_until_it_is_settled_or_two_days_old(url: str) -> None:
    engine = database.connect(url)
    database.upgrade(url)
    hour, earlier = timedelta(hours=1), "win_back@2017-11-12"
    messages = [
        (RUN, {"state": "unknown", "finished_at": NOON - timedelta(days=30)}),
        (RUN, {"state": "claimed", "lease_until": NOON, "finished_at": None}),
        (RUN, {"state": "claimed", "lease_until": NOON + hour, "finished_at": None}),  # its sender is at work
        (earlier, {"state": "failed", "finished_at": NOON - timedelta(days=2)}),
        (earlier, {"state": "failed", "finished_at": NOON - timedelta(days=2) - hour}),
        (earlier, {"state": "planned", "due_at": NOON, "finished_at": None}),
        (earlier, {"state": "planned", "due_at": NOON + hour, "finished_at": None}),  # waits for its time
        (earlier, {"state": "sent"}),
        ("quiet@2017-11-19", {"state": "skipped"}),
    ]
    for customer, (run, values) in enumerate(messages):
        name = sent(engine, str(customer), run=run)
        with database.writing(engine) as connection:
            connection.execute(update(OutboxRow).where(OutboxRow.reference == name).values(values))
    with database.writing(engine) as connection:
        planned = NOON - timedelta(days=14)
        connection.execute(update(CampaignRow).where(CampaignRow.id == earlier).values(planned_at=planned))
    assert ProgressDatabase(engine).attention(NOON, NOON - timedelta(days=2)) == [
        Attention(earlier, in_doubt=0, failed=1, overdue=1),
        Attention(RUN, in_doubt=2, failed=0, overdue=0),
    ]
