"""Training as of a cutoff: one training set, one run a candidate, and the best of them as challenger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from holdfast import dataset
from holdfast.errors import MissingDataError, SettingsError
from holdfast.features.catalog import FAMILIES, MODEL_SERVICE, present
from holdfast.labels import labels
from holdfast.model import plots
from holdfast.model.backtest import rows_of
from holdfast.model.candidates import Candidate, candidate, configured, inputs
from holdfast.model.evaluation import OrderGroup, by_orders, evaluate
from holdfast.model.record import CandidateRun, FeatureService
from holdfast.model.search import tuned
from holdfast.model.treatment import Treatment, served, treated_backtest
from holdfast.model.worth import fit_worth
from holdfast.pipelines.review import reviewed
from holdfast.ports import HistoricalFeatures, Lake, ModelRegistry, Scratch
from holdfast.rules import Rules
from holdfast.spend import SPEND, spend
from holdfast.weeks import weekly
from holdfast.windows import instant

BACKTESTS = "backtests"
"""The lake table of every candidate's out-of-time predictions, one row per run's cutoff, candidate and customer."""

_TABLES = sorted({table for family in FAMILIES for table in family.tables})


@dataclass(frozen=True)
class Trained:
    """A candidate's run, and its out-of-time predictions."""

    run: CandidateRun
    predictions: pd.DataFrame


