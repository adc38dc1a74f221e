"""The stages of the loop, each a DAG, and what each says of itself once it has run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from holdfast.adapters.airflow.embedded import DagEnd, EmbeddedAirflow
from holdfast.settings import Settings

STAGES = ("ingest", "features", "train", "score", "intervene", "measure", "report")


@dataclass(frozen=True)
class Stage:
    """A stage that has ended well: its DAG run, and one line about it."""

    end: DagEnd
    summary: str


@dataclass(frozen=True)
class Closing:
    """The end of a run: the candidates' figures (by name, as text, in the order of ``figures``) and where to look."""

    title: str
    figures: tuple[str, ...]
    models: Mapping[str, tuple[str, ...]]
    places: Mapping[str, str]


def run(airflow: EmbeddedAirflow, stage: str, cutoff: str | None) -> Stage:
    """Run one stage for ``cutoff`` (None: the latest possible). Raises the failing task's own error."""
    end = airflow.run(stage, {} if stage == "ingest" else {"cutoff": cutoff}).raise_on_failure()
    return Stage(end, _SUMMARIES[stage](end))


def closing(stages: Mapping[str, Stage], settings: Settings) -> Closing:
    """What a finished run says last."""
    prepared, registered = stages["train"].end.value("prepare"), stages["train"].end.value("register")
    return Closing(
        title=f"Out of time on {', '.join(prepared['test_cutoffs'])}",
        figures=tuple(_FIGURES.values()),
        models={
            name: tuple(f"{means[figure]:.3f}" for figure in _FIGURES) for name, means in registered["metrics"].items()
        },
        places={
            "report": stages["report"].summary,
            "Data Docs": str(settings.quality_output / "data_docs" / "index.html"),
            "mailbox": f"{settings.mailbox} (a Maildir: mutt -f {settings.mailbox})",
            "a customer": "holdfast customer ID",
            "Airflow, MLflow, Feast": "make up, then the addresses it prints",
        },
    )


_FIGURES = {
    "base_rate": "base rate",
    "auc": "AUC",
    "average_precision": "avg. precision",
    "brier": "Brier",
    "calibration_error": "calibration error",
    "lift_top_tenth": "lift, top tenth",
}


def _ingest(end: DagEnd) -> str:
    done: Mapping[str, Any] | None = end.value("finish")
    if done is None:
        return "no new landing files"
    told = f"{done['files']:,} files: {done['accepted']:,} rows accepted, {done['rejected']:,} in quarantine"
    return "\n  ".join([told, *(f"{finding['kind']}: {finding['text']}" for finding in done["findings"])])


def _features(end: DagEnd) -> str:
    done = end.value("materialize")
    off = f"; off for want of data: {', '.join(done['off'])}" if done["off"] else ""
    return (
        f"{done['features']} features of {done['customers']:,} customers as of {done['cutoffs']} cutoffs, "
        f"{done['computed']} of them computed now, {len(done['views'])} Feast views{off}"
    )


def _train(end: DagEnd) -> str:
    prepared, weighed, promoted = end.value("prepare"), end.value("weigh"), end.value("promote")
    return (
        f"{prepared['rows']:,} training rows; challenger {weighed['candidate']} v{weighed['version']}: "
        f"{(promoted or weighed)['reason']}"
    )


def _score(end: DagEnd) -> str:
    done = end.value("publish")
    tiers = ", ".join(f"{count:,} {tier}" for tier, count in done["tiers"].items())
    moved = end.value("drift")
    return (
        f"{done['customers']:,} customers scored by version {done['model_version']}: {tiers}; since "
        f"{moved['reference']} {len(moved['major'])} of {moved['features']} features have moved much, "
        f"{len(moved['moderate'])} a little"
    )


def _intervene(end: DagEnd) -> str:
    return "; ".join(
        f"{one['campaign_id']}: {one['planned']:,} planned, {one['sent']:,} sent, {one['control']:,} in control"
        for one in end.value("account") or []
    )


def _measure(end: DagEnd) -> str:
    done, pages = end.value("runs"), end.value("pages")
    counts = ", ".join(f"{count:,} {status.replace('_', ' ')}" for status, count in done["read"].items())
    stopped = f"; stopped for harm: {', '.join(done['stopped'])}" if done["stopped"] else ""
    return f"{counts or 'no run is left to read'}{stopped}; {pages[-1]}"


def _learn(end: DagEnd) -> str:
    weighed = {one["campaign"]: one["reason"] for one in [*(end.value("weigh") or []), *(end.value("promote") or [])]}
    shares = [
        f"{one['campaign']}, {segment}: " + ", ".join(f"{arm} {share:.0%}" for arm, share in own.items())
        for one in end.value("share") or []
        for segment, own in one.get("shares", {}).items()
    ]
    told = [f"{name}: {reason}" for name, reason in weighed.items()]
    return "; ".join([*told, *shares]) or "no campaign learns"


def _report(end: DagEnd) -> str:
    return str(end.value("write"))


_SUMMARIES: Mapping[str, Callable[[DagEnd], str]] = {
    "ingest": _ingest,
    "features": _features,
    "train": _train,
    "score": _score,
    "intervene": _intervene,
    "measure": _measure,
    "learn": _learn,
    "report": _report,
}
