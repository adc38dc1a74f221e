"""Signed hooks over HTTP: bounces and complaints end contact, openings are noted, unsigned words are not heard."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, insert, select

from holdfast.adapters.operations import database
from holdfast.adapters.operations.models import Base, DeliveryRow, OfferRow, SuppressionRow
from holdfast.adapters.operations.replies import RepliesDatabase
from holdfast.adapters.operations.repository import OperationsDatabase
from holdfast.campaign.feedback import Feedback as FeedbackKind
from holdfast.campaign.replies import Told
from holdfast.campaign.signing import sign
from holdfast.pipelines.replies import Feedback, Preferences
from holdfast.public.app import LARGEST_REPORT, Inbound, create_app, redemption_hook, report_hook
from tests.fakes.correspondence import RUN, rows, sent
from tests.fakes.operations import LINKS, NOON, reachable

KEY, OLDER = b"k" * 32, b"o" * 32


@pytest.fixture
def engine(engine: Engine) -> Engine:
    reachable(engine, ["7"])
    return engine


@pytest.fixture
def client(engine: Engine) -> Iterator[TestClient]:
    replies = RepliesDatabase(engine)
    hooks = {
        f"feedback/{channel}": Inbound((OLDER, KEY), report_hook(Feedback(replies), channel))
        for channel in ("email", "sms")
    }
    with TestClient(create_app("A Shop", Preferences(LINKS, replies), hooks, lambda: NOON)) as client:
        yield client


def report(reference: str, kind: str, /, **changes: object) -> dict[str, object]:
    return {"id": "e1", "reference": reference, "kind": kind, "occurred_at": "2017-11-26T18:00:00+00:00"} | changes


def post(
    client: TestClient,
    content: dict[str, object] | bytes,
    *,
    channel: str = "email",
    key: bytes = KEY,
    at: datetime = NOON,
) -> tuple[int, object]:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    answer = client.post(f"/hooks/feedback/{channel}", content=body, headers=sign(key, "e1", at, body))
    return answer.status_code, answer.json() if "json" in answer.headers["content-type"] else answer.text


def suppressed(engine: Engine) -> list[tuple]:
    return list(rows(engine, SuppressionRow, "customer_id", "channel", "reason", "source"))


@pytest.mark.parametrize(
    ("kind", "permanent", "reason"),
    [
        ("bounced", True, "bounced"),
        ("complained", False, "complained"),
        ("bounced", False, None),
        ("opened", False, None),
        ("delivered", True, None),
    ],
)
def test_one_hard_bounce_or_one_complaint_ends_contact_by_that_channel(
    client: TestClient, engine: Engine, kind: str, permanent: bool, reason: str | None
) -> None:
    reference = sent(engine, "7")
    assert post(client, report(reference, kind, permanent=permanent)) == (200, {"recorded": True})
    assert suppressed(engine) == ([("7", "email", reason, "email report")] if reason else [])
    assert rows(engine, DeliveryRow, "id", "reference", "kind") == [("email:e1", reference, kind)]


def test_a_report_told_again_is_answered_and_counts_once(client: TestClient, engine: Engine) -> None:
    reference = sent(engine, "7")
    post(client, report(reference, "opened"))
    assert post(client, report(reference, "opened")) == (200, {"recorded": False})
    assert len(rows(engine, DeliveryRow, "id")) == 1


def test_a_report_told_many_times_at_once_counts_once(engine: Engine) -> None:
    told = Told("e1", sent(engine, "7"), FeedbackKind.COMPLAINED, NOON)
    feedback = Feedback(RepliesDatabase(engine))
    with ThreadPoolExecutor(8) as at_once:
        recorded = list(at_once.map(lambda _: feedback.receive("email", told, NOON), range(16)))
    assert recorded.count(True) == 1
    assert len(rows(engine, DeliveryRow, "id")) == len(suppressed(engine)) == 1


def test_a_report_about_no_message_of_the_channel_changes_nothing(client: TestClient, engine: Engine) -> None:
    reference = sent(engine, "7")
    assert post(client, report("f" * 32, "complained")) == (200, {"recorded": False})
    assert post(client, report(reference, "complained"), channel="sms") == (200, {"recorded": False})
    assert suppressed(engine) == []


def test_an_unsigned_a_forged_and_a_replayed_report_are_not_heard(client: TestClient, engine: Engine) -> None:
    told = report(sent(engine, "7"), "complained")
    assert client.post("/hooks/feedback/email", json=told).status_code == 401
    assert post(client, told, key=b"x" * 32)[0] == 401
    assert post(client, told, at=NOON - timedelta(hours=1))[0] == 401
    assert post(client, told, channel="fax")[0] == 401
    assert suppressed(engine) == []


def test_a_servers_words_with_an_address_in_them_are_kept_nowhere(client: TestClient, engine: Engine) -> None:
    told = report(sent(engine, "7"), "bounced", permanent=True, detail="550 <anna@shop.example> unknown")
    assert post(client, told) == (200, {"recorded": True})
    with database.reading(engine) as connection:
        kept = repr([connection.execute(select(table)).all() for table in Base.metadata.sorted_tables])
    assert "anna" not in kept


def test_a_key_that_is_being_replaced_still_signs(client: TestClient, engine: Engine) -> None:
    assert post(client, report(sent(engine, "7"), "opened"), key=OLDER)[0] == 200


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"kind": "eaten"}, "kind"),
        ({"occurred_at": "2017-11-26T18:00:00"}, "occurred_at"),
        ({"occurred_at": "0001-01-01T00:00:00+23:59"}, "occurred_at"),  # no year of UTC
        ({"id": "e\x00"}, "id"),
        ({"id": "e" * 151}, "id"),
        ({"id": ""}, "id"),
        ({"reference": "win_back@2017-11-26:7:email"}, "reference"),
    ],
)
def test_a_report_that_is_not_as_described_is_told_where(
    client: TestClient, engine: Engine, changes: dict[str, object], field: str
) -> None:
    status, answer = post(client, report(sent(engine, "7"), "opened", **changes))
    assert status == 422
    assert [fault["field"] for fault in answer["faults"]] == [field]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff\xfe", b"null"])
def test_what_is_no_report_at_all_is_refused(client: TestClient, body: bytes) -> None:
    assert post(client, body)[0] == 422


def test_an_endless_report_is_refused_before_it_is_read(client: TestClient) -> None:
    assert post(client, b" " * (LARGEST_REPORT + 1))[0] == 413


@pytest.fixture
def shop(engine: Engine) -> Iterator[TestClient]:
    """The app with the shop's hook; customer 7 holds the coupon 7KQ2, good until 17 December."""
    sent(engine, "7")
    offer = {"campaign_id": RUN, "customer_id": "7", "code": "7KQ2", "state": "issued", "amount": Decimal(5)}
    terms = {"maximum_discount": Decimal(5), "minimum_basket": Decimal(25), "valid_from": NOON}
    with database.writing(engine) as connection:
        connection.execute(insert(OfferRow).values(**offer, **terms, valid_to=NOON + timedelta(days=21)))
    hooks = {"redemptions": Inbound([KEY], redemption_hook(OperationsDatabase(engine)))}
    preferences = Preferences(LINKS, RepliesDatabase(engine))
    with TestClient(create_app("A Shop", preferences, hooks, lambda: NOON)) as client:
        yield client


