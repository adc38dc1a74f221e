"""The one form of every error: problem details as RFC 9457 defines them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

MEDIA_TYPE = "application/problem+json"


class Problem(BaseModel):
    """What went wrong. ``title`` is the same for every problem of a status; ``detail`` says what to do."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(default="about:blank", description="always about:blank: the status says what kind it is")
    title: str
    status: int
    detail: str


class ProblemError(Exception):
    """Ends a request with a problem; ``more`` are members of its own, ``headers`` go with it."""

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        headers: Mapping[str, str] | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers, self.more = status, detail, headers, more

    def response(self) -> Response:
        body = {"type": "about:blank", "title": self.status.phrase, "status": self.status.value, "detail": self.detail}
        return Response(
            msgspec.json.encode(body | dict(self.more or {})),
            self.status,
            {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"} | dict(self.headers or {}),
            MEDIA_TYPE,
        )


def of_http(error: HTTPException) -> ProblemError:
    """The framework's own errors: no such route, no such method."""
    status = HTTPStatus(error.status_code)
    detail = "there is nothing here; /v1/openapi.json lists what there is"
    return ProblemError(status, detail if status is HTTPStatus.NOT_FOUND else status.description, error.headers)


def wait(status: HTTPStatus, detail: str, seconds: float) -> ProblemError:
    """A problem that goes away by itself after about so many seconds."""
    return ProblemError(status, detail, {"Retry-After": str(max(1, math.ceil(seconds)))})


def responses(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """The documentation of these problems."""
    return {
        status.value: {
            "description": status.phrase,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in statuses
    }
