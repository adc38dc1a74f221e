"""Features, and the models that score customers by them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path

import pandas as pd

from holdfast import horizon_plot, windows
from holdfast.adapters.atomic import write_bytes
from holdfast.adapters.local_engine import LocalEngine
from holdfast.adapters.registry import MODEL_NAME
from holdfast.adapters.scratch import FileScratch
from holdfast.adapters.spark_engine import SparkEngine
from holdfast.errors import MissingDataError
from holdfast.history import History
from holdfast.horizon import HorizonStudy, study
from holdfast.model.record import ModelVersion
from holdfast.pipelines.audit import Audit, Report
from holdfast.pipelines.compare import Compared
from holdfast.pipelines.compare import compare as _compare
from holdfast.pipelines.drift import DriftWatch
from holdfast.pipelines.features import Features
from holdfast.pipelines.promote import Promotion
from holdfast.pipelines.rebuild import Rebuild
from holdfast.pipelines.recommend import Recommended, write_recommendations
from holdfast.pipelines.score import Scoring
from holdfast.pipelines.train import Training
from holdfast.ports import Alias, FeatureEngine
from holdfast.wiring.intake import latest_cutoff, quality
from holdfast.wiring.stores import customer_ids, feature_store, lake, registry, rules, scratch, settings, vault


def feature_engine() -> FeatureEngine:
    here, zone = settings(), rules().shop.zone
    if here.feature_engine == "spark":
        return SparkEngine(lake(), zone, here.feature_state, here.spark_master, here.spark_parts)
    return LocalEngine(lake(), zone, here.feature_state, here.feature_workers or os.cpu_count() or 1)


def features() -> Features:
    return Features(feature_engine(), lake(), quality(), feature_store(), rules(), latest_cutoff())


def training() -> Training:
    return Training(lake(), feature_store(), registry(), scratch(), rules(), studies=settings().studies)


def compare(candidates: Sequence[str], cutoff: date, blend: Sequence[str] | None = None) -> Iterator[Compared]:
    """The candidates on the backtest as of ``cutoff``, one after another; ``blend`` by default as the rules say."""
    prepared = training().prepare(cutoff.isoformat(), [*candidates, *(blend or ())])
    rows = scratch().read(prepared["path"])
    return _compare(rows, candidates, rules(), cutoff, blend)


def aliased_models() -> dict[Alias, ModelVersion]:
    """The versions that hold an alias. Raises MissingDataError when no model was ever registered."""
    known = registry()
    aliases: tuple[Alias, ...] = ("champion", "previous", "challenger")
    found = {alias: known.aliased(alias) for alias in aliases}
    if not any(found.values()):
        raise MissingDataError("no model was ever registered. Run the train DAG first.")
    return {alias: version for alias, version in found.items() if version is not None}


def model_version(number: str | None) -> ModelVersion:
    """The registered version of this number, or the champion. Raises ModelError when there is none."""
    return registry().version(number)


def promotion() -> Promotion:
    pages = settings().mlflow_pages

    def page(version: ModelVersion) -> str:
        return f"{pages}/#/models/{MODEL_NAME}/versions/{version.version}"

    return Promotion(lake(), registry(), scratch(), rules(), time.perf_counter, page)


def rebuild() -> Rebuild:
    return Rebuild(lake(), registry(), FileScratch(settings().work / "rebuilt"), settings().studies)


def scoring() -> Scoring:
    return Scoring(lake(), feature_store(), registry(), scratch(), rules(), objectors=vault().objectors)


def recommend(cutoff: str, parts: Sequence[str]) -> Recommended:
    """Write recommended products for every customer in these parts of a scoring run."""
    scored = pd.concat([scratch().read(part)["customer_id"] for part in parts])
    return write_recommendations(lake(), rules(), cutoff, sorted(scored))


def drift_watch() -> DriftWatch:
    return DriftWatch(lake(), feature_store(), registry(), rules())


def audit() -> Audit:
    return Audit(lake(), scratch(), rules())


def audit_leakage(training_set: Path, cutoff: date) -> Report:
    """What a training set knows of the future, as of ``cutoff``. It may call customers as the shop does."""
    rows = scratch().read(str(training_set))
    if "customer_id" in rows:
        rows["customer_id"] = customer_ids(rows["customer_id"])
    return audit().leakage(rows, cutoff)


def training_set(cutoff: date | None) -> Path:
    """The training set that the train DAG made for this cutoff, by default the latest; its folder is the cutoff's."""
    work = settings().work
    made = sorted(work.glob(f"{cutoff.isoformat() if cutoff else '*'}/training.parquet"))
    if not made:
        which = f" of cutoff {cutoff}" if cutoff else ""
        raise MissingDataError(f"{work} holds no training set{which}. Run the train DAG.")
    return made[-1]


def horizon_study(horizons: Sequence[int]) -> HorizonStudy:
    """The regret of these horizons over the cutoffs of the training grid, on all orders in the lake."""
    own, complete_to, tables = rules(), latest_cutoff(), lake()
    return study(
        History.of(tables.read("orders"), tables.read("order_lines")),
        horizons,
        windows.cutoffs(own.training.first_cutoff, complete_to, own.training.step_days),
        own.population.active_days,
        own.shop.zone,
        complete_to,
    )


def draw_horizon(of: HorizonStudy) -> Path:
    """Draw the study beside the reports and return the picture's path."""
    path = settings().reports / "horizon.png"
    write_bytes(path, horizon_plot.draw(of, rules().shop.name))
    return path
