"""The look-up API over HTTP: answers, freshness, offers from the real ledger, and one form for every error."""

import asyncio
import io
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from pydantic import TypeAdapter
from sqlalchemy import Engine, insert, update

from holdfast.access import Scope
from holdfast.adapters.operations import database
from holdfast.adapters.operations.models import AssignmentRow, CampaignRow, OfferRow
from holdfast.errors import FeatureStoreError, StoreUnavailableError
from holdfast.lookup import answers
from holdfast.lookup import app as lookup
from holdfast.lookup.app import LARGEST_BODY
from holdfast.ports import Served
from tests.fakes.lookup import CUTOFF, HELD, NOW, SCORE, SERVED, TableReader, add_key, bearer, lookup_app
from tests.fakes.operations import operations_engine
from tests.integration.running_stack import until

EVERYTHING = (Scope.SCORES, Scope.FEATURES, Scope.OFFERS, Scope.METRICS)


@pytest.fixture
def plain(tmp_path: Path) -> Engine:
    """For what does not touch the ledger."""
    return operations_engine(tmp_path)


@pytest.fixture
def reader() -> TableReader:
    return TableReader(dict(HELD))


@pytest.fixture
def client(plain: Engine, reader: TableReader) -> Iterator[TestClient]:
    key = add_key(plain, *EVERYTHING)
    with TestClient(lookup_app(plain, reader), headers=bearer(key), raise_server_exceptions=False) as client:
        yield client


def as_described(model: Any, told: Any) -> None:
    """Hold an answer against the documented model, nothing missing and nothing more."""
    TypeAdapter(model).validate_json(json.dumps(told), strict=True)


def is_problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    told: dict[str, Any] = answer.json()
    assert (told["type"], told["status"]) == ("about:blank", status)
    assert told["title"]
    assert told["detail"]
    return told


def offer(engine: Engine, customer: str, code: str, **changes: Any) -> None:
    """Put a coupon of five dollars into the ledger, valid from a day ago for three weeks."""
    campaign = changes.pop("campaign", "win_back@2017-11-26")
    with database.writing(engine) as connection:
        known = {row for (row,) in connection.exec_driver_sql("SELECT id FROM campaigns")}
        if campaign not in known:
            connection.execute(
                insert(CampaignRow).values(
                    id=campaign,
                    name="win_back",
                    cutoff=NOW.date(),
                    definition={},
                    definition_hash="0" * 64,
                    planned_at=NOW,
                    scored=1,
                    audience=1,
                )
            )
        connection.execute(
            insert(AssignmentRow).values(
                campaign_id=campaign,
                customer_id=customer,
                arm="treatment",
                tier="high",
                probability=0.5,
                value=1.0,
                propensity=0.5,
                cost=Decimal(1),
            )
        )
        connection.execute(
            insert(OfferRow).values(
                {
                    "campaign_id": campaign,
                    "customer_id": customer,
                    "code": code,
                    "amount": Decimal(5),
                    "percent": None,
                    "maximum_discount": Decimal(5),
                    "minimum_basket": Decimal(25),
                    "valid_from": NOW - timedelta(days=1),
                    "valid_to": NOW + timedelta(days=20),
                    "state": "issued",
                }
                | changes
            )
        )


def test_a_customers_card_tells_score_reasons_persona_version_and_how_old_they_are(client: TestClient) -> None:
    told = client.get("/v1/customers/7").json()
    assert told == {
        "customer_id": "7",
        "score": {
            "as_of": "2017-11-26T05:00:00Z",
            "valid_until": "2017-12-31T05:00:00Z",
            "fresh": True,
            "probability": 0.625,
            "tier": "high",
            "reasons": json.loads(SCORE["reasons"]),
            "basis": "model",
            "expected_spend": 12.5,
            "value_at_risk": 20.25,
            "lifetime_value": 250.75,
            "persona": {"id": "P1", "name": {"en": "orders often", "zh": "下单频繁"}},
            "model_version": "3",
        },
        "offers": [],
    }
    as_described(answers.Customer, told)


