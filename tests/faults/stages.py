"""The loop's stages as processes of their own on a small home, each of which can be killed at any of its writes.

A boundary is a file opened for writing, renamed, made or removed below the home, a commit of an SQL database, and the
moments before and after a Delta commit and an online batch: what of it is on disk, and what is not, decides what a
retry finds.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import yaml

from tests.machine import ours

CUTOFF = "2017-06-25"
SHARE = 0.03
"""Of the sample's households: about 75."""

_WRITING = os.O_WRONLY | os.O_RDWR


@dataclass(frozen=True)
class Ended:
    """How a stage's process ended: ``killed``, with an ``error`` of ours by class and text, or well (both unset).

    ``broken`` is what a reader found not whole just before, ``value`` what the stage gave back, and ``boundaries`` how
    many it crossed.
    """

    broken: list[str]
    killed: bool
    error: str | None
    value: Any = None
    boundaries: int = 0


class Home:
    """A home of its own, in which each stage runs in a new process."""

    def __init__(self, folder: Path, project: Path, smtp_port: int) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        rules = yaml.safe_load((project / "config/retention.yaml").read_text())
        rules["training"] |= {
            "first_cutoff": "2017-04-09",
            "test_cutoffs": 1,
            "study_cutoffs": 0,
            "candidates": ["recency_rule", "logistic"],
            "resamples": 20,
        }
        rules["gate"] = {"calibration_error": 0.5}  # what so few customers have to pass
        rules["scoring"] |= {"shards": 2}
        rules["tiers"] = {"by": "threshold", "high": 0.02, "medium": 0.01}
        rules.pop("fairness", None)
        file = folder / "rules.yaml"
        file.write_text(yaml.safe_dump(rules))
        self._environment = {
            "HOLDFAST_HOME": str(folder),
            "HOLDFAST_RULES": str(file),
            "HOLDFAST_APPROVAL": "auto",
            "HOLDFAST_FEATURE_WORKERS": "1",
            "HOLDFAST_PSEUDONYM_KEY": "the same in every home, so that their rows can be compared",
            "HOLDFAST_SMTP_PORT": str(smtp_port),
        }

    def start(self, work: str, die_at: int | None = None) -> Started:
        """Run a stage, or another function of this module, to its end or to its ``die_at``-th boundary."""
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__, "tests.faults.preloaded"])
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=_run, args=(sender, work, self._environment, die_at))
        process.start()
        sender.close()
        return Started(process, receiver)

    def run(self, work: str, die_at: int | None = None) -> Ended:
        return self.start(work, die_at).end()

    def value(self, work: str) -> Any:
        """What the work gives back; it must end well."""
        ended = self.run(work)
        assert ended.broken == []
        assert (ended.killed, ended.error) == (False, None), ended.error
        return ended.value


class Started:
    """A process under way."""

    def __init__(self, process: Any, receiver: Any) -> None:
        self._process, self._receiver = process, receiver

    def end(self) -> Ended:
        broken = self._receiver.recv()
        try:
            error, value, crossed = self._receiver.recv()
        except EOFError:
            self._process.join()
            if self._process.exitcode == -signal.SIGKILL:
                return Ended(broken, True, None)
            raise RuntimeError(f"the stage's process ended with code {self._process.exitcode}") from None
        self._process.join()
        return Ended(broken, False, error, value, crossed)


def _run(sender: Any, work: str, environment: dict[str, str], die_at: int | None) -> None:
    for name in ours():
        del os.environ[name]
    os.environ |= environment
    log = Path(environment["HOLDFAST_HOME"]) / "stages.log"
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(out, 1)
    os.dup2(out, 2)
    from holdfast import wiring
    from holdfast.errors import HoldfastError

    wiring.prepare()
    sender.send(look())
    boundaries = Boundaries(environment["HOLDFAST_HOME"], die_at)
    try:
        value = WORK[work]()
    except HoldfastError as error:
        sender.send((f"{type(error).__name__}: {error}", None, boundaries.crossed))
        return
    except Exception:  # what no operator should ever be told
        sender.send((traceback.format_exc(), None, boundaries.crossed))
        raise
    sender.send((None, value, boundaries.crossed))


class Boundaries:
    """Counts this process' boundaries from now on, and kills it at the ``die_at``-th."""

    def __init__(self, home: str, die_at: int | None) -> None:
        self.crossed = 0
        self._home, self._die_at = home, die_at
        self._watch_files()
        self._watch_stores()

    def cross(self, *_: object) -> None:
        self.crossed += 1
        if self.crossed == self._die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def _watch_files(self) -> None:
        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            if event == "open":
                path, _, flags = arguments
                if flags & _WRITING and isinstance(path, str | os.PathLike):
                    self._cross_below_home(path)
            elif event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir"):
                self._cross_below_home(arguments[0])

        sys.addaudithook(hook)

    def _cross_below_home(self, path: Any) -> None:
        if str(path).startswith(self._home):
            self.cross()

    def _watch_stores(self) -> None:
        import deltalake
        from sqlalchemy import Engine, event

        from holdfast.adapters.online import sqlite_rows

        event.listen(Engine, "commit", self.cross)
        deltalake.write_deltalake = self._around(deltalake.write_deltalake)
        sqlite_rows._write = self._around(sqlite_rows._write)

    def _around(self, write: Callable[..., Any]) -> Callable[..., Any]:
        def written(*arguments: Any, **options: Any) -> Any:
            self.cross()
            done = write(*arguments, **options)
            self.cross()
            return done

        return written


