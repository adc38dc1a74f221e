"""The look-up API as an ASGI app: routes, their documentation, and what keeps it current while it runs."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from http import HTTPStatus
from typing import Any, TypeVar

import msgspec
from fastapi import APIRouter, FastAPI, Request
from fastapi.openapi.utils import get_openapi
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import TypeAdapter, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match
from starlette.types import Receive, Send
from starlette.types import Scope as AsgiScope

from holdfast.access import Scope
from holdfast.errors import FeatureStoreError, HoldfastError, StorageError, StoreUnavailableError
from holdfast.lookup import answers
from holdfast.lookup.answers import LARGEST_BATCH, CustomerId, FeatureNames, parameter
from holdfast.lookup.customers import Lookup
from holdfast.lookup.door import Door, Guarded, granted, guarded_by
from holdfast.lookup.problems import Problem, ProblemError, of_http, responses
from holdfast.ports import Served

KEYS_SECONDS = 2.0
"""How often keys are read anew: a revoked one is refused, and a new one known, after this long at the latest."""
REGISTRY_SECONDS = 30.0
READINESS_SECONDS = 1.0
THREAD_SECONDS = 0.001
LARGEST_BODY = 1_000_000
"""Bytes of a request's body that are read at most."""
BODY_SECONDS = 10.0
"""How long a client may take to send its body."""
PER_TOKEN = 100
"""A batch counts as one request for every so many customers begun."""

FAULTS_TOLD = 20
"""Of all that is wrong with a request, what is told."""

Given = TypeVar("Given")
Read = TypeVar("Read")

VERSION = "1.0.0"
_JSON = "application/json"
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_ALWAYS = (
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.SERVICE_UNAVAILABLE,
)
_CUSTOMER_ID: TypeAdapter[str] = TypeAdapter(CustomerId)
_FEATURE_NAMES: TypeAdapter[list[str]] = TypeAdapter(FeatureNames)
_OF_A_CUSTOMER = parameter("customer_id", "path", _CUSTOMER_ID)
_OF_FEATURES = parameter("feature", "query", _FEATURE_NAMES)

_encode = msgspec.json.Encoder().encode
router = APIRouter(route_class=Guarded)


class LookupApp(FastAPI):
    """Leads a request straight to its guarded route, which answers whatever happens; the others take FastAPI's way.

    What lies on that way (a stack of contexts, two layers that catch errors) takes longer than the look-up itself.
    """

    def behind_the_door(self) -> None:
        """To be called when all routes have been added."""
        self._guarded = [route for route in self.routes if isinstance(route, Guarded)]

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            for route in self._guarded:
                match, found = route.matches(scope)
                if match is not Match.NONE:
                    scope.update(found)
                    scope["app"] = self
                    await route.handle(scope, receive, send)
                    return
        await super().__call__(scope, receive, send)


def create_app(lookup: Lookup, door: Door, registry: Callable[[], Served]) -> FastAPI:
    """The app; ``registry`` reads what Feast's registry declares now, and may take its time."""

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async def read_registry() -> None:
            lookup.fill(await asyncio.to_thread(registry))

        async def read_keys() -> None:
            await asyncio.to_thread(door.refresh)

        declared = await _attempt(door, "registry", read_registry)
        keys = await _attempt(door, "keys", read_keys)
        tasks = [
            asyncio.create_task(_every(KEYS_SECONDS, door, "keys", read_keys, done=keys)),
            asyncio.create_task(_every(REGISTRY_SECONDS, door, "registry", read_registry, done=declared)),
            asyncio.create_task(door.journal.keep_flushing()),
        ]
        # A thread that has read offers waits this long at most until the loop lets go of the interpreter.
        sys.setswitchinterval(THREAD_SECONDS)
        # What has been loaded by now stays: the collector need not look at it again while requests wait.
        gc.collect()
        gc.freeze()
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await lookup.close()
            door.journal.flush()

    app = LookupApp(title="Holdfast look-up", version=VERSION, lifespan=lifespan, openapi_url=None)
    app.state.lookup, app.state.door, app.state.readiness = lookup, door, _Readiness(lookup, door)
    app.include_router(router)
    app.add_api_route("/healthz", healthz, response_model=answers.Health, tags=["health"])
    app.add_api_route(
        "/readyz",
        readyz,
        response_model=answers.Health,
        tags=["health"],
        responses={503: {"model": answers.Health, "description": "Not ready"}},
    )
    app.add_exception_handler(ProblemError, _problem)
    app.add_exception_handler(HTTPException, _http_error)
    app.behind_the_door()
    return app