def test_a_score_past_its_time_to_live_is_never_fresh(client: TestClient) -> None:
    told = client.get("/v1/customers/9").json()
    assert told["score"]["fresh"] is False
    assert told["score"]["valid_until"] == "2017-11-05T00:00:00Z"
    assert (told["score"]["reasons"], told["score"]["persona"]) == ([], None)
    as_described(answers.Customer, told)


@pytest.mark.parametrize(("seconds", "fresh"), [(-1, True), (0, False)])
def test_freshness_ends_at_the_very_moment(plain: Engine, seconds: int, fresh: bool) -> None:
    at = datetime.fromtimestamp(CUTOFF, NOW.tzinfo) + timedelta(days=35, seconds=seconds)
    key = add_key(plain, Scope.SCORES, at=at)
    with TestClient(lookup_app(plain, clock=lambda: at), headers=bearer(key)) as client:
        assert client.get("/v1/customers/7").json()["score"]["fresh"] is fresh


def test_a_customer_who_was_never_scored_is_known_without_a_score(client: TestClient) -> None:
    told = client.get("/v1/customers/8").json()
    assert told == {"customer_id": "8", "score": None, "offers": []}
    as_described(answers.Customer, told)


def test_features_come_by_view_each_with_its_own_age(client: TestClient) -> None:
    told = client.get("/v1/customers/7/features").json()
    assert told == {
        "customer_id": "7",
        "fresh": False,
        "views": [
            {
                "view": "customer_rhythm",
                "as_of": "2017-11-26T05:00:00Z",
                "valid_until": "2017-12-31T05:00:00Z",
                "fresh": True,
                "features": {"days_since_order": 31.0, "gap_mean": None},
            },
            {
                "view": "customer_basket",
                "as_of": "2017-10-01T00:00:00Z",
                "valid_until": "2017-11-05T00:00:00Z",
                "fresh": False,
                "features": {"basket_mean": 20.5},
            },
        ],
    }
    as_described(answers.CustomerFeatures, told)


def test_only_the_features_named_are_read_and_told(client: TestClient) -> None:
    told = client.get("/v1/customers/7/features?feature=gap_mean&feature=days_since_order&feature=gap_mean").json()
    assert [view["features"] for view in told["views"]] == [{"days_since_order": 31.0, "gap_mean": None}]
    assert told["fresh"] is True


def test_what_the_store_lacks_of_a_known_customer_is_null_and_not_fresh(client: TestClient) -> None:
    told = client.get("/v1/customers/8/features").json()
    basket = told["views"][1]
    assert basket == {
        "view": "customer_basket",
        "as_of": None,
        "valid_until": None,
        "fresh": False,
        "features": {"basket_mean": None},
    }
    as_described(answers.CustomerFeatures, told)


def test_an_unknown_feature_is_404_by_name(client: TestClient) -> None:
    told = is_problem(client.get("/v1/customers/7/features?feature=days_since_order&feature=shoe_size"), 404)
    assert told["unknown_features"] == ["shoe_size"]
    # A score needs the scope scores: it is no feature here.
    assert is_problem(client.get("/v1/customers/7/features?feature=probability"), 404)


@pytest.mark.parametrize("path", ["/v1/customers/nobody", "/v1/customers/nobody/features"])
def test_an_unknown_customer_is_404(client: TestClient, path: str) -> None:
    assert "no customer has this id" in is_problem(client.get(path), 404)["detail"]