def redeemed(shop: TestClient, *, key: bytes = KEY, **changes: object) -> tuple[int, dict]:
    used = {"redemption_id": "r1", "code": "7KQ2", "redeemed_at": "2017-12-01T12:00:00Z", "basket": "42.50"}
    body = json.dumps(used | {"discount": "5.00"} | changes).encode()
    answer = shop.post("/hooks/redemptions", content=body, headers=sign(key, "r1", NOON, body))
    return answer.status_code, answer.json()


def test_a_coupon_counts_once_and_the_same_report_gets_the_same_answer(shop: TestClient) -> None:
    for _ in range(2):
        assert redeemed(shop) == (200, {"outcome": "accepted"})
    assert redeemed(shop, redemption_id="r2") == (200, {"outcome": "already_redeemed"})


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({"code": "NONE"}, "unknown_code"),
        ({"redeemed_at": "2018-01-01T12:00:00Z"}, "expired"),
        ({"basket": "24.99"}, "basket_too_small"),
    ],
)
def test_a_coupon_that_does_not_count_is_told_why(shop: TestClient, changes: dict[str, object], outcome: str) -> None:
    assert redeemed(shop, **changes) == (200, {"outcome": outcome})


@pytest.mark.parametrize(
    ("changes", "field"), [({"basket": "-1"}, "basket"), ({"redeemed_at": "2017-12-01"}, "redeemed_at")]
)
def test_a_redemption_that_is_not_as_described_is_told_where(
    shop: TestClient, changes: dict[str, object], field: str
) -> None:
    status, answer = redeemed(shop, **changes)
    assert (status, [fault["field"] for fault in answer["faults"]]) == (422, [field])


def test_an_unsigned_redemption_is_not_heard(shop: TestClient) -> None:
    assert redeemed(shop, key=b"x" * 32)[0] == 401
    assert redeemed(shop) == (200, {"outcome": "accepted"})