def land() -> int:
    from holdfast import wiring

    return wiring.land_sample(date.fromisoformat(CUTOFF), SHARE).files


def ingest() -> Any:
    from holdfast import wiring

    results = wiring.ingest().drain()
    return wiring.ingest().finish(results, wiring.ingest().watch(None)) if results else None


def features() -> Any:
    from holdfast import wiring

    return wiring.features().materialize(CUTOFF, wiring.features().compute(CUTOFF))


def train() -> Any:
    from holdfast import wiring
    from holdfast.model.approval import Approval

    prepared = wiring.audit().require_clean(wiring.training().prepare(CUTOFF))
    fitted = [wiring.training().fit(one, prepared) for one in wiring.rules().training.candidates]
    weighed = wiring.promotion().weigh(wiring.training().register(fitted), prepared)
    return wiring.promotion().decide(weighed, Approval(True, "test", datetime.now(UTC)))


def score() -> Any:
    from holdfast import wiring

    wiring.scoring().personas(CUTOFF)
    parts = [wiring.scoring().score(CUTOFF, shard) for shard in wiring.scoring().shards()]
    wiring.recommend(CUTOFF, parts)
    return wiring.scoring().publish(CUTOFF, parts)


def intervene() -> Any:
    from holdfast import wiring

    plans = [wiring.planning().plan(wiring.campaign(one), CUTOFF, datetime.now(UTC)) for one in wiring.campaign_names()]
    for batch in wiring.campaign_batches(plans, "email"):
        wiring.send(batch)
    return wiring.campaign_accounts([one["campaign_id"] for one in plans])


def report() -> str:
    from holdfast import wiring

    return wiring.reporting().write(CUTOFF, datetime(2026, 1, 5, tzinfo=UTC))


STAGES = ("ingest", "features", "train", "score", "intervene", "report")


def look() -> list[str]:
    """Read whatever a reader can see; returns what is not whole."""
    import sqlite3

    import pandas as pd

    from holdfast import wiring

    here, broken = wiring.settings(), []
    lake = wiring.lake()
    for table in lake.tables():
        if lake.exists(table):
            lake.read(table)
    for file in [*here.feast_offline.rglob("*.parquet"), *here.work.rglob("*.parquet")]:
        pd.read_parquet(file)
    broken += [str(file) for file in here.reports.glob("*.html") if not file.read_text().rstrip().endswith("</html>")]
    for file in here.home.rglob("*.db"):
        if "airflow" not in file.parts:
            [[answer]] = sqlite3.connect(file).execute("PRAGMA integrity_check")
            broken += [] if answer == "ok" else [f"{file}: {answer}"]
    return broken


_CHANGING = {"run_id", "trained_at_instant", "ingested_at", "written_at", "at", "created_timestamp", "created_ts"}
"""Columns that tell when or under which number something was written."""


def contents() -> dict[str, list[str]]:
    """Every row that the loop has produced, by place, without what changes from run to run."""
    import sqlite3

    import pandas as pd
    from sqlalchemy import select

    from holdfast import wiring
    from holdfast.adapters.operations import database
    from holdfast.adapters.operations.models import AssignmentRow, ConsentRow, ContactRow, OfferRow, OutboxRow, SkipRow

    here, found = wiring.settings(), {}

    def keep(name: str, rows: pd.DataFrame, without: frozenset[str] = frozenset()) -> None:
        plain = rows[[column for column in rows.columns if column not in _CHANGING | without]]
        found[name] = sorted(map(repr, plain.itertuples(index=False, name=None)))

    lake = wiring.lake()
    for table in lake.tables():
        if lake.exists(table):
            keep(f"lake/{table}", lake.read(table), frozenset({"model_version"}))
    for file in here.feast_offline.rglob("*.parquet"):
        keep(f"offline/{file.relative_to(here.feast_offline)}", pd.read_parquet(file), frozenset({"model_version"}))
    online = here.home / "feast/online.db"
    if online.exists():
        with sqlite3.connect(online) as connection:
            tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            for table in tables:
                rows = pd.read_sql(f"SELECT * FROM {table} WHERE feature_name <> 'model_version'", connection)  # noqa: S608
                keep(f"online/{table}", rows)
    engine = database.connect(here.operations)
    told = {
        AssignmentRow: ("campaign_id", "customer_id", "arm", "cost"),
        SkipRow: ("campaign_id", "customer_id", "reason"),
        OfferRow: ("campaign_id", "customer_id", "state"),
        OutboxRow: ("campaign_id", "customer_id", "reference"),
        ContactRow: ("customer_id",),
        ConsentRow: ("customer_id", "purpose", "channel", "status", "recorded_at"),
    }
    with database.reading(engine) as connection:
        for row, columns in told.items():
            some = connection.execute(select(*(getattr(row, column) for column in columns))).all()
            found[f"operations/{row.__tablename__}"] = sorted(map(repr, map(tuple, some)))
        known = connection.scalars(select(ContactRow.customer_id).distinct()).all()
    found["vault"] = sorted(f"{one} {(wiring.vault().contact(one) or {}).get('email')}" for one in known)
    champion = wiring.registry().aliased("champion") if here.mlflow_artifacts.exists() else None
    found["registry"] = [champion.candidate, champion.sha256] if champion else []
    return found


WORK: dict[str, Callable[[], Any]] = {
    one.__name__: one for one in (land, ingest, features, train, score, intervene, report, contents)
}