def test_a_batch_is_answered_in_order_from_one_round_trip(client: TestClient, reader: TableReader) -> None:
    before = reader.trips
    told = client.post("/v1/customers:batch", json={"customer_ids": ["9", "nobody", "7", "8"]}).json()
    assert [one["customer_id"] for one in told["customers"]] == ["9", "7", "8"]
    assert told["unknown"] == ["nobody"]
    assert reader.trips == before + 1
    assert told["customers"][1] == client.get("/v1/customers/7").json()
    as_described(answers.Customers, told)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", ""),
        (b"{", ""),
        (b"[]", ""),
        (b'{"customer_ids": []}', "customer_ids"),
        (b'{"customer_ids": [7]}', "customer_ids.0"),
        (b'{"customer_ids": ["7", ""]}', "customer_ids.1"),
        (b'{"customer_ids": ["\\u0000"]}', "customer_ids.0"),
        (b'{"customer_ids": ["\\ud800"]}', ""),
        (b'{"customer_ids": ["\xff"]}', ""),
        (b'{"customer_ids": ["7"], "more": 1}', "more"),
        (json.dumps({"customer_ids": ["7"] * 1001}).encode(), "customer_ids"),
        (json.dumps({"customer_ids": ["x" * 201]}).encode(), "customer_ids.0"),
    ],
)
def test_a_batch_that_is_not_as_described_is_told_where(client: TestClient, body: bytes, field: str) -> None:
    told = is_problem(client.post("/v1/customers:batch", content=body), 422)
    assert told["faults"][0]["field"] == field
    assert "xxx" not in json.dumps(told)


def test_a_thousand_customers_fit_and_a_body_without_end_is_refused(client: TestClient) -> None:
    full = client.post("/v1/customers:batch", json={"customer_ids": ["7"] * 1000})
    assert len(full.json()["customers"]) == 1000
    is_problem(client.post("/v1/customers:batch", content=b" " * (LARGEST_BODY + 1)), 413)


@pytest.mark.parametrize("customer", ["x" * 201, "%00"])
def test_an_id_that_no_customer_can_have_is_422(client: TestClient, customer: str) -> None:
    is_problem(client.get(f"/v1/customers/{customer}"), 422)


def test_errors_of_the_framework_have_the_same_form(client: TestClient) -> None:
    is_problem(client.get("/v2/anything"), 404)
    is_problem(client.put("/v1/customers/7"), 405)
    is_problem(client.get("/healthz/more"), 404)


def test_features_are_listed_with_meaning_type_and_unit(client: TestClient) -> None:
    told = client.get("/v1/features").json()
    as_described(answers.Features, told)
    assert told["features"][0] == {
        "name": "days_since_order",
        "view": "customer_rhythm",
        "meaning": "days since the last order",
        "type": "number",
        "unit": "days",
        "null": "never null",
    }
    assert "probability" not in {feature["name"] for feature in told["features"]}
    assert told["valid_seconds"] == {"customer_rhythm": 35 * 86_400, "customer_basket": 35 * 86_400}


def test_offers_in_force_are_told_and_no_others(engine: Engine) -> None:
    day = timedelta(days=1)
    offer(engine, "7", "LATER", campaign="b", valid_to=NOW + 9 * day)
    offer(engine, "7", "SOONER", campaign="a", valid_to=NOW + day, amount=None, percent=Decimal("12.5"))
    offer(engine, "7", "USED", campaign="c", state="redeemed")
    offer(engine, "7", "VOID", campaign="d", state="void")
    offer(engine, "7", "OVER", campaign="e", valid_to=NOW)
    offer(engine, "7", "NOT-YET", campaign="f", valid_from=NOW + timedelta(seconds=1))
    offer(engine, "8", "OF-ANOTHER", campaign="a")
    key = add_key(engine, Scope.SCORES, Scope.OFFERS)
    with TestClient(lookup_app(engine), headers=bearer(key)) as client:
        told = client.get("/v1/customers/7").json()
        both = client.post("/v1/customers:batch", json={"customer_ids": ["8", "7"]}).json()["customers"]
    as_described(answers.Customer, told)
    assert [one["code"] for one in told["offers"]] == ["SOONER", "LATER"]
    assert told["offers"][0] == {
        "campaign": "a",
        "code": "SOONER",
        "amount": None,
        "percent": "12.50",
        "maximum_discount": "5.00",
        "minimum_basket": "25.00",
        "currency": "USD",
        "valid_from": "2017-11-26T12:00:00Z",
        "valid_to": "2017-11-28T12:00:00Z",
    }
    assert [[one["code"] for one in card["offers"]] for card in both] == [["OF-ANOTHER"], ["SOONER", "LATER"]]


