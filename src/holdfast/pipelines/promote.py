"""From challenger to champion: the gate weighs it, somebody decides, and a promotion can be taken back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

import pandas as pd

from holdfast.errors import MissingDataError, ModelError
from holdfast.features.catalog import MODEL_SERVICE, present
from holdfast.model import promotion
from holdfast.model.backtest import predict, rows_of
from holdfast.model.candidates import CANDIDATES
from holdfast.model.comparison import Difference, paired_bootstrap
from holdfast.model.decision import Decision
from holdfast.model.evaluation import evaluate
from holdfast.model.promotion import Check, Verdict, trusted_cutoffs
from holdfast.model.record import FeatureService, ModelVersion, unserved
from holdfast.pipelines.review import fairness_of
from holdfast.pipelines.train import BACKTESTS
from holdfast.ports import Lake, ModelRegistry, Scratch
from holdfast.rules import Rules

_FIGURES = ("auc", "average_precision", "brier", "calibration_error", "lift_top_tenth")


@dataclass(frozen=True)
class Promotion:
    """``clock`` tells seconds, for measuring how long scoring takes; ``page`` is where people see a version."""

    lake: Lake
    registry: ModelRegistry
    scratch: Scratch
    rules: Rules
    clock: Callable[[], float]
    page: Callable[[ModelVersion], str]

    def weigh(self, registered: Mapping[str, Any], prepared: Mapping[str, Any]) -> dict[str, Any]:
        """Hold the registered challenger against every condition of the gate, and write the verdict on it.

        Returns whether it passed, why, and the story that a person decides by (Markdown). Raises ModelError when the
        challenger is no longer the version that was registered.
        """
        challenger, champion = self._challenger(registered["version"]), self.registry.aliased("champion")
        told = {"version": challenger.version, "candidate": challenger.candidate}
        if champion is not None and champion.version == challenger.version:
            return {**told, "replacing": champion.version, "passed": True, "reason": "It is the champion.", "story": ""}
        predictions = self._predictions(prepared["cutoff"], registered["metrics"])
        verdict = Verdict(tuple(self._checks(challenger, champion, predictions, prepared)))
        story = _story(challenger, champion, verdict, registered["metrics"], self.page(challenger))
        self.registry.judge(challenger, verdict, story)
        return {
            **told,
            "replacing": champion.version if champion else None,
            "passed": verdict.passed,
            "reason": verdict.reason,
            "checks": [asdict(check) for check in verdict.checks],
            "story": story,
        }

    def decide(self, weighed: Mapping[str, Any], decision: Decision) -> dict[str, Any]:
        """Do as decided with a challenger that passed (``weigh``), and write on it who decided.

        Raises ModelError when the champion that it was weighed against is no longer the champion.
        """
        if not weighed["passed"]:
            raise ModelError(f"version {weighed['version']} did not pass the gate: {weighed['reason']}")
        challenger = self._challenger(weighed["version"])
        self.registry.decide(challenger, decision, weighed["replacing"])
        return {
            "version": challenger.version,
            "candidate": challenger.candidate,
            "promoted": decision.approved,
            "reason": f"{weighed['reason']} {str(decision).capitalize()}.",
        }

    def rollback(self, decision: Decision) -> ModelVersion:
        """The previous champion, in its old place again. Raises ModelError when there is none."""
        return self.registry.rollback(decision)

    def _challenger(self, version: str) -> ModelVersion:
        challenger = self.registry.aliased("challenger")
        if challenger is None or challenger.version != version:
            raise ModelError(
                f"version {version} was registered, but the challenger now is "
                f"{challenger.version if challenger else 'nobody'}: another run came between. Clear the later run."
            )
        return challenger

    def _predictions(self, cutoff: str, candidates: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
        """Every candidate's out-of-time predictions of this training run."""
        kept = self.lake.read(BACKTESTS, where={"trained_at": [cutoff]})
        found = {str(name): rows for name, rows in kept.groupby("candidate")}
        gone = sorted(set(candidates) - set(found))
        if gone:
            raise MissingDataError(f"the lake holds no backtest of {', '.join(gone)} at {cutoff}. Run the train DAG.")
        return found

    def _checks(
        self,
        challenger: ModelVersion,
        champion: ModelVersion | None,
        predictions: Mapping[str, pd.DataFrame],
        prepared: Mapping[str, Any],
    ) -> list[Check]:
        gate, own = self.rules.gate, predictions[challenger.candidate]
        rules = {name: rows for name, rows in predictions.items() if name in CANDIDATES and CANDIDATES[name].baseline}
        training = self.scratch.read(prepared["path"])
        recorded = prepared["lake_versions"]
        return [
            promotion.beats_the_rules({name: self._difference(own, rows) for name, rows in rules.items()}),
            self._against(champion, challenger, own, training),
            promotion.calibrated(evaluate(own, self.rules.training.threshold), gate),
            promotion.fair(fairness_of(own, self.lake, self.rules)),
            self._speed(challenger, training),
            promotion.known_data(recorded, {name: self.lake.version(name) for name in recorded}),
        ]

    def _against(
        self, champion: ModelVersion | None, challenger: ModelVersion, own: pd.DataFrame, training: pd.DataFrame
    ) -> Check:
        """The champion's stored model is scored on the test cutoffs that it cannot have seen, if it still can score."""
        if champion is None:
            return Check("champion", True, "there is no champion yet")
        why = unserved(champion, FeatureService(MODEL_SERVICE, tuple(present(training))))
        if why is not None:
            return Check("champion", True, f"the champion cannot score any more: {why}")
        tests = tuple(date.fromisoformat(one) for one in sorted(own["cutoff"].unique()))
        later = trusted_cutoffs(tests, champion.trained_to)
        if not later:
            return Check(
                "champion",
                False,
                f"champion version {champion.version} has learned from outcomes up to {champion.trained_to}, and no "
                f"test cutoff is later (the last is {tests[-1]}), so there is nothing to compare them on",
            )
        rival = predict(self.registry.load(champion), rows_of(training, later))
        shared = own[own["cutoff"].isin([one.isoformat() for one in later])]
        return promotion.deserves_the_place(challenger, champion, self._difference(shared, rival), self.rules.gate)

    def _difference(self, own: pd.DataFrame, rival: pd.DataFrame) -> Difference:
        training, gate = self.rules.training, self.rules.gate
        return paired_bootstrap(own, rival, training.metric, resamples=gate.resamples, seed=training.seed)

    def _speed(self, challenger: ModelVersion, training: pd.DataFrame) -> Check:
        """The time that the registered files take to score the latest training cutoff."""
        model = self.registry.load(challenger)
        rows = training[training["cutoff"] == training["cutoff"].max()]
        started = self.clock()
        model.probabilities(rows)
        return promotion.fast(self.clock() - started, len(rows), self.rules.gate)


