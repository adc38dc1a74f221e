"""The look-up API, side by side with raw HMGET, Feast's SDK and Feast's own server, on one Redis with 86 features.

    python -m benchmarks.lookup [seconds a measurement]

writes benchmarks/results/lookup.json. Needs redis-server. Both servers run one process. Ours checks a key with every
request; Feast's asks for none. Raw HMGET and the SDK are called within one process, without a server between.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.load import Load, Seen, measure, request
from benchmarks.measured import record
from holdfast.adapters.environment import activate, for_child
from holdfast.adapters.operations import database
from holdfast.scores import SCORE_NAMES, SCORES_VIEW
from holdfast.settings import Settings
from tests.fakes import operations
from tests.fakes.channel import FakeChannel
from tests.fakes.offline_tables import scores, tables
from tests.fakes.redis_server import redis_server, why_absent

CUSTOMERS = 20_000
CLIENTS = (1, 4, 16)
SAMPLE = 2_000
"""Different requests, sent in turn."""


def fill(settings: Settings) -> None:
    """Features and scores of today for every customer, and a coupon for nine of a hundred."""
    from holdfast import wiring
    from holdfast.windows import instant
    from tests.fakes.shop import ZONE

    ids = list(map(wiring.pseudonyms(), own_ids(0, CUSTOMERS)))
    today = datetime.now(UTC).date()
    store = wiring.feature_store()
    store.write(tables(today, ids, base=0.5))
    store.apply()
    store.materialize(instant(today, ZONE))
    reasons = json.dumps(
        [
            {
                "family": "rhythm",
                "feature": "days_since_order",
                "contribution": 0.5,
                "text": {"en": "has not ordered for 31 days", "zh": "已 31 天未下单"},
            }
        ]
        * 3
    )
    store.write_scores(scores(today, *((one, 0.25, "high", reasons) for one in ids)))
    engine, tenth = database.connect(settings.operations), ids[::10]
    operations.reachable(engine, tenth)
    chosen = operations.scores(*((one, 0.6, "high", 50.0) for one in tenth))
    operations.intervention(engine, chosen, FakeChannel()).plan(
        operations.campaign(control_share=0.1), at=datetime.now(UTC)
    )


def require_offers(port: int, key: str) -> None:
    """Raise RuntimeError unless some customers are told to have an offer."""
    asked = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/customers:batch",
        json.dumps({"customer_ids": own_ids(0, 1000)}).encode(),
        {"Content-Type": "application/json", "Authorization": f"Bearer {key}"},
    )
    with urllib.request.urlopen(asked, timeout=10) as answer:  # noqa: S310 - our own server
        told = json.load(answer)["customers"]
    having = sum(bool(one["offers"]) for one in told)
    if not 50 <= having <= 100:
        raise RuntimeError(f"{having} of 1,000 customers have an offer, not about 90")


def card_fields() -> list[str]:
    return [f"{SCORES_VIEW}:{name}" for name in SCORE_NAMES]


def raw(url: str, project: str, customers: int) -> Callable[[int], Any]:
    """What a service would do that knew Feast's layout: HMGET, values decoded, JSON."""
    from redis import Redis

    from holdfast import wiring
    from holdfast.adapters.online.layout import entity_keys, value
    from holdfast.adapters.online.redis_rows import hash_field

    client, names = Redis.from_url(url), wiring.pseudonyms()
    fields = [hash_field(SCORES_VIEW, name) for name in SCORE_NAMES]

    def ask(number: int) -> str:
        ids = map(names, own_ids(number, customers))
        keys = [key + project.encode() for key in entity_keys(list(ids))]
        if customers == 1:
            rows: Any = [client.hmget(keys[0], fields)]
        else:
            pipe = client.pipeline(transaction=False)
            for key in keys:
                pipe.hmget(key, fields)
            rows = pipe.execute()
        return json.dumps([dict(zip(SCORE_NAMES, map(value, row), strict=True)) for row in rows])

    return ask


def sdk(customers: int) -> Callable[[int], Any]:
    from holdfast import wiring

    store, names = wiring.feature_store().sdk, wiring.pseudonyms()

    def ask(number: int) -> Any:
        rows = [{"customer_id": names(one)} for one in own_ids(number, customers)]
        return store.get_online_features(features=card_fields(), entity_rows=rows).to_dict()

    return ask


def called(ask: Callable[[int], Any], seconds: float) -> Seen:
    """One caller, within this process."""
    for number in range(50):
        ask(number)
    latencies = []
    cpu, ends = time.process_time(), time.perf_counter() + seconds
    while (started := time.perf_counter()) < ends:
        ask(len(latencies))
        latencies.append(time.perf_counter() - started)
    used = time.process_time() - cpu
    p50, p95, p99 = (round(float(one) * 1000, 3) for one in np.percentile(latencies, [50, 95, 99]))
    return Seen(round(len(latencies) / sum(latencies), 1), p50, p95, p99, round(used / len(latencies) * 1e6, 1), {}, 0)


def answered(load: Load, server: int) -> Seen:
    """What was measured; raises RuntimeError where an answer was anything but 200."""
    seen = measure(load, server)
    if set(seen.statuses) != {"200"} or seen.unanswered:
        raise RuntimeError(f"statuses {seen.statuses}, {seen.unanswered} unanswered")
    return seen