class Training:
    """The steps of one training run, each fit to be a task: small JSON-able dicts between them, tables in ``scratch``.

    Every step pretends that the day is ``cutoff`` and that nothing at or after it is known. Searches for parameters are
    kept in the folder ``studies``, so that one that was broken off goes on.
    """

    def __init__(
        self,
        lake: Lake,
        store: HistoricalFeatures,
        registry: ModelRegistry,
        scratch: Scratch,
        rules: Rules,
        *,
        studies: Path | None = None,
    ) -> None:
        self._lake = lake
        self._store = store
        self._registry = registry
        self._scratch = scratch
        self._rules = rules
        self._studies = studies

    def prepare(self, cutoff: str, beside: Sequence[str] = ()) -> dict[str, Any]:
        """Build the training set: features as of every matured cutoff of the grid, with what then happened.

        It serves the candidates of the rules, and those ``beside`` them that are to be compared.
        Returns its path, its size, its cutoffs and the lake versions it rests on. Raises SettingsError for candidates
        that cannot compete, ImmatureLabelError when the history is too short for the backtest, and MissingDataError
        when a cutoff has no features of its own.
        """
        self._require_competition()
        day, zone = date.fromisoformat(cutoff), self._rules.shop.zone
        splits = self._splits(day)
        cutoffs = self._matured(day)
        self._require_own_features(cutoffs)
        versions = {table: self._lake.version(table) for table in _TABLES if self._lake.exists(table)}
        orders = self._lake.read("orders")
        orders = orders[orders["ordered_at"] < instant(day, zone)]
        lines, horizon = self._lake.read("order_lines"), self._rules.label.horizon_days
        outcome = labels(orders, lines, cutoffs, horizon, zone, complete_to=day)
        instants = {one.isoformat(): pd.Timestamp(instant(one, zone)) for one in cutoffs}
        entities = outcome[["customer_id", "cutoff"]].assign(event_timestamp=outcome["cutoff"].map(instants))
        features = self._store.historical(entities[["customer_id", "event_timestamp"]])
        known = entities.merge(features, on=["customer_id", "event_timestamp"], how="left", validate="1:1")
        _require_features(known)
        rows = dataset.training_frame(dataset.active(known, self._rules.population.active_days), outcome, zone)
        rows[SPEND] = spend(orders, lines, rows, horizon, zone)
        if any(self._configured(name).weekly for name in (*self._rules.training.candidates, *beside)):
            rows = rows.join(weekly(orders, lines, rows, zone))
        return {
            "cutoff": cutoff,
            "path": self._scratch.write(f"{cutoff}/training", rows),
            "rows": len(rows),
            "base_rate": float(rows["churned"].mean()),
            "train_cutoffs": [one.isoformat() for one in cutoffs],
            "test_cutoffs": [split.test.isoformat() for split in splits],
            "lake_versions": versions,
        }

    def _require_own_features(self, cutoffs: Sequence[date]) -> None:
        lacking = self._store.lacking(cutoffs)
        if lacking:
            raise MissingDataError(
                f"{len(lacking)} of {len(cutoffs)} training cutoffs have no features of their own, the first "
                f"{min(lacking)}; older ones must not stand in for them. Run the features DAG again."
            )

    def fit(self, name: str, prepared: Mapping[str, Any]) -> dict[str, Any]:
        """Train the candidate and log it as one run.

        Returns the run's id, the means of its metrics and the path of its out-of-time predictions.
        """
        found = self.trained(name, prepared)
        return {
            "run_id": self._registry.log(found.run),
            "candidate": name,
            "baseline": candidate(name).baseline,
            "cutoff": prepared["cutoff"],
            "metrics": found.run.evaluation.mean.as_dict(),
            "predictions": self._scratch.write(f"{prepared['cutoff']}/backtest-{name}", found.predictions),
        }

    def trained(self, name: str, prepared: Mapping[str, Any]) -> Trained:
        """Backtest the candidate, and fit it on every matured cutoff."""
        own = self._rules.training
        chosen = self._configured(name)
        day, seed = date.fromisoformat(prepared["cutoff"]), own.seed
        rows = self._scratch.read(prepared["path"])
        splits, cutoffs = self._splits(day), self._matured(day)
        features = inputs(chosen, rows)
        horizon = self._rules.label.horizon_days
        study = self._study_splits(day)
        journal = None if self._studies is None else self._studies / f"{name}.log"
        found = tuned(chosen, rows, study, features, rules=own, journal=journal)
        chosen = found.candidate
        tested = treated_backtest(chosen, rows, splits, features, study=study, rules=own, horizon_days=horizon)
        predictions, treatment = tested.predictions, tested.treatment
        evaluation = evaluate(predictions, own.threshold, own.resamples, seed)
        worth = None if chosen.baseline else fit_worth(rows, present(rows), seed)
        model = served(chosen, rows, cutoffs, features, treatment=treatment, worth=worth, seed=seed)
        run = CandidateRun(
            candidate=name,
            cutoff=day,
            trained_to=cutoffs[-1] + timedelta(days=horizon),
            rules=self._rules.model_dump_json(),
            model=model,
            service=FeatureService(MODEL_SERVICE, tuple(present(rows))),
            evaluation=evaluation,
            parameters={**self._parameters(chosen, treatment, prepared), **found.told},
            lake_versions=prepared["lake_versions"],
            example=_median_customer(rows[features]),
            plots=_drawings(name, predictions),
            figures=_figures(treatment, by_orders(predictions, own.resamples, seed)),
            notes={"calibration": treatment.calibration.reason, "single_buyers": treatment.single_buyers.reason},
        )
        latest = rows_of(rows, [splits[-1].test])
        return Trained(reviewed(run, latest, predictions, self._lake, self._rules), predictions)

    def register(self, results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Keep all out-of-time predictions in the lake and make the best candidate that is no baseline the challenger.

        A repeated call with the same results changes nothing. Returns the challenger's version and everyone's means.
        """
        self._keep_backtests(results)
        metric = self._rules.training.metric
        best = max((one for one in results if not one["baseline"]), key=lambda one: float(one["metrics"][metric]))
        version = self._registry.register(best["run_id"])
        return {
            "version": version.version,
            "run_id": version.run_id,
            "candidate": version.candidate,
            "metrics": {one["candidate"]: one["metrics"] for one in results},
            "run_ids": {one["candidate"]: one["run_id"] for one in results},
        }

    def _keep_backtests(self, results: Sequence[Mapping[str, Any]]) -> None:
        parts = [
            self._scratch.read(one["predictions"]).assign(
                trained_at=one["cutoff"], candidate=one["candidate"], run_id=one["run_id"]
            )
            for one in results
        ]
        self._lake.replace(BACKTESTS, pd.concat(parts, ignore_index=True), where={"trained_at": [results[0]["cutoff"]]})

    def _require_competition(self) -> None:
        chosen = [candidate(name) for name in self._rules.training.candidates]
        if not any(one.baseline for one in chosen) or all(one.baseline for one in chosen):
            raise SettingsError(
                f"training.candidates is {', '.join(one.name for one in chosen)}: it must name at least one rule "
                "(recency_rule, rhythm_rule, bgnbd) and at least one model that has to beat it (logistic, lightgbm, …)."
            )

    def _parameters(
        self, chosen: Candidate, treatment: Treatment, prepared: Mapping[str, Any]
    ) -> dict[str, str | float]:
        return {
            **{name: _told_parameter(value) for name, value in chosen.parameters.items()},
            "calibration": treatment.calibration.method,
            "single_buyers": "cohort" if treatment.single_buyers.use_cohort else "model",
            "seed": self._rules.training.seed,
            "horizon_days": self._rules.label.horizon_days,
            "active_days": self._rules.population.active_days,
            "first_cutoff": prepared["train_cutoffs"][0],
            "last_cutoff": prepared["train_cutoffs"][-1],
            "step_days": self._rules.training.step_days,
            "rows": prepared["rows"],
        }

    def _splits(self, day: date) -> list[dataset.Split]:
        return dataset.splits(self._rules.training, self._rules.label.horizon_days, complete_to=day)

    def _configured(self, name: str) -> Candidate:
        return configured(name, self._rules.label.horizon_days, self._rules.training.blend)

    def _study_splits(self, day: date) -> list[dataset.Split]:
        return dataset.study_splits(self._rules.training, self._rules.label.horizon_days, complete_to=day)

    def _matured(self, day: date) -> list[date]:
        return dataset.matured(self._rules.training, self._rules.label.horizon_days, complete_to=day)


def _require_features(rows: pd.DataFrame) -> None:
    """Who has a label has ordered before, and so has features wherever they were computed."""
    missing = rows[rows["days_since_order"].isna()]
    if len(missing):
        raise MissingDataError(
            f"{len(missing)} of {len(rows)} customer-cutoff rows have no features, the first at cutoff "
            f"{missing['cutoff'].min()}. Run the features DAG for this cutoff again."
        )


def _figures(of: Treatment, groups: Sequence[OrderGroup]) -> dict[str, float]:
    """The trials of calibration, and the AUC by past orders, by names for a run's record."""
    figures: dict[str, float] = {}
    for trial in of.calibration.trials:
        figures[f"calibration/{trial.method}.brier"] = trial.brier
        figures[f"calibration/{trial.method}.calibration_error"] = trial.calibration_error
    for group in groups:
        figures |= {f"orders_from_{group.first}/rows": group.rows, f"orders_from_{group.first}/rate": group.base_rate}
        if group.auc is not None:
            figures[f"orders_from_{group.first}/auc"] = group.auc
        if group.interval is not None:
            figures[f"orders_from_{group.first}/auc.low"] = group.interval.low
            figures[f"orders_from_{group.first}/auc.high"] = group.interval.high
    return figures


def _told_parameter(value: Any) -> str | float:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else "all" if value is None else value


def _median_customer(features: pd.DataFrame) -> pd.DataFrame:
    """A made-up customer, the median in every feature, to show what the model takes without showing anyone's data."""
    return features.median().fillna(0.0).to_frame().T


def _drawings(name: str, predictions: pd.DataFrame) -> dict[str, bytes]:
    curves = {name: predictions}
    return {
        "roc": plots.roc(curves),
        "precision_recall": plots.precision_recall(curves),
        "calibration": plots.calibration(curves),
        "gain": plots.gain(curves),
        "retention": plots.retention(curves),
    }