def test_a_redeemed_offer_is_gone_with_the_next_look_up(engine: Engine) -> None:
    offer(engine, "7", "CODE")
    key = add_key(engine, Scope.SCORES, Scope.OFFERS)
    with TestClient(lookup_app(engine), headers=bearer(key)) as client:
        assert len(client.get("/v1/customers/7").json()["offers"]) == 1
        with database.writing(engine) as connection:
            connection.execute(update(OfferRow).values(state="redeemed"))
        assert client.get("/v1/customers/7").json()["offers"] == []


def test_without_the_scope_nothing_is_told_of_offers(engine: Engine) -> None:
    offer(engine, "7", "CODE")
    key = add_key(engine, Scope.SCORES)
    with TestClient(lookup_app(engine), headers=bearer(key)) as client:
        assert "offers" not in client.get("/v1/customers/7").json()


class LedgerThatFails:
    """A ledger that cannot be read."""

    def in_force(self, customers: Any, at: datetime) -> Any:
        raise StoreUnavailableError("the operations database cannot be read")


def test_a_store_that_cannot_be_read_is_503_and_says_when_to_come_back(client: TestClient, reader: TableReader) -> None:
    reader.fault = FeatureStoreError("the Redis online store cannot be reached: secret-host:6379")
    answer = client.get("/v1/customers/7")
    assert "secret-host" not in json.dumps(is_problem(answer, 503))
    assert int(answer.headers["retry-after"]) >= 1
    assert client.get("/readyz").status_code == 503
    assert client.get("/healthz").json()["status"] == "ok"


def test_a_ledger_that_fails_is_never_told_as_no_offers(plain: Engine) -> None:
    with_offers, without = add_key(plain, Scope.SCORES, Scope.OFFERS), add_key(plain, Scope.SCORES)
    with TestClient(lookup_app(plain, entitlements=LedgerThatFails())) as client:
        is_problem(client.get("/v1/customers/7", headers=bearer(with_offers)), 503)
        assert client.get("/v1/customers/7", headers=bearer(without)).status_code == 200
        assert client.get("/readyz").json() == {"status": "waiting", "waiting_for": ["offers"]}


def test_a_ledger_that_hangs_keeps_nobody_for_long(plain: Engine) -> None:
    released = threading.Event()

    class LedgerThatHangs:
        def in_force(self, customers: Any, at: datetime) -> Any:
            released.wait(60)
            return {}

    with_offers, without = add_key(plain, Scope.SCORES, Scope.OFFERS), add_key(plain, Scope.SCORES)
    app = lookup_app(plain, entitlements=LedgerThatHangs(), patience=0.05)
    try:
        with TestClient(app) as client:
            for _ in range(3):
                is_problem(client.get("/v1/customers/7", headers=bearer(with_offers)), 503)
            assert client.get("/v1/customers/7", headers=bearer(without)).status_code == 200
            released.set()
            app.state.lookup._patience = 20.0
            assert client.get("/v1/customers/7", headers=bearer(with_offers)).json()["offers"] == []
    finally:
        released.set()


def test_a_fault_of_ours_is_500_in_the_same_form_and_noted_without_its_text(plain: Engine, reader: TableReader) -> None:
    log = io.StringIO()
    key = add_key(plain, Scope.SCORES)
    reader.fault = RuntimeError("customer 7 of the shop")
    with TestClient(lookup_app(plain, reader, log=log), headers=bearer(key)) as client:
        is_problem(client.get("/v1/customers/7"), 500)
    [fault] = [line for line in map(json.loads, log.getvalue().splitlines()) if line["event"] == "fault"]
    assert fault["error"] == "RuntimeError"
    assert "customer 7" not in log.getvalue()


