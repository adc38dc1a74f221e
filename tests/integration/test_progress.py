"""How far customers came, read from a real operations database."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from sqlalchemy import insert

from holdfast.adapters.operations import database
from holdfast.adapters.operations.models import AssignmentRow, OfferRow
from holdfast.adapters.operations.progress import ProgressDatabase
from holdfast.adapters.operations.replies import RepliesDatabase
from holdfast.campaign.feedback import Feedback
from holdfast.campaign.funnel import Progress
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
