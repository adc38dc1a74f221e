"""Messages handed to another company's service (SMS, app push, care desk) as signed HTTPS requests."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

import httpcore

from holdfast.adapters.channels.network import AddressRefusedError, Deadline, GuardedBackend, Network
from holdfast.campaign.envelope import Envelope
from holdfast.campaign.signing import sign
from holdfast.errors import (
    AmbiguousDeliveryError,
    ChannelUnavailableError,
    MessageRefusedError,
    TemporaryChannelError,
)

RESPONSE_CAP = 64 * 1024
"""Bytes of an answer that are read at most; its status alone decides."""

_LONGEST_DETAIL = 200
_NOT_TAKEN = frozenset({503})  # answers that say the request was not acted on, for now
_MEANT_FOR_ALL = frozenset({401, 403, 404, 405, 410})  # the next message would fare no better
_TOO_MANY, _IN_PROGRESS = 429, 409


@dataclass(frozen=True)
class WebhookTarget:
    """Where a channel's messages go, with the key that signs them.

    ``deadline`` (seconds) bounds one request from looking the name up to the end of the answer. ``allow`` names the
    private networks that the address may lie in: by default none.
    """

    url: str
    key: bytes = field(repr=False)
    deadline: float = 10
    allow: Sequence[Network] = ()
    tls: ssl.SSLContext = field(default_factory=ssl.create_default_context, repr=False)


class WebhookChannel:
    """``ports.Channel`` over one webhook. ``clock`` gives the time that a request is signed with."""

    def __init__(self, target: WebhookTarget, clock: Callable[[], datetime]) -> None:
        self._target = target
        self._clock = clock

    @contextmanager
    def connect(self) -> Iterator[WebhookConnection]:
        deadline = Deadline(self._target.deadline)
        backend = GuardedBackend(self._target.allow, deadline)
        # No retries and no redirects: httpcore does neither, so a request leaves once and goes where it is meant to.
        with httpcore.ConnectionPool(self._target.tls, max_connections=1, network_backend=backend) as pool:
            yield WebhookConnection(self._target, self._clock, pool, deadline)


class WebhookConnection:
    """One kept-alive connection to the service; it is opened with the first message."""

    def __init__(
        self,
        target: WebhookTarget,
        clock: Callable[[], datetime],
        pool: httpcore.ConnectionPool,
        deadline: Deadline,
    ) -> None:
        self._target = target
        self._clock = clock
        self._pool = pool
        self._deadline = deadline

    def prepare(self, envelope: Envelope) -> Callable[[], None]:
        """See ``ports.ChannelConnection.prepare``. A repetition of the message carries the same Idempotency-Key."""
        body = payload(envelope)
        headers = [
            ("Content-Type", "application/json"),
            ("User-Agent", "holdfast"),
            ("Idempotency-Key", envelope.reference),
            *sign(self._target.key, envelope.reference, self._clock(), body).items(),
        ]
        return partial(self._post, envelope, headers, body)

    def _post(self, envelope: Envelope, headers: Sequence[tuple[str, str]], body: bytes) -> None:
        self._deadline.start()
        try:
            with self._pool.stream("POST", self._target.url, headers=headers, content=body) as response:
                status = response.status
                said = _beginning(response)
        except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
            raise ChannelUnavailableError(
                f"no connection to {self._target.url}: {_why(error)}; nothing was sent"
            ) from (error)
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError) as error:
            raise AmbiguousDeliveryError(
                f"{self._target.url} did not answer the request ({type(error).__name__}); it may or may not have acted "
                f"on it: ask there for Idempotency-Key {envelope.reference}"
            ) from error
        _judge(status, f"{self._target.url} answered {status}: {_text(said, envelope.recipient)}")


def payload(envelope: Envelope) -> bytes:
    """The request's body: JSON with sorted keys, so that the same message gives the same bytes."""
    content = {
        "channel": envelope.channel,
        "recipient": envelope.recipient,
        "reference": envelope.reference,
        "at": envelope.at.isoformat(),
        "language": envelope.language,
        "subject": envelope.subject,
        "text": envelope.text,
        "preferences": envelope.way_out.page if envelope.way_out else None,
        "data": dict(envelope.data),
    }
    return json.dumps(content, ensure_ascii=False, sort_keys=True).encode()


def _judge(status: int, answer: str) -> None:
    """Raise what an answer other than success means."""
    if status // 100 == 2:
        return
    if status == _TOO_MANY:
        raise TemporaryChannelError(answer)
    if status in _NOT_TAKEN:
        raise ChannelUnavailableError(answer)
    if status in _MEANT_FOR_ALL or status // 100 == 3:
        raise ChannelUnavailableError(f"{answer}. Check the channel's url and secret; redirects are not followed")
    if status // 100 == 4 and status != _IN_PROGRESS:
        raise MessageRefusedError(answer)
    # 500, 502, 504 and 409 ("already in progress") come from servers that may have acted on the request.
    raise AmbiguousDeliveryError(f"{answer}. It may or may not have acted on it")


def _beginning(response: httpcore.Response) -> bytes:
    """The answer's beginning; the rest, however long, is never read. The status is known: nothing can fail here."""
    said = b""
    with suppress(httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError):
        for chunk in response.iter_stream():
            said += chunk
            if len(said) >= RESPONSE_CAP:
                break
    return said[:RESPONSE_CAP]


def _text(said: bytes, recipient: str) -> str:
    """What the service said, for logs and the outbox, without the address, which belongs in the vault alone."""
    text = " ".join(said.decode("utf-8", "replace").split())
    return text.replace(recipient, "the recipient")[:_LONGEST_DETAIL] or "nothing"


def _why(error: Exception) -> str:
    if isinstance(error, AddressRefusedError):
        return f"{error}; name its network under the channel's `allow` if it is meant"
    return f"{type(error).__name__}: {error}"