def test_broken_json_in_the_store_is_an_error_not_a_broken_answer(client: TestClient, reader: TableReader) -> None:
    reader.held["7", "churn_scores"] = (CUTOFF, SCORE | {"reasons": "[{"})
    is_problem(client.get("/v1/customers/7"), 503)


def test_before_the_registry_can_be_read_the_api_waits_and_then_serves(
    plain: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    readable = threading.Event()

    def served() -> Served:
        if not readable.is_set():
            raise FeatureStoreError("Feast knows no service customer_card_v1. Run the features DAG first.")
        return SERVED

    monkeypatch.setattr(lookup, "KEYS_SECONDS", 0.05)
    key = add_key(plain, *EVERYTHING)
    with TestClient(lookup_app(plain, served=served), headers=bearer(key)) as client:
        is_problem(client.get("/v1/customers/7"), 503)
        is_problem(client.get("/v1/features"), 503)
        assert client.get("/readyz").json()["waiting_for"] == ["features"]
        readable.set()
        bound = lookup.REGISTRY_SECONDS / 2  # a first reading that failed is not waited for as long as the next one
        until(lambda: client.get("/v1/customers/7").status_code == 200, bound, "the registry is read")
        assert len(client.get("/v1/features").json()["features"]) == 3


def test_the_registry_is_read_again_and_again_and_one_that_fails_changes_nothing(
    plain: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the first reading there is all; then nothing can be read; then one view is gone."""
    failed, readable = threading.Event(), threading.Event()
    without_basket = replace(SERVED, views=tuple(one for one in SERVED.views if one.name != "customer_basket"))
    readings = iter([SERVED])

    def served() -> Served:
        if readable.is_set():
            return without_basket
        for first in readings:
            return first
        failed.set()
        raise FeatureStoreError("the registry cannot be reached")

    monkeypatch.setattr(lookup, "KEYS_SECONDS", 0.05)
    monkeypatch.setattr(lookup, "REGISTRY_SECONDS", 0.05)
    key = add_key(plain, *EVERYTHING)
    with TestClient(lookup_app(plain, served=served), headers=bearer(key)) as client:
        assert failed.wait(20), "the registry is read a second time"
        assert {one["view"] for one in client.get("/v1/features").json()["features"]} == {
            "customer_rhythm",
            "customer_basket",
        }
        readable.set()
        until(lambda: len(client.get("/v1/features").json()["features"]) == 2, 20, "what is gone is served no more")


def test_every_request_is_noted_by_route_and_key_and_no_customer_is_named(plain: Engine) -> None:
    log = io.StringIO()
    key = add_key(plain, *EVERYTHING)
    with TestClient(lookup_app(plain, log=log), headers=bearer(key)) as client:
        client.get("/v1/customers/7/features?feature=gap_mean")
        client.get("/v1/customers/canary-4711")
        client.post("/v1/customers:batch", json={"customer_ids": ["canary-4711"]})
        client.get("/v1/customers/7", headers={"Authorization": "Bearer canary-4711"})
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    assert [(line["route"], line["status"]) for line in lines] == [
        ("/v1/customers/{customer_id}/features", 200),
        ("/v1/customers/{customer_id}", 404),
        ("/v1/customers:batch", 200),
        ("/v1/customers/{customer_id}", 401),
    ]
    assert {line["key"] for line in lines} == {key[3:15], None}
    assert "canary" not in log.getvalue()
    assert key not in log.getvalue()


def test_metrics_count_by_route_and_need_their_scope(client: TestClient, plain: Engine) -> None:
    client.get("/v1/customers/7")
    client.get("/v1/customers/canary-4711")
    client.get("/v1/customers/9")
    told = client.get("/metrics").text
    route = '{route="/v1/customers/{customer_id}",status="%s"}'
    assert f"holdfast_lookup_requests_total{route % 200} 2.0" in told
    assert f"holdfast_lookup_requests_total{route % 404} 1.0" in told
    assert "holdfast_lookup_stale_answers_total 1.0" in told
    assert "holdfast_lookup_unknown_customers_total 1.0" in told
    assert "canary" not in told


def test_the_description_names_every_route_its_key_and_the_problems(client: TestClient) -> None:
    told = client.get("/v1/openapi.json").json()
    paths = told["paths"]
    assert {"/v1/customers/{customer_id}", "/v1/customers:batch", "/v1/features", "/metrics", "/healthz"} <= set(paths)
    look_up = paths["/v1/customers/{customer_id}"]["get"]
    assert look_up["security"] == [{"apiKey": ["scores"]}]
    assert {"200", "401", "403", "404", "422", "429", "503"} <= set(look_up["responses"])
    assert list(look_up["responses"]["422"]["content"]) == ["application/problem+json"]
    assert "Problem" in told["components"]["schemas"]


def test_requests_beyond_the_room_are_turned_away_at_once_and_the_others_served(plain: Engine) -> None:
    class SlowReader(TableReader):
        gate = asyncio.Event()

        async def read(self, asked: Any, customers: Any) -> list[list[Any]]:
            await self.gate.wait()
            return await super().read(asked, customers)

    async def story() -> list[httpx.Response]:
        app = lookup_app(plain, slow, room=3)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(
                transport=httpx.ASGITransport(app), base_url="http://lookup", headers=bearer(key)
            ) as client,
        ):
            asking = [asyncio.create_task(client.get("/v1/customers/7")) for _ in range(8)]
            done, _ = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
            async with asyncio.timeout(20):
                while len(done) < 5:
                    done, _ = await asyncio.wait(asking, timeout=0.1)
            slow.gate.set()
            return list(await asyncio.gather(*asking))

    key, slow = add_key(plain, Scope.SCORES), SlowReader(dict(HELD))
    told = asyncio.run(story())
    assert sorted(answer.status_code for answer in told) == [200] * 3 + [503] * 5
    for answer in told:
        if answer.status_code == 503:
            is_problem(answer, 503)
            assert answer.headers["retry-after"] == "1"


PIECE = {"type": "http.request", "body": b'{"customer_ids": ', "more_body": True}
BROKEN_OFF = {"type": "http.disconnect"}


@pytest.mark.parametrize(
    ("came", "status", "detail"),
    [
        ((PIECE,), 408, "the body took too long"),
        ((PIECE, BROKEN_OFF), 400, "the body was broken off"),
    ],
    ids=["falls silent", "breaks off"],
)
def test_a_body_that_does_not_end_is_told_and_keeps_nobody_for_long(
    plain: Engine, monkeypatch: pytest.MonkeyPatch, came: tuple[dict[str, Any], ...], status: int, detail: str
) -> None:
    monkeypatch.setattr(lookup, "BODY_SECONDS", 0.05)
    key, pieces, told = add_key(plain, Scope.SCORES), iter(came), []

    async def receive() -> dict[str, Any]:
        for piece in pieces:
            return piece
        await asyncio.Event().wait()
        raise AssertionError("nothing more comes")

    async def send(message: Any) -> None:
        told.append(message)

    async def story() -> None:
        app, path = lookup_app(plain), "/v1/customers:batch"
        request = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b""}
        headers = [(name.lower().encode(), value.encode()) for name, value in bearer(key).items()]
        async with app.router.lifespan_context(app), asyncio.timeout(20):
            await app({**request, "headers": headers, "client": ("127.0.0.1", 4711)}, receive, send)

    asyncio.run(story())
    start, body = told
    answer = httpx.Response(start["status"], headers=start["headers"], content=body["body"])
    assert is_problem(answer, status)["detail"] == detail
    assert answer.headers.get("connection") == ("close" if status == 408 else None)
