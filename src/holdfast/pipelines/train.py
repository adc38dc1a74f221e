"""Training as of a cutoff: one training set, one run a candidate, one challenger, and the gate to champion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd

from holdfast import dataset
from holdfast.errors import MissingDataError, ModelError, SettingsError
from holdfast.features.catalog import FAMILIES, MODEL_SERVICE, present
from holdfast.labels import labels
from holdfast.model import plots
from holdfast.model.backtest import backtest, fit_on, predict, rows_of
from holdfast.model.candidates import Candidate, FittedModel, candidate
from holdfast.model.evaluation import Evaluation, evaluate
from holdfast.model.promotion import Incumbent, Verdict, decide, trusted_cutoffs
from holdfast.model.record import CandidateRun, FeatureService, ModelVersion, unserved
from holdfast.ports import FeatureStore, Lake, ModelRegistry, Scratch
from holdfast.rules import Rules
from holdfast.windows import instant

BACKTESTS = "backtests"
"""The lake table of every candidate's out-of-time predictions, one row per run's cutoff, candidate and customer."""

_TABLES = sorted({table for family in FAMILIES for table in family.tables})


class Training:
    """The steps of one training run, each fit to be a task: small JSON-able dicts between them, tables in ``scratch``.

    Every step pretends that the day is ``cutoff`` and that nothing at or after it is known.
    """

    def __init__(
        self, lake: Lake, store: FeatureStore, registry: ModelRegistry, scratch: Scratch, rules: Rules
    ) -> None:
        self._lake = lake
        self._store = store
        self._registry = registry
        self._scratch = scratch
        self._rules = rules

    def prepare(self, cutoff: str) -> dict[str, Any]:
        """Build the training set: features as of every matured cutoff of the grid, with what then happened.

        Returns its path, its size, its cutoffs and the lake versions it rests on. Raises SettingsError for candidates
        that cannot compete, and ImmatureLabelError when the history is too short for the backtest.
        """
        self._require_competition()
        day, zone = date.fromisoformat(cutoff), self._rules.shop.zone
        splits = self._splits(day)
        cutoffs = self._matured(day)
        versions = {table: self._lake.version(table) for table in _TABLES if self._lake.exists(table)}
        orders = self._lake.read("orders")
        orders = orders[orders["ordered_at"] < instant(day, zone)]
        outcome = labels(
            orders, self._lake.read("order_lines"), cutoffs, self._rules.label.horizon_days, zone, complete_to=day
        )
        instants = {one.isoformat(): pd.Timestamp(instant(one, zone)) for one in cutoffs}
        entities = outcome[["customer_id", "cutoff"]].assign(event_timestamp=outcome["cutoff"].map(instants))
        features = self._store.historical(entities[["customer_id", "event_timestamp"]])
        known = entities.merge(features, on=["customer_id", "event_timestamp"], how="left", validate="1:1")
        _require_features(known)
        rows = dataset.training_frame(dataset.active(known, self._rules.population.active_days), outcome, zone)
        return {
            "cutoff": cutoff,
            "path": self._scratch.write(f"{cutoff}/training", rows),
            "rows": len(rows),
            "base_rate": float(rows["churned"].mean()),
            "train_cutoffs": [one.isoformat() for one in cutoffs],
            "test_cutoffs": [split.test.isoformat() for split in splits],
            "lake_versions": versions,
        }

    def fit(self, name: str, prepared: Mapping[str, Any]) -> dict[str, Any]:
        """Backtest the candidate, fit it on every matured cutoff, and log both as one run.

        Returns the run's id, the means of its metrics and the path of its out-of-time predictions.
        """
        chosen, day, seed = candidate(name), date.fromisoformat(prepared["cutoff"]), self._rules.training.seed
        rows = self._scratch.read(prepared["path"])
        splits, cutoffs = self._splits(day), self._matured(day)
        features = present(rows)
        predictions = backtest(chosen, rows, splits, features, seed)
        evaluation = evaluate(predictions)
        model = fit_on(chosen, rows, cutoffs, features, seed)
        run_id = self._registry.log(
            CandidateRun(
                candidate=name,
                cutoff=day,
                trained_to=cutoffs[-1] + timedelta(days=self._rules.label.horizon_days),
                model=model,
                service=FeatureService(MODEL_SERVICE, tuple(features)),
                evaluation=evaluation,
                parameters=self._parameters(chosen, prepared),
                lake_versions=prepared["lake_versions"],
                example=_median_customer(rows),
                plots=_drawings(name, predictions, model, rows_of(rows, [splits[-1].test])),
            )
        )
        return {
            "run_id": run_id,
            "candidate": name,
            "baseline": chosen.baseline,
            "cutoff": prepared["cutoff"],
            "metrics": evaluation.mean.as_dict(),
            "predictions": self._scratch.write(f"{prepared['cutoff']}/backtest-{name}", predictions),
        }

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

    def promote(self, registered: Mapping[str, Any], prepared: Mapping[str, Any]) -> dict[str, Any]:
        """Decide whether the challenger becomes the champion, and write the verdict into the registry.

        Returns the verdict. Raises ModelError when the challenger is no longer the version that was registered.
        """
        challenger, champion = self._registry.aliased("challenger"), self._registry.aliased("champion")
        if challenger is None or challenger.version != registered["version"]:
            raise ModelError(
                f"version {registered['version']} was registered, but the challenger now is "
                f"{challenger.version if challenger else 'nobody'}: another run came between. Clear the later run."
            )
        if champion is not None and champion.version == challenger.version:
            verdict = Verdict(True, f"Version {champion.version} is the champion already.", self._metric, ())
        else:
            verdict = self._decide(challenger, champion, prepared)
            self._registry.settle(challenger, verdict)
        return {"version": challenger.version, "candidate": challenger.candidate, **_told(verdict)}

    def _decide(self, challenger: ModelVersion, champion: ModelVersion | None, prepared: Mapping[str, Any]) -> Verdict:
        kept = self._lake.read(BACKTESTS, where={"trained_at": [prepared["cutoff"]]})
        evaluations = {str(name): evaluate(rows) for name, rows in kept.groupby("candidate")}
        rules = {name: evaluation for name, evaluation in evaluations.items() if candidate(name).baseline}
        incumbent = None if champion is None else self._incumbent(champion, prepared)
        return decide(self._metric, evaluations[challenger.candidate], rules, incumbent)

    def _incumbent(self, champion: ModelVersion, prepared: Mapping[str, Any]) -> Incumbent:
        """The champion's stored model, scored on the test cutoffs that it cannot have seen, if it still can score."""
        training = self._scratch.read(prepared["path"])
        why = unserved(champion, FeatureService(MODEL_SERVICE, tuple(present(training))))
        if why is not None:
            return Incumbent(champion.version, champion.trained_to, None, why)
        tests = tuple(date.fromisoformat(one) for one in prepared["test_cutoffs"])
        later = trusted_cutoffs(tests, champion.trained_to)
        evaluation: Evaluation | None = None
        if later:
            rows = rows_of(training, later)
            evaluation = evaluate(predict(self._registry.load(champion), rows))
        return Incumbent(champion.version, champion.trained_to, evaluation)

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
                "(recency_rule, rhythm_rule) and at least one model that has to beat it (logistic, lightgbm)."
            )

    def _parameters(self, chosen: Candidate, prepared: Mapping[str, Any]) -> dict[str, str | float]:
        return {
            **chosen.parameters,
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

    def _matured(self, day: date) -> list[date]:
        return dataset.matured(self._rules.training, self._rules.label.horizon_days, complete_to=day)

    @property
    def _metric(self) -> str:
        return self._rules.training.metric


def _require_features(rows: pd.DataFrame) -> None:
    """Who has a label has ordered before, and so has features wherever they were computed."""
    missing = rows[rows["days_since_order"].isna()]
    if len(missing):
        raise MissingDataError(
            f"{len(missing)} of {len(rows)} customer-cutoff rows have no features, the first at cutoff "
            f"{missing['cutoff'].min()}. Run the features DAG for this cutoff again."
        )


def _median_customer(rows: pd.DataFrame) -> pd.DataFrame:
    """A made-up customer, the median in every feature, to show what the model takes without showing anyone's data."""
    return rows[present(rows)].median().fillna(0.0).to_frame().T


def _drawings(name: str, predictions: pd.DataFrame, model: FittedModel, latest: pd.DataFrame) -> dict[str, bytes]:
    curves = {name: predictions}
    return {
        "roc": plots.roc(curves),
        "precision_recall": plots.precision_recall(curves),
        "calibration": plots.calibration(curves),
        "gain": plots.gain(curves),
        "importance": plots.importance(model.features, np.abs(model.contributions(latest)).mean(axis=0)),
    }


def _told(verdict: Verdict) -> dict[str, Any]:
    """The verdict as JSON-able values."""
    comparisons = [
        {**asdict(one), "cutoffs": [day.isoformat() for day in one.cutoffs], "won": one.won}
        for one in verdict.comparisons
    ]
    return {
        "promoted": verdict.promote,
        "reason": verdict.reason,
        "metric": verdict.metric,
        "comparisons": comparisons,
    }