async def _attempt(door: Door, what: str, work: Callable[[], Awaitable[None]]) -> bool:
    """Whether it could be done. The door stays shut, or the shelf empty, until it can; it is tried again."""
    try:
        await work()
    except HoldfastError as error:
        door.journal.note("not read", what=what, error=type(error).__name__, message=str(error))
    except Exception as error:  # noqa: BLE001 - a store may raise anything; the service lives on
        door.journal.fault(what, error)
    else:
        return True
    door.journal.flush()
    return False


async def _every(seconds: float, door: Door, what: str, work: Callable[[], Awaitable[None]], *, done: bool) -> None:
    """Do it again and again; soon, where the last time (``done``: the one before the first) it could not be done."""
    while True:
        await asyncio.sleep(seconds if done else min(seconds, KEYS_SECONDS))
        done = await _attempt(door, what, work)


# The answers are encoded by us, once; FastAPI would validate and encode them a second time. The documentation's models
# are held against real answers by the tests.
def _answer(told: Any) -> Response:
    return Response(_encode(told), headers=_HEADERS, media_type=_JSON)


@router.get(
    "/v1/customers/{customer_id}",
    response_model=answers.Customer,
    responses=responses(*_ALWAYS, HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY),
    openapi_extra=guarded_by(Scope.SCORES) | {"parameters": [_OF_A_CUSTOMER]},
    tags=["customers"],
    summary="A customer's score, tier, reasons and persona, and the offers in force",
)
async def customer(request: Request) -> Response:
    """A score that has passed its time to live says `fresh: false`. Offers are told to keys of scope `offers`."""
    grant, customer_id = granted(request), _customer_id(request)
    [found] = await _lookup(request).customers([customer_id], offers=Scope.OFFERS in grant.key.scopes)
    if found is None:
        raise _nobody(request)
    _count_stale(request, found["score"])
    return _answer(found)


@router.post(
    "/v1/customers:batch",
    response_model=answers.Customers,
    responses=responses(*_ALWAYS, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNPROCESSABLE_ENTITY),
    openapi_extra=guarded_by(Scope.SCORES)
    | {"requestBody": {"required": True, "content": {_JSON: {"schema": answers.as_json_schema(answers.Batch)}}}},
    tags=["customers"],
    summary=f"Up to {LARGEST_BATCH:,} customers at once",
)
async def batch(request: Request) -> Response:
    """Counts as one request for every hundred customers begun."""
    grant = granted(request)
    wanted = _valid(answers.Batch.model_validate_json, await _body(request)).customer_ids
    extra = (len(wanted) - 1) // PER_TOKEN
    if extra:
        request.app.state.door.charge(grant, extra)
    found = await _lookup(request).customers(wanted, offers=Scope.OFFERS in grant.key.scopes)
    unknown = [one for one, card in zip(wanted, found, strict=True) if card is None]
    request.app.state.door.metrics.unknown(len(unknown))
    return _answer({"customers": [card for card in found if card is not None], "unknown": unknown})


@router.get(
    "/v1/customers/{customer_id}/features",
    response_model=answers.CustomerFeatures,
    responses=responses(*_ALWAYS, HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY),
    openapi_extra=guarded_by(Scope.FEATURES) | {"parameters": [_OF_A_CUSTOMER, _OF_FEATURES]},
    tags=["features"],
    summary="A customer's features, all or those named",
)
async def customer_features(request: Request) -> Response:
    """Each view says since when and until when its values count. A name that no feature has is 404."""
    lookup, customer_id = _lookup(request), _customer_id(request)
    names = _valid(_FEATURE_NAMES.validate_python, request.query_params.getlist("feature"), "feature")
    unknown = lookup.shelf.unknown(names)
    if unknown:
        raise ProblemError(
            HTTPStatus.NOT_FOUND,
            "no feature has this name; /v1/features lists all",
            more={"unknown_features": sorted(set(unknown))},
        )
    found = await lookup.features(customer_id, tuple(sorted(set(names))))
    if found is None:
        raise _nobody(request)
    if not found["fresh"]:
        request.app.state.door.metrics.stale(1)
    return _answer(found)


@router.get(
    "/v1/features",
    response_model=answers.Features,
    responses=responses(*_ALWAYS),
    openapi_extra=guarded_by(Scope.FEATURES),
    tags=["features"],
    summary="Every feature's name, meaning and type",
)
async def features(request: Request) -> Response:
    views = _lookup(request).shelf.views
    listed = [
        {
            "name": one.name,
            "view": view.name,
            "meaning": one.meaning,
            "type": one.kind,
            "unit": one.unit,
            "null": one.null,
        }
        for view in views
        for one in view.features
    ]
    seconds = {view.name: view.ttl.total_seconds() if view.ttl else None for view in views}
    return _answer({"features": listed, "valid_seconds": seconds})


