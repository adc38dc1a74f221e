"""The door that every route of the look-up API is behind: room, key, scope and pace, in this order, before any work."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from http import HTTPStatus
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Send
from starlette.types import Scope as AsgiScope

from holdfast.access import Grant, Keyring, Scope
from holdfast.errors import FeatureStoreError, StorageError, StoreUnavailableError
from holdfast.lookup.journal import Journal, Metrics
from holdfast.lookup.problems import ProblemError, of_http, wait
from holdfast.ports import ApiKeys

TRUSTED_SECONDS = 10.0
"""For how long keys that could not be read anew still count: a revoked one must not outlive it."""

_BEARER = b"bearer "


class Door:
    """Lets requests in. At most ``room`` are worked on at once; who comes on top is turned away at once, not queued."""

    def __init__(
        self,
        keys: ApiKeys,
        *,
        room: int,
        share: float,
        metrics: Metrics,
        journal: Journal,
        clock: Callable[[], datetime],
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._keys = keys
        self._room = room
        self._inside = 0
        self._ring = Keyring(share)
        self._clock = clock
        self._steady = steady
        self._read_at: float | None = None
        self.metrics = metrics
        self.journal = journal

    def refresh(self) -> None:
        """Read the keys anew. Raises StoreUnavailableError when that is not possible."""
        started = self._steady()
        self._ring.replace(self._keys.all(), started)
        self._read_at = started

    @property
    def current(self) -> bool:
        """Whether the keys were read a moment ago."""
        return self._read_at is not None and self._steady() - self._read_at < TRUSTED_SECONDS

    def identify(self, authorization: bytes) -> Grant:
        """The grant of who asks. Raises ProblemError for one without a valid key."""
        if not self.current:
            raise wait(HTTPStatus.SERVICE_UNAVAILABLE, "keys cannot be checked at present", 5)
        grant = None
        if authorization[: len(_BEARER)].lower() == _BEARER:
            grant = self._ring.find(authorization[len(_BEARER) :], self._clock())
        if grant is None:
            raise ProblemError(
                HTTPStatus.UNAUTHORIZED,
                "send a valid key as 'Authorization: Bearer hf_…'; `holdfast lookup key new` makes one",
                {"WWW-Authenticate": 'Bearer realm="holdfast"'},
            )
        return grant

    def admit(self, grant: Grant, wanted: Scope | None) -> None:
        """Raise ProblemError unless the key has the scope (None: any will do) and its pace allows one more request."""
        if wanted is not None and wanted not in grant.key.scopes:
            raise ProblemError(HTTPStatus.FORBIDDEN, f"this needs a key of scope {wanted}")
        self.charge(grant, 1)

    def charge(self, grant: Grant, tokens: int) -> None:
        """Count so many requests against the key's pace. Raises ProblemError when it has been faster than it may."""
        seconds = grant.bucket.take(tokens, self._steady())
        if seconds:
            raise wait(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"this key may ask {grant.key.rate:g} times a second and {grant.key.burst} times at once",
                seconds,
            )

    async def pass_through(self, route: Guarded, asgi: AsgiScope, receive: Receive, send: Send) -> None:
        """Work on the request if it may come in; whatever happens, it is answered, counted and noted."""
        started = self._steady()
        status, begun, key = 500, False, None

        async def sending(message: Message) -> None:
            nonlocal status, begun
            if message["type"] == "http.response.start":
                status, begun = message["status"], True
            await send(message)

        self._inside += 1
        self.metrics.in_flight.inc()
        try:
            if self._inside > self._room:
                raise wait(HTTPStatus.SERVICE_UNAVAILABLE, "more requests at once than can be served; come back", 1)
            grant = self.identify(_authorization(asgi))
            key = grant.key.id
            self.admit(grant, route.wanted)
            asgi["holdfast.grant"] = grant
            await route.serve(asgi, receive, sending)
        except ProblemError as problem:
            await problem.response()(asgi, receive, sending)
        except HTTPException as error:
            await of_http(error).response()(asgi, receive, sending)
        except (FeatureStoreError, StorageError, StoreUnavailableError) as error:
            self.journal.note("unavailable", route=route.path, error=type(error).__name__)
            closed = wait(HTTPStatus.SERVICE_UNAVAILABLE, "a store cannot be read at present", 2)
            await closed.response()(asgi, receive, sending)
        except Exception as error:
            self.journal.fault(route.path, error)
            if begun:
                raise
            ours = ProblemError(HTTPStatus.INTERNAL_SERVER_ERROR, "an error of ours; it has been noted")
            await ours.response()(asgi, receive, sending)
        finally:
            self._inside -= 1
            self.metrics.in_flight.dec()
            seconds = self._steady() - started
            self.metrics.observe(route.path, status, seconds)
            self.journal.note("request", route=route.path, status=status, key=key, ms=round(seconds * 1000, 3))


class Guarded(APIRoute):
    """A route behind the door, which says by ``guarded_by`` what key it needs: without, it cannot be made.

    FastAPI documents it; its endpoint takes the request and reads its own parameters, for resolving them in FastAPI
    takes longer than the look-up itself.
    """

    def __init__(self, path: str, endpoint: Callable[[Request], Awaitable[Response]], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        [scopes] = (self.openapi_extra or {})["security"][0].values()
        self.wanted = Scope(scopes[0]) if scopes else None

    async def handle(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        await scope["app"].state.door.pass_through(self, scope, receive, send)

    async def serve(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Answer one who may come in."""
        if scope["method"] not in self.methods:
            raise HTTPException(HTTPStatus.METHOD_NOT_ALLOWED, headers={"Allow": ", ".join(sorted(self.methods))})
        response = await self.endpoint(Request(scope, receive))
        await response(scope, receive, send)


def guarded_by(scope: Scope | None) -> dict[str, Any]:
    """What the documentation says of a route that needs a key: of this scope, or any."""
    return {"security": [{"apiKey": [scope.value] if scope else []}]}


def granted(request: Request) -> Grant:
    """By which key the request came in."""
    grant: Grant = request.scope["holdfast.grant"]
    return grant


def _authorization(asgi: AsgiScope) -> bytes:
    for name, value in asgi["headers"]:
        if name == b"authorization":
            given: bytes = value
            return given
    return b""
