"""Whatever is sent, no app of ours answers 5xx, and the look-up API answers as it describes itself (Schemathesis)."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from http import HTTPStatus
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from holdfast.access import Scope
from holdfast.adapters.operations.replies import RepliesDatabase
from holdfast.adapters.operations.repository import OperationsDatabase
from holdfast.campaign.signing import sign
from holdfast.lookup.app import described
from holdfast.pipelines.replies import Feedback, Preferences
from holdfast.public.app import Inbound, create_app, redemption_hook, report_hook
from tests.fakes.correspondence import sent
from tests.fakes.hostile import NASTY, changed
from tests.fakes.lookup import add_key, bearer, lookup_app
from tests.fakes.operations import BACKENDS, LINKS, NOON, operations_engine, reachable

FINE = settings(
    suppress_health_check=list(HealthCheck), phases=(Phase.explicit, Phase.generate), database=None, deadline=None
)
KEY = b"k" * 32


def cases(
    description: dict[str, Any], modes: Sequence[GenerationMode], examples: int, send: Callable[[Any], int]
) -> Counter[int]:
    """Send so many cases of every operation, as described or not; how often each status was answered."""
    statuses: Counter[int] = Counter()
    schema = schemathesis.openapi.from_dict(description)
    for result in schema.get_all_operations():
        operation = result.ok()
        asks_something = next(operation.iter_parameters(), None) is not None or operation.body
        for mode in modes if asks_something else (GenerationMode.POSITIVE,):
            inputs = operation.as_strategy(generation_mode=mode)

            @settings(FINE, max_examples=examples)
            @given(inputs)
            def one(case: Any) -> None:
                statuses[send(case)] += 1

            one()
    return statuses


def transported(client: TestClient, case: Any, headers: dict[str, str]) -> httpx.Response:
    told = case.as_transport_kwargs(base_url="http://testserver")
    return client.request(
        told["method"],
        told["url"],
        params=told.get("params"),
        headers={**{name: str(value) for name, value in (told.get("headers") or {}).items()}, **headers},
        content=told.get("data") if isinstance(told.get("data"), bytes | str) else None,
        json=told.get("json"),
        cookies=told.get("cookies"),
        follow_redirects=False,
    )


@pytest.mark.parametrize("examples", [10, pytest.param(2_500, marks=pytest.mark.full)])
def test_the_look_up_api_answers_as_described_and_never_5xx(examples: int, tmp_path: Path) -> None:
    engine = operations_engine(tmp_path)
    key = add_key(engine, *Scope)
    app = lookup_app(engine)
    with TestClient(app, raise_server_exceptions=False) as client:

        def send(case: Any) -> int:
            answer = transported(client, case, dict(bearer(key)))
            assert answer.status_code < 500, (case.as_curl_command(), answer.text)
            if answer.status_code >= 400:
                assert answer.headers["content-type"] == "application/problem+json"
                assert answer.json()["status"] == answer.status_code
            case.validate_response(answer, checks=[response_schema_conformance, content_type_conformance])
            return answer.status_code

        statuses = cases(described(app), (GenerationMode.POSITIVE, GenerationMode.NEGATIVE), examples, send)
    assert {200, 404, 422} <= set(statuses)
    if examples >= 2_500:
        assert statuses.total() >= 10_000, statuses
        print(f"look-up API: {statuses.total():,} cases, {dict(statuses)}")  # noqa: T201 - `make proof` shows it


@pytest.mark.parametrize("examples", [10, pytest.param(2_500, marks=pytest.mark.full)])
def test_the_public_app_never_answers_5xx(examples: int, tmp_path: Path) -> None:
    engine = operations_engine(tmp_path)
    reachable(engine, ["7"])
    token = LINKS.way_out(sent(engine, "7")).page.rpartition("/")[2]
    turns = cycle([True, False])  # every other request has a good link
    app = public(engine)
    description = get_openapi(title="x", version="1", routes=app.routes)
    body = {"content": {"application/x-www-form-urlencoded": {"schema": {"type": "string"}}}}
    for path in description["paths"].values():
        if "post" in path:
            path["post"]["requestBody"] = body
    with TestClient(app, raise_server_exceptions=False) as client:

        def send(case: Any) -> int:
            if "token" in (case.path_parameters or {}) and next(turns):
                case.path_parameters["token"] = token
            answer = transported(client, case, {})
            assert answer.status_code < 500, (case.as_curl_command(), answer.text)
            return answer.status_code

        statuses = cases(description, (GenerationMode.POSITIVE,), examples, send)
    assert {200, 303, 401, 404} <= set(statuses)
    print(f"public app: {statuses.total():,} cases, {dict(statuses)}")  # noqa: T201 - `make proof` shows it


def public(engine: Any) -> FastAPI:
    replies = RepliesDatabase(engine)
    hooks = {
        "feedback/email": Inbound((KEY,), report_hook(Feedback(replies), "email")),
        "redemptions": Inbound((KEY,), redemption_hook(OperationsDatabase(engine))),
    }
    return create_app("A Shop", Preferences(LINKS, replies), hooks, lambda: NOON)


REPORT = {
    "id": "e1",
    "reference": "f" * 32,
    "kind": "bounced",
    "occurred_at": "2017-11-26T18:00:00Z",
    "permanent": True,
}
REDEMPTION = {
    "redemption_id": "r-1",
    "code": "7KQ2-M0XD-9RTA",
    "redeemed_at": "2017-12-01T12:00:00Z",
    "basket": "42.50",
    "discount": "5.00",
    "order_id": "o-17",
}
ODD = st.sampled_from(
    ["\x00", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "1e99", "NaN", "٣", "x" * 199, "-0.00", 1e300]
)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("examples", [40, pytest.param(2_000, marks=pytest.mark.full)])
def test_signed_hooks_take_any_body_without_a_fault(examples: int, backend: str, tmp_path: Path) -> None:
    engine = operations_engine(tmp_path, backend)
    reachable(engine, ["7"])
    reference = sent(engine, "7")
    statuses: Counter[int] = Counter()
    hooks = {"feedback/email": REPORT | {"reference": reference}, "redemptions": REDEMPTION}
    bodies = st.sampled_from(list(hooks)).flatmap(
        lambda name: st.tuples(
            st.just(name),
            changed(hooks[name]).map(lambda body: json.dumps(body).encode())
            | st.tuples(st.sampled_from(list(hooks[name])), ODD).map(
                lambda one: json.dumps(hooks[name] | {one[0]: one[1]}).encode()
            )
            | st.sampled_from([*NASTY, *(b'{"id": ' + piece + b"}" for piece in NASTY)])
            | st.binary(max_size=60),
        )
    )
    with TestClient(public(engine), raise_server_exceptions=False) as client:

        @settings(FINE, max_examples=examples)
        @given(bodies)
        def one(given_input: tuple[str, bytes]) -> None:
            name, body = given_input
            answer = client.post(f"/hooks/{name}", content=body, headers=sign(KEY, "e1", NOON, body))
            assert answer.status_code < 500, (name, body[:300], answer.text)
            statuses[answer.status_code] += 1

        one()
    assert {HTTPStatus.OK, HTTPStatus.UNPROCESSABLE_ENTITY} <= set(statuses)
