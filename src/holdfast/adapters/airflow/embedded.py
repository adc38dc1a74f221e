"""Runs DAGs in this process, on an SQLite Airflow of the checkout's own: no server, no scheduler, no account.

Airflow reads its configuration when it is first imported: call ``holdfast.adapters.environment.activate`` before this
module is imported.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow.dag_processing.dagbag import DagBag
from airflow.listeners import hookimpl
from airflow.models.asset import AssetDagRunQueue
from airflow.models.xcom import XComModel
from airflow.sdk.listener import get_listener_manager
from airflow.utils.db import initdb
from airflow.utils.session import create_session
from sqlalchemy import delete

from holdfast.adapters.airflow.pools import create_pools
from holdfast.errors import HoldfastError, SettingsError
from holdfast.settings import Settings


@dataclass(frozen=True)
class TaskEnd:
    """One task instance that has ended: its name, state, wall seconds, return value, and what went wrong."""

    dag: str
    task: str
    index: int | None
    state: str
    seconds: float
    value: Any
    error: BaseException | str | None


@dataclass(frozen=True)
class DagEnd:
    """A DAG run that has ended. ``values`` holds each task's return value (a list for a mapped task)."""

    dag: str
    state: str
    seconds: float
    tasks: tuple[TaskEnd, ...]

    def value(self, task: str) -> Any:
        """What ``task`` returned: one value, or a list in map order where it was mapped; None if it did not run."""
        ends = [end for end in self.tasks if end.task == task and end.state == "success"]
        if any(end.index is not None for end in ends):
            return [end.value for end in sorted(ends, key=lambda end: end.index or 0)]
        return ends[0].value if ends else None

    def raise_on_failure(self) -> DagEnd:
        """Itself if it succeeded; otherwise the first task's own Holdfast error, or one that names the task."""
        if self.state == "success":
            return self
        failed = [end for end in self.tasks if end.state == "failed"]
        for end in failed:
            if isinstance(end.error, HoldfastError):
                raise end.error
        told = "; ".join(f"{end.task}: {end.error}" for end in failed) or "no task failed, but the run did not succeed"
        raise HoldfastError(f"DAG {self.dag} ended as {self.state}: {told}")


class _Watch:
    """An Airflow listener that hands every task end to ``tell`` as it happens."""

    def __init__(self, tell: Callable[[TaskEnd], None]) -> None:
        self._tell = tell
        self._started = time.monotonic()
        self.ends: list[TaskEnd] = []

    @hookimpl
    def on_task_instance_running(self, previous_state: Any, task_instance: Any) -> None:
        self._started = time.monotonic()

    @hookimpl
    def on_task_instance_success(self, previous_state: Any, task_instance: Any) -> None:
        self._end(task_instance, "success", value=_returned(task_instance))

    @hookimpl
    def on_task_instance_failed(self, previous_state: Any, task_instance: Any, error: Any) -> None:
        self._end(task_instance, "failed", error=error)

    @hookimpl
    def on_task_instance_skipped(self, previous_state: Any, task_instance: Any) -> None:
        self._end(task_instance, "skipped")

    def _end(self, instance: Any, state: str, value: Any = None, error: Any = None) -> None:
        index = None if instance.map_index in (None, -1) else int(instance.map_index)
        seconds = time.monotonic() - self._started
        end = TaskEnd(instance.dag_id, instance.task_id, index, state, seconds, value, error)
        self.ends.append(end)
        self._tell(end)


def _returned(instance: Any) -> Any:
    """The XCom return value of a task instance that has just succeeded."""
    with create_session() as session:
        row = session.scalars(
            XComModel.get_many(
                run_id=instance.run_id,
                key="return_value",
                dag_ids=instance.dag_id,
                task_ids=instance.task_id,
                map_indexes=instance.map_index,
            )
        ).first()
        return None if row is None else XComModel.deserialize_value(row)


class EmbeddedAirflow:
    """Airflow in one process. Use as a context manager: it holds the home's lock, so that no other Airflow runs on it.

    Everything the tasks print goes to ``log``; ``tell`` hears of each task as it ends.
    """

    def __init__(self, settings: Settings, log: Path, tell: Callable[[TaskEnd], None]) -> None:
        self._settings = settings
        self._log = log
        self._tell = tell
        self._open = contextlib.ExitStack()
        self._dags: Mapping[str, Any] = {}

    def __enter__(self) -> EmbeddedAirflow:
        with contextlib.ExitStack() as opening:
            opening.enter_context(home_lock(self._settings.airflow_home))
            with printing_to(self._log):
                self._dags = _load(self._settings)
            self._open = opening.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def run(self, dag_id: str, conf: Mapping[str, Any]) -> DagEnd:
        """Run one DAG to its end, with ``conf`` as its parameters, and return how it ended (never raising for it)."""
        watch = _Watch(self._tell)
        listeners = get_listener_manager()
        started = time.monotonic()
        with printing_to(self._log):
            _clear_queue(dag_id)
            listeners.pm.register(watch)
            try:
                run = self._dags[dag_id].test(run_conf=dict(conf))
            finally:
                listeners.pm.unregister(watch)
        return DagEnd(dag_id, str(run.state.value), time.monotonic() - started, tuple(watch.ends))


def _clear_queue(dag_id: str) -> None:
    """Forget the asset events that would start this DAG: it runs now, and a later scheduler must not run it again."""
    with create_session() as session:
        session.execute(delete(AssetDagRunQueue).where(AssetDagRunQueue.target_dag_id == dag_id))


def _load(settings: Settings) -> Mapping[str, Any]:
    """Bring the metadata database up to date and parse ``dags/``. Raises SettingsError naming each broken DAG file."""
    initdb()
    create_pools()
    bag = DagBag(str(settings.project / "dags"))
    if bag.import_errors:
        told = "\n".join(f"{file}: {trace.strip().splitlines()[-1]}" for file, trace in bag.import_errors.items())
        raise SettingsError(f"these DAG files do not import:\n{told}")
    return dict(bag.dags)


@contextlib.contextmanager
def home_lock(home: Path) -> Iterator[None]:
    """Hold this Airflow home for one process; a second one is told so at once."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SettingsError(
                f"another Holdfast process (`make up` or `holdfast run`) is using {home}. "
                "Stop it, or set HOLDFAST_HOME to another folder."
            ) from error
        yield


@contextlib.contextmanager
def printing_to(log: Path) -> Iterator[None]:
    """Send what this process prints, libraries' C code included, to the end of ``log``."""
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    with log.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for fd, copy in zip((1, 2), kept, strict=True):
            os.dup2(copy, fd)
            os.close(copy)
