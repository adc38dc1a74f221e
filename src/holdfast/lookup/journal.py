"""What the look-up API tells of itself: metrics for Prometheus, a JSON line a request, and no customer's id."""

from __future__ import annotations

import asyncio
import logging
import sys
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess

FLUSH_SECONDS = 0.5
_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Metrics:
    """Counters and times by route. With several workers they share files in ``shared``, and each can tell of all."""

    def __init__(self, shared: Path | None) -> None:
        self._shared = shared
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "holdfast_lookup_requests", "Requests answered", ["route", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "holdfast_lookup_request_seconds",
            "Time from a request's head to its answer",
            ["route"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._stale = Counter(
            "holdfast_lookup_stale_answers",
            "Answers about one customer with values past their time to live",
            registry=self._registry,
        )
        self._unknown = Counter(
            "holdfast_lookup_unknown_customers", "Customers asked for that nobody knows", registry=self._registry
        )
        self.in_flight = Gauge(
            "holdfast_lookup_requests_in_flight",
            "Requests being worked on",
            registry=self._registry,
            multiprocess_mode="livesum",
        )
        self._by_route: dict[tuple[str, int], tuple[Counter, Histogram]] = {}

    def observe(self, route: str, status: int, seconds: float) -> None:
        pair = self._by_route.get((route, status))
        if pair is None:
            pair = self._requests.labels(route, str(status)), self._seconds.labels(route)
            self._by_route[route, status] = pair
        pair[0].inc()
        pair[1].observe(seconds)

    def stale(self, answers: int) -> None:
        self._stale.inc(answers)

    def unknown(self, customers: int) -> None:
        self._unknown.inc(customers)

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format."""
        registry = self._registry
        if self._shared is not None:
            registry = CollectorRegistry()
            collector: Any = multiprocess.MultiProcessCollector
            collector(registry, path=str(self._shared))
        return generate_latest(registry)


class Journal:
    """JSON lines on ``out``, written in bulk, at the latest every FLUSH_SECONDS. Faults are written at once."""

    def __init__(self, out: TextIO = sys.stdout, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._out = out
        self._clock = clock
        self._lines: list[bytes] = []
        self._encode = msgspec.json.Encoder().encode

    def note(self, event: str, **told: Any) -> None:
        self._lines.append(self._encode({"at": self._clock(), "event": event, **told}))

    def fault(self, route: str, error: BaseException) -> None:
        """An error that nobody expected: its type and where it arose. Its text may name a customer: it is left out."""
        places = [f"{Path(one.filename).name}:{one.lineno}" for one in traceback.extract_tb(error.__traceback__)]
        self.note("fault", route=route, error=type(error).__name__, at_lines=places[-6:])
        self.flush()

    def flush(self) -> None:
        if self._lines:
            lines, self._lines = self._lines, []
            self._out.write(b"\n".join(lines).decode() + "\n")
            self._out.flush()

    async def keep_flushing(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            self.flush()


SERVER_LOG: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "holdfast.lookup.journal.JsonLines"}},
    "handlers": {"out": {"class": "logging.StreamHandler", "formatter": "json", "stream": "ext://sys.stdout"}},
    "root": {"handlers": ["out"], "level": "WARNING"},
    "loggers": {"uvicorn": {"handlers": ["out"], "level": "WARNING", "propagate": False}},
}
"""How the server itself logs."""


class JsonLines(logging.Formatter):
    """The server's own log messages in the same form."""

    def format(self, record: logging.LogRecord) -> str:
        told = {"at": datetime.fromtimestamp(record.created, UTC), "event": "server", "level": record.levelname.lower()}
        if record.exc_info and record.exc_info[0]:
            told["error"] = record.exc_info[0].__name__
        return msgspec.json.encode(told | {"message": record.getMessage()}).decode()
