"""Around the whole public app: room for so many requests at once, and headers for browsers on every answer."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

ROOM = 200
"""Requests worked on at once. Who comes on top is told at once to come back, before anything was taken from them."""
RETRY_SECONDS = 5

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",  # the address itself is the key
    "Strict-Transport-Security": "max-age=31536000",  # browsers heed it over TLS only
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex, nofollow",
}


class Guard:
    """The ASGI app ``inner`` behind both."""

    def __init__(self, inner: ASGIApp, room: int = ROOM) -> None:
        self._inner = inner
        self._room = room
        self._inside = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        self._inside += 1
        try:
            if self._inside > self._room:
                busy = PlainTextResponse("busy", status_code=503, headers={"Retry-After": str(RETRY_SECONDS)})
                await busy(scope, receive, sending)
            else:
                await self._inner(scope, receive, sending)
        finally:
            self._inside -= 1
