"""How a measurement is made and kept: each in a process of its own, results with machine and versions as JSON."""

from __future__ import annotations

import json
import multiprocessing
import os
import platform
import resource
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).with_name("results")


@dataclass(frozen=True)
class Figures:
    """Seconds by the clock, seconds of this process' processor time, and its peak memory in MB."""

    seconds: float
    cpu_seconds: float
    peak_mb: int


def alone(work: Callable[..., Callable[[], Any]], *args: Any) -> Figures:
    """Measure in a new process what ``work(*args)`` returns; preparing it (imports, connections) is not measured."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_measure, args=(sender, work, args))
    child.start()
    sender.close()
    try:
        figures: Figures = receiver.recv()
    except EOFError as error:
        raise RuntimeError(f"the measured process ended with code {child.exitcode}") from error
    finally:
        child.join()
    return figures


def _measure(sender: Any, work: Callable[..., Callable[[], Any]], args: tuple[Any, ...]) -> None:
    step = work(*args)
    clock, cpu = time.perf_counter(), time.process_time()
    step()
    seconds, used = time.perf_counter() - clock, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    sender.send(Figures(round(seconds, 2), round(used, 2), peak))


def record(name: str, rows: Iterable[Mapping[str, Any]], packages: Iterable[str]) -> None:
    """Write ``results/<name>.json`` anew after each row, so that a run cut short leaves what it had measured."""
    path = RESULTS / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    head = {
        "measured_at": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "machine": {"cores": os.cpu_count(), "platform": platform.machine()},
        "versions": {"python": platform.python_version()} | {package: version(package) for package in packages},
    }
    kept: list[dict[str, Any]] = []
    for row in rows:
        load = round(os.getloadavg()[0], 1)
        told = {key: asdict(value) if isinstance(value, Figures) else value for key, value in row.items()}
        kept.append(told | {"load_after": load})
        path.write_text(json.dumps(head | {"rows": kept}, indent=2) + "\n", encoding="utf-8")
        sys.stdout.write(json.dumps(kept[-1]) + "\n")
        sys.stdout.flush()