def _story(
    challenger: ModelVersion,
    champion: ModelVersion | None,
    verdict: Verdict,
    metrics: Mapping[str, Mapping[str, float]],
    page: str,
) -> str:
    """What a reviewer reads, in Airflow and in MLflow."""
    replaces = f"instead of version {champion.version} ({champion.candidate})" if champion else "as the first champion"
    checks = "\n".join(f"| {'✓' if one.passed else '✗'} {one.name} | {one.found} |" for one in verdict.checks)
    figures = "\n".join(
        f"| {f'**{name}**' if name == challenger.candidate else name} | "
        + " | ".join(f"{own[figure]:.4f}" for figure in _FIGURES)
        + " |"
        for name, own in metrics.items()
    )
    return (
        f"Version {challenger.version} (`{challenger.candidate}`, learned from outcomes up to {challenger.trained_to}) "
        f"{'passes' if verdict.passed else 'does not pass'} the gate, {replaces}.\n\n"
        f"| condition | found |\n|---|---|\n{checks}\n\n"
        "Means over the test cutoffs, each later than what its model had learned from:\n\n"
        f"| candidate | {' | '.join(name.replace('_', ' ') for name in _FIGURES)} |\n"
        f"|---|{'---|' * len(_FIGURES)}\n{figures}\n\n"
        f"[The version and its run in MLflow]({page}), with plots and model card.\n"
    )