@router.get(
    "/v1/openapi.json",
    responses=responses(*_ALWAYS),
    openapi_extra=guarded_by(None),
    tags=["health"],
    summary="This description",
)
async def openapi(request: Request) -> Response:
    return _answer(described(request.app))


@router.get(
    "/metrics",
    response_class=Response,
    responses=responses(*_ALWAYS) | {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    openapi_extra=guarded_by(Scope.METRICS),
    tags=["health"],
    summary="Metrics in Prometheus' text format",
)
async def metrics(request: Request) -> Response:
    told = request.app.state.door.metrics.exposition()
    return Response(told, headers=_HEADERS | {"Content-Type": CONTENT_TYPE_LATEST})


async def healthz() -> Response:
    """The process answers."""
    return _answer({"status": "ok", "waiting_for": []})


async def readyz(request: Request) -> Response:
    """The registry and the keys have been read, and the online store answers."""
    waiting: list[str] = await request.app.state.readiness()
    told = _answer({"status": "waiting" if waiting else "ready", "waiting_for": waiting})
    told.status_code = HTTPStatus.SERVICE_UNAVAILABLE if waiting else HTTPStatus.OK
    return told


class _Readiness:
    """What the service waits for. Anybody may ask, so that the stores are asked once a second at most."""

    def __init__(self, lookup: Lookup, door: Door) -> None:
        self._lookup, self._door = lookup, door
        self._looking: asyncio.Task[list[str]] | None = None
        self._until = 0.0

    async def __call__(self) -> list[str]:
        now = asyncio.get_running_loop().time()
        if self._looking is None or (self._looking.done() and now >= self._until):
            self._looking = asyncio.create_task(self._look())
            self._until = now + READINESS_SECONDS
        return await asyncio.shield(self._looking)

    async def _look(self) -> list[str]:
        waiting = [] if self._door.current else ["keys"]
        try:
            await self._lookup.customers(["readyz"], offers=True)
        except FeatureStoreError:
            waiting.append("features")
        except (StorageError, StoreUnavailableError):
            waiting.append("offers")
        return waiting


def described(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI description, with the key as its security scheme and one form for every error."""
    told = get_openapi(title=app.title, version=app.version, routes=app.routes, description=__doc__)
    parts = told.setdefault("components", {})
    parts["securitySchemes"] = {"apiKey": {"type": "http", "scheme": "bearer", "bearerFormat": "hf_…"}}
    schemas = parts["schemas"]
    schemas["Problem"] = Problem.model_json_schema()
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)
    return told


def _lookup(request: Request) -> Lookup:
    lookup: Lookup = request.app.state.lookup
    return lookup


def _nobody(request: Request) -> ProblemError:
    request.app.state.door.metrics.unknown(1)
    return ProblemError(HTTPStatus.NOT_FOUND, "no customer has this id, or none who has ordered")


def _count_stale(request: Request, score: dict[str, Any] | None) -> None:
    if score is not None and not score["fresh"]:
        request.app.state.door.metrics.stale(1)


def _customer_id(request: Request) -> str:
    return _valid(_CUSTOMER_ID.validate_python, request.path_params["customer_id"], "customer_id")


def _valid(read: Callable[[Given], Read], given: Given, *place: str) -> Read:
    """What was given, as described. Raises ProblemError that says where it is not.

    What was sent is not repeated: it may name a customer.
    """
    try:
        return read(given)
    except ValidationError as error:
        faults = [
            {"field": ".".join(map(str, (*place, *one["loc"]))), "fault": one["msg"]}
            for one in error.errors(include_url=False, include_context=False, include_input=False)[:FAULTS_TOLD]
        ]
        raise ProblemError(
            HTTPStatus.UNPROCESSABLE_ENTITY, "the request is not as described", more={"faults": faults}
        ) from error


async def _body(request: Request) -> bytes:
    """The request's body. Raises ProblemError as soon as it is too long, or when it takes too long."""
    parts, size = [], 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                size += len(chunk)
                if size > LARGEST_BODY:
                    raise ProblemError(
                        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                        f"a body may have {LARGEST_BODY:,} bytes",
                        {"Connection": "close"},
                    )
                parts.append(chunk)
    except ClientDisconnect as error:
        raise ProblemError(HTTPStatus.BAD_REQUEST, "the body was broken off") from error
    except TimeoutError as error:
        raise ProblemError(HTTPStatus.REQUEST_TIMEOUT, "the body took too long", {"Connection": "close"}) from error
    return b"".join(parts)


async def _problem(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)  # noqa: S101 - registered for it alone
    return error.response()


async def _http_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it alone
    return of_http(error).response()
