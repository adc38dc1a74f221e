"""The look-up API as a process of its own on a store that Feast set up: answers, several workers, overload."""

import asyncio
import json
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from benchmarks.load import Load, measure, request
from holdfast import wiring
from holdfast.access import Scope
from holdfast.adapters.operations import database
from holdfast.adapters.operations.access import KeyDatabase
from holdfast.adapters.operations.models import RedemptionRow
from holdfast.adapters.operations.replies import RepliesDatabase
from holdfast.adapters.operations.repository import OperationsDatabase
from holdfast.campaign.signing import sign
from holdfast.features.catalog import FEATURE_NAMES
from holdfast.pipelines.replies import Preferences
from holdfast.public.app import Inbound, create_app, redemption_hook
from holdfast.settings import Settings
from holdfast.windows import instant
from tests.fakes.lookup import add_key
from tests.fakes.lookup_server import Server, lookup_server
from tests.fakes.offline_tables import expected, scores, tables
from tests.fakes.operations import LINKS, NOON, operations_engine
from tests.fakes.shop import ZONE
from tests.integration.running_stack import until

CUSTOMERS = ["7", "a b", "zoë"]
RATE = 100
"""The rated load of the key under overload, in requests a second."""


@pytest.fixture
def serve(redis_url: str, open_store: Callable[..., Any]) -> Iterator[Callable[..., Server]]:
    """Starts a server on a filled store; `Settings` in the environment are those of its home."""
    store = open_store(f"{redis_url}/0")
    settings = Settings()
    today, names = datetime.now(UTC).date(), wiring.pseudonyms()
    store.write(tables(today, [names(one) for one in CUSTOMERS], base=1))
    store.apply()
    store.materialize(instant(today, ZONE))
    store.write_scores(scores(today, (names("7"), 0.625, "high", "[]")))
    database.upgrade(settings.operations)
    with ExitStack() as opened:
        yield lambda **variables: opened.enter_context(lookup_server(settings, **variables))


def new_key(*scopes: Scope, **changes: Any) -> str:
    engine = database.connect(Settings().operations)
    return add_key(engine, *scopes, at=datetime.now(UTC), **changes)


def ask(server: Server, path: str, key: str, body: Any = None) -> tuple[int, Any]:
    asked = urllib.request.Request(
        f"http://127.0.0.1:{server.port}{path}",
        None if body is None else json.dumps(body).encode(),
        {"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(asked, timeout=20) as answer:
            told = answer.read()
            return answer.status, json.loads(told) if answer.headers["Content-Type"] == "application/json" else told
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def test_a_server_tells_what_the_loop_has_written_until_the_key_is_revoked(serve: Callable[..., Server]) -> None:
    key = new_key(*Scope)
    server = serve()
    status, told = ask(server, "/v1/customers/7", key)
    assert (status, told["score"]["probability"], told["score"]["fresh"]) == (200, 0.625, True)
    assert ask(server, "/v1/customers/zo%C3%AB", key)[1]["score"] is None
    assert ask(server, "/v1/customers/nobody", key)[0] == 404
    _, told = ask(server, "/v1/customers/a%20b/features", key)
    found = {name: value for view in told["views"] for name, value in view["features"].items()}
    wanted = dict(zip(FEATURE_NAMES, expected(1, 1), strict=True))
    assert found == {name: None if value != value else value for name, value in wanted.items()}  # noqa: PLR0124 - NaN
    listed = ask(server, "/v1/features", key)[1]["features"]
    assert {one["name"] for one in listed} == set(FEATURE_NAMES)
    assert all(one["meaning"] and one["unit"] for one in listed)
    KeyDatabase(database.connect(Settings().operations)).revoke(key[3:15], "anna", datetime.now(UTC))
    until(lambda: ask(server, "/v1/customers/7", key)[0] == 401, 20, "the revoked key is refused")
    lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    assert {line["event"] for line in lines} <= {"request", "server"}


def test_several_workers_count_together_and_share_a_keys_pace(serve: Callable[..., Server]) -> None:
    fast, slow = new_key(Scope.SCORES, Scope.METRICS), new_key(Scope.SCORES, name="slow", rate=0.01, burst=4)
    server = serve(HOLDFAST_LOOKUP_WORKERS="2")
    assert [ask(server, "/v1/customers/7", fast)[0] for _ in range(20)] == [200] * 20
    _, told = ask(server, "/metrics", fast)
    counted = [line for line in told.decode().splitlines() if 'status="200"' in line and 'customer_id}"' in line]
    assert [line.rpartition(" ")[2] for line in counted] == ["20.0"]
    statuses = Counter(ask(server, "/v1/customers/7", slow)[0] for _ in range(20))
    assert set(statuses) == {200, 429}
    assert 1 <= statuses[200] <= 4


@pytest.mark.parametrize("seconds", [5, pytest.param(300, marks=pytest.mark.full)])
def test_five_times_the_rated_load_gets_429_and_every_request_an_answer(
    serve: Callable[..., Server], seconds: int
) -> None:
    key, calm = new_key(Scope.SCORES, rate=RATE, burst=RATE), new_key(Scope.SCORES, name="calm")
    server = serve()
    lookups = [request("GET", "/v1/customers/7", key=key)]

    def load(requests: list[bytes], per_second: float, seconds: float) -> Any:
        return measure(Load("127.0.0.1", server.port, requests, 32, seconds, per_second), server.pid)

    before = load([request("GET", "/v1/customers/7", key=calm)], RATE, 3)
    during = load(lookups, 5 * RATE, seconds)
    assert during.unanswered == 0
    assert set(during.statuses) <= {"200", "429", "503"}
    assert during.statuses["429"] > during.statuses["200"]
    assert during.statuses["200"] <= RATE * (seconds + 2) + RATE
    after = load([request("GET", "/v1/customers/7", key=calm)], RATE, 3)
    assert set(after.statuses) == {"200"}
    print(  # noqa: T201 - `make proof` shows it
        f"overload for {seconds} s: {during.statuses}; p99 before, during, after: "
        f"{before.p99}, {during.p99}, {after.p99} ms"
    )


def test_what_the_public_app_acknowledged_under_overload_is_kept_and_what_it_refused_is_not(tmp_path: Path) -> None:
    engine = operations_engine(tmp_path)
    hooks = {"redemptions": Inbound((b"k" * 32,), redemption_hook(OperationsDatabase(engine)))}
    app = create_app("A Shop", Preferences(LINKS, RepliesDatabase(engine)), hooks, lambda: NOON, room=10)

    async def tell(client: httpx.AsyncClient, number: int) -> tuple[str, httpx.Response]:
        one = {"redemption_id": f"r{number}", "code": "NONE", "redeemed_at": "2017-11-26T12:00:00Z"}
        body = json.dumps(one | {"basket": 1, "discount": 0}).encode()
        answer = await client.post("/hooks/redemptions", content=body, headers=sign(b"k" * 32, "e", NOON, body))
        return f"r{number}", answer

    async def all_at_once() -> list[tuple[str, httpx.Response]]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://public") as client:
            return list(await asyncio.gather(*(tell(client, number) for number in range(100))))

    told = asyncio.run(all_at_once())
    statuses = Counter(answer.status_code for _, answer in told)
    assert set(statuses) == {200, 503}
    assert {answer.headers.get("retry-after") for _, answer in told if answer.status_code == 503} == {"5"}
    with database.reading(engine) as connection:
        kept = set(connection.scalars(select(RedemptionRow.id)))
    assert kept == {name for name, answer in told if answer.status_code == 200}
