"""The public web app: preference page, one-click unsubscribe, and the hooks by which channels and the shop report.

GET shows and never changes anything: mail scanners follow links. POST acts. Nobody logs in: a page's token and a hook's
signature are the keys. What is wrong with either is never told.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Annotated
from urllib.parse import parse_qs

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from holdfast.campaign.feedback import Feedback as FeedbackKind
from holdfast.campaign.offers import RedemptionReport
from holdfast.campaign.replies import Told
from holdfast.campaign.signing import is_signed
from holdfast.pipelines.redeem import redeem
from holdfast.pipelines.replies import Feedback, Preferences
from holdfast.ports import Operations
from holdfast.public import page
from holdfast.public.guard import ROOM, Guard
from holdfast.public.words import language
from holdfast.windows import in_utc

LARGEST_FORM, LARGEST_REPORT = 10_000, 100_000
"""Bytes of a request's body that are read at most."""
BODY_SECONDS = 10.0
"""How long a client may take to send its body."""
OWN_SITE = ("same-origin", "none")
"""Where the page's own form comes from, by ``Sec-Fetch-Site``. Another site would have to know the token, which is what
protects the form; should one ever get hold of a link, a browser still does not choose in the customer's name. Mail
providers' one click is a request of their own, from anywhere: it is not asked."""

Money = Annotated[Decimal, Field(ge=0, le=100_000_000, decimal_places=2)]
Text = Annotated[str, Field(pattern=r"^[^\x00]*$")]
"""PostgreSQL keeps no NUL."""
Word = Annotated[Text, Field(min_length=1, max_length=200)]
Moment = Annotated[AwareDatetime, AfterValidator(in_utc)]


class _Report(BaseModel):
    """A channel's report about a message. The words it came in are not kept: servers quote addresses in them."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: Annotated[Text, Field(min_length=1, max_length=150)]  # it is kept behind the channel's name, 200 in all
    reference: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    kind: FeedbackKind
    occurred_at: Moment
    permanent: bool = False


class _Redemption(BaseModel):
    """The shop's word that a coupon was used."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    redemption_id: Word
    code: Annotated[Text, Field(min_length=1, max_length=60)]
    redeemed_at: Moment
    basket: Money
    discount: Money
    order_id: Word | None = None


Hook = Callable[[bytes, str, datetime], object]
"""What a signed request's body does: body, hook name and time in, a JSON value out; ValueError for a body it cannot
read."""


@dataclass(frozen=True)
class Inbound:
    """A signed hook: the keys of which one must have signed, and what its body does."""

    keys: Sequence[bytes] = field(repr=False)
    act: Hook


class _TooLargeError(Exception):
    """The body is longer than it may be."""


def report_hook(feedback: Feedback, channel: str) -> Hook:
    """What a channel's report does."""

    def act(body: bytes, _name: str, at: datetime) -> object:
        one = _Report.model_validate_json(body)
        told = Told(one.id, one.reference, one.kind, one.occurred_at, one.permanent)
        return {"recorded": feedback.receive(channel, told, at)}

    return act


def redemption_hook(operations: Operations) -> Hook:
    """What the shop's report of a redemption does: the answer says whether it counts, and if not, why."""

    def act(body: bytes, _name: str, at: datetime) -> object:
        one = _Redemption.model_validate_json(body)
        report = RedemptionReport(one.redemption_id, one.code, one.redeemed_at, one.basket, one.discount, one.order_id)
        return {"outcome": redeem(operations, [report], "webhook", at)[report.id].value}

    return act


def create_app(
    shop: str, preferences: Preferences, hooks: Mapping[str, Inbound], clock: Callable[[], datetime], room: int = ROOM
) -> FastAPI:
    """The app for ``shop``; ``hooks`` are the signed ones by their path below ``/hooks/``."""
    app = FastAPI(title="Holdfast preferences", openapi_url=None, docs_url=None, redoc_url=None)
    app.add_middleware(Guard, room=room)

    def missing(request: Request) -> Response:
        words = language(request.query_params.get("lang"), request.headers.get("accept-language"))
        return HTMLResponse(page.missing(shop, words), status_code=404)

    @app.exception_handler(404)
    def _not_found(request: Request, _error: Exception) -> Response:
        return missing(request)

    @app.exception_handler(_TooLargeError)
    def _too_large(_request: Request, _error: Exception) -> Response:
        return PlainTextResponse("too large", status_code=413)

    @app.exception_handler(TimeoutError)
    def _too_slow(_request: Request, _error: Exception) -> Response:
        return PlainTextResponse("too slow", status_code=408)

    @app.get("/health")
    def health() -> Response:
        return PlainTextResponse("ok")

    @app.get("/preferences/{token}")
    @app.get("/unsubscribe/{token}")
    def show(request: Request, token: str) -> Response:
        standing = preferences.look(token)
        if standing is None:
            return missing(request)
        asked = request.query_params.get("lang")
        words = language(asked, standing.locale, request.headers.get("accept-language"))
        action = f"../preferences/{token}" + (f"?lang={words}" if asked else "")
        saved = "saved" in request.query_params
        html = page.preferences(shop, standing, words, action=action, saved=saved)
        return HTMLResponse(html)

    @app.post("/preferences/{token}")
    async def choose(request: Request, token: str) -> Response:
        if request.headers.get("sec-fetch-site", "same-origin") not in OWN_SITE:
            return PlainTextResponse("another site's form", status_code=403)
        form = parse_qs((await _body(request, LARGEST_FORM)).decode("utf-8", "replace"))
        if "stop" in form:
            done = await run_in_threadpool(preferences.object, token, clock())
        else:
            profiling = "profiling" in form if "asked" in form else None
            done = await run_in_threadpool(preferences.choose, token, form.get("channel", []), clock(), profiling)
        if done is None:
            return missing(request)
        asked = request.query_params.get("lang")
        back = f"{token}?saved" + (f"&lang={language(asked)}" if asked else "")
        return RedirectResponse(back, status_code=303)

    @app.post("/unsubscribe/{token}")
    async def one_click(request: Request, token: str) -> Response:
        body = await _body(request, LARGEST_FORM)
        if b"List-Unsubscribe" not in body or b"One-Click" not in body:  # as a form, of either encoding
            return missing(request)
        if not await run_in_threadpool(preferences.stop, token, clock()):
            return missing(request)
        return PlainTextResponse("unsubscribed")

    @app.post("/hooks/{name:path}")
    async def hook(request: Request, name: str) -> Response:
        inbound = hooks.get(name)
        body = await _body(request, LARGEST_REPORT)
        now = clock()
        if inbound is None or not is_signed(inbound.keys, request.headers, body, now):
            return JSONResponse({"error": "not signed as agreed"}, status_code=401)
        try:
            return JSONResponse(await run_in_threadpool(inbound.act, body, name, now))
        except ValidationError as error:
            faults = [{"field": ".".join(map(str, one["loc"])), "fault": one["msg"]} for one in error.errors()]
            return JSONResponse({"error": "not as described", "faults": faults}, status_code=422)

    return app


async def _body(request: Request, largest: int) -> bytes:
    """The request's body. Raises _TooLargeError as soon as it is longer, TimeoutError when it takes too long."""
    body = b""
    async with asyncio.timeout(BODY_SECONDS):
        async for chunk in request.stream():
            body += chunk
            if len(body) > largest:
                raise _TooLargeError
    return body