@contextmanager
def serving(command: Sequence[str], settings: Settings, port: int, health: str) -> Iterator[int]:
    """A server's process id, while it runs."""
    settings.logs.mkdir(exist_ok=True)
    with (settings.logs / f"benchmark-{port}.log").open("wb") as log:
        child = subprocess.Popen(command, env=for_child(settings, {}), stdout=log, stderr=log)  # noqa: S603 - our own
        try:
            ends = time.monotonic() + 120
            while True:
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}{health}", timeout=2).close()
                    break
                except OSError:
                    if child.poll() is not None or time.monotonic() > ends:
                        raise
                    time.sleep(0.2)
            yield child.pid
        finally:
            child.terminate()
            child.wait(30)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def make_key(*scopes: str) -> str:
    from holdfast import wiring
    from holdfast.access import Scope, new_key

    text, key = new_key(
        f"bench-{'-'.join(scopes)}",
        map(Scope, scopes),
        rate=1e6,
        burst=1_000_000,
        valid_for=timedelta(days=1),
        at=datetime.now(UTC),
    )
    wiring.api_keys().add(key, "benchmark")
    return text


def own_ids(number: int, customers: int) -> list[str]:
    """The shop's ids of so many customers; another ``number`` begins with another one."""
    return [f"customer-{(number * 7 + i) % CUSTOMERS:06d}" for i in range(customers)]


def rows(seconds: float) -> Iterator[dict[str, Any]]:
    absent = why_absent()
    if absent:
        raise SystemExit(absent)
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        url = opened.enter_context(redis_server(folder)) + "/0"
        os.environ["HOLDFAST_HOME"] = str(folder)
        os.environ["HOLDFAST_FEAST_ONLINE_URL"] = url
        ours_port, feast_port = free_port(), free_port()
        os.environ["HOLDFAST_LOOKUP_PORT"] = str(ours_port)
        settings = Settings()
        activate(settings)
        from holdfast import wiring

        wiring.prepare()
        fill(settings)
        project, names = wiring.feature_store().sdk.project, wiring.pseudonyms()
        scores_key, offers_key, features_key = (
            make_key("scores"),
            make_key("scores", "offers"),
            make_key("features"),
        )
        programs = Path(sys.executable).parent
        ours = opened.enter_context(
            serving([str(programs / "holdfast"), "lookup", "serve"], settings, ours_port, "/readyz")
        )
        feast = opened.enter_context(
            serving(
                [
                    *(str(programs / "feast"), "--chdir", str(settings.feast_repo), "serve"),
                    *("--host", "127.0.0.1", "--port", str(feast_port)),
                    *("--no-access-log", "--workers", "1", "--max-requests", "0"),
                ],
                settings,
                feast_port,
                "/health",
            )
        )

        require_offers(ours_port, offers_key)

        def card(customers: int, key: str) -> list[bytes]:
            if customers == 1:
                return [request("GET", f"/v1/customers/{own_ids(number, 1)[0]}", key=key) for number in range(SAMPLE)]
            return [
                request("POST", "/v1/customers:batch", {"customer_ids": own_ids(number, customers)}, key)
                for number in range(SAMPLE)
            ]

        def by_feast(customers: int, asked: dict[str, Any]) -> list[bytes]:
            return [
                request(
                    "POST",
                    "/get-online-features",
                    asked | {"entities": {"customer_id": list(map(names, own_ids(number, customers)))}},
                )
                for number in range(SAMPLE)
            ]

        for customers in (1, 100):
            yield {"what": "raw HMGET", "customers": customers, "clients": 1} | asdict(
                called(raw(url, project, customers), seconds)
            )
            yield {"what": "Feast SDK", "customers": customers, "clients": 1} | asdict(called(sdk(customers), seconds))
            servers = {
                "ours": (ours, ours_port, card(customers, scores_key)),
                "ours, with offers": (ours, ours_port, card(customers, offers_key)),
                "feast serve, feature list": (feast, feast_port, by_feast(customers, {"features": card_fields()})),
                "feast serve, service": (
                    feast,
                    feast_port,
                    by_feast(customers, {"feature_service": "customer_card_v1"}),
                ),
            }
            if customers == 1:
                servers["ours, all features"] = (
                    ours,
                    ours_port,
                    [
                        request("GET", f"/v1/customers/{own_ids(number, 1)[0]}/features", key=features_key)
                        for number in range(SAMPLE)
                    ],
                )
            for clients in CLIENTS:
                measured = {}
                for what, (process, port, requests) in servers.items():
                    measured[what] = answered(Load("127.0.0.1", port, requests, clients, seconds), process)
                    yield {"what": what, "customers": customers, "clients": clients} | asdict(measured[what])
                listed = measured["feast serve, feature list"]
                for what in ("ours", "ours, with offers"):
                    yield {
                        "what": f"{what} ÷ feast serve, feature list",
                        "customers": customers,
                        "clients": clients,
                        "throughput": round(measured[what].per_second / listed.per_second, 2),
                        "cpu_of_feast_over_ours": round(
                            (listed.server_cpu_us or 0) / (measured[what].server_cpu_us or 1), 2
                        ),
                    }
            per_second = 1000 if customers == 1 else 50
            for what, key in (("ours", scores_key), ("ours, with offers", offers_key)):
                load = Load("127.0.0.1", ours_port, card(customers, key), 16, seconds, per_second)
                yield {"what": what, "customers": customers, "arriving_per_second": per_second} | asdict(
                    answered(load, ours)
                )


if __name__ == "__main__":
    record(
        "lookup",
        rows(float(sys.argv[1]) if len(sys.argv) > 1 else 5.0),
        ("feast", "redis", "hiredis", "fastapi", "uvicorn", "uvloop", "httptools", "msgspec"),
    )
