"""Gathers what the loop did at one cutoff and writes it as one page."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from importlib.metadata import version

import pandas as pd

from holdfast.campaign.funnel import ArmFunnel
from holdfast.errors import MissingDataError
from holdfast.language import language_of
from holdfast.model import plots
from holdfast.model.candidates import candidate
from holdfast.model.evaluation import evaluate
from holdfast.model.fairness import Fairness
from holdfast.model.record import ModelVersion
from holdfast.monitoring.freshness import Finding
from holdfast.pipelines import ledger, personas, readouts
from holdfast.pipelines.accounting import Account
from holdfast.pipelines.customer import CustomerCard, customer_card
from holdfast.pipelines.drift import drifted
from holdfast.pipelines.ingest import REFUSED
from holdfast.pipelines.page import Intake, ModelPart, ModelRow, Page, PersonaPart, PersonaRow, TierRow, render
from holdfast.pipelines.quarantine import reasons, standing
from holdfast.pipelines.review import fairness_of
from holdfast.pipelines.score import SCORES
from holdfast.pipelines.train import BACKTESTS
from holdfast.pipelines.uplift_scores import UpliftStanding
from holdfast.ports import FeatureStore, Lake, ModelRegistry, Operations
from holdfast.risk import Tier, curve
from holdfast.rules import Rules


@dataclass(frozen=True)
class Reporting:
    """``funnels`` gives the arms of a cutoff's campaign runs, by run; ``uplifts`` what was learned of whom they move.

    ``publish`` stores the page of a cutoff under its ISO date and returns its place; ``note`` heads the page.
    ``findings`` are what is missing or out of the ordinary among the landing files.
    """

    lake: Lake
    store: FeatureStore
    registry: ModelRegistry
    operations: Operations
    accounts: Callable[[str], list[Account]]
    funnels: Callable[[str], Mapping[str, Sequence[ArmFunnel]]]
    uplifts: Callable[[str], Sequence[UpliftStanding]]
    rules: Rules
    complete_to: date
    findings: Sequence[Finding]
    publish: Callable[[str, str], str]
    note: str | None

    def write(self, cutoff: str, written_at: datetime) -> str:
        """Write the page and return its place. Raises MissingDataError when the cutoff has no scores."""
        scores = self.lake.read(SCORES, where={"cutoff": [cutoff]})
        if scores.empty:
            raise MissingDataError(f"no scores of cutoff {cutoff}. Run the score DAG for it, then write the report.")
        shop = self.rules.shop
        page = Page(
            shop=shop.name,
            currency=shop.currency,
            word=self.rules.label.word,
            cutoff=date.fromisoformat(cutoff),
            horizon_days=self.rules.label.horizon_days,
            active_days=self.rules.population.active_days,
            written_at=written_at,
            version=version("holdfast"),
            note=self.note,
            intake=self._intake(),
            model=self._model(cutoff),
            tiers=_tiers(scores),
            probabilities=plots.probabilities(scores["probability"].to_numpy(float), scores["tier"].to_numpy(str)),
            tier_curve=plots.tier_curve(curve(scores["probability"].to_numpy(float), self.rules.tiers)),
            personas=self._personas(cutoff, scores),
            drifted=drifted(self.lake, cutoff),
            campaigns=self.accounts(cutoff),
            funnels=self.funnels(cutoff),
            uplifts=self.uplifts(cutoff),
            effects=[one for one in readouts.latest(self.lake) if one.cutoff.isoformat() <= cutoff],
            card=self._example(scores),
            provenance=self._provenance(scores),
        )
        return self.publish(cutoff, render(page))

    def _intake(self) -> Intake:
        entries = ledger.read(self.lake)
        tables: Counter[str] = Counter()
        for counts in entries["tables"]:
            tables.update(json.loads(counts))
        refused = ledger.refused(entries)
        quarantined = standing(self.lake)
        quarantined = quarantined[quarantined["rule"] != REFUSED]
        return Intake(
            files=entries["file"].nunique(),
            accepted=int(entries["accepted"].sum()),
            quarantined=len(quarantined),
            open=int(quarantined["how"].isna().sum()),
            complete_to=self.complete_to,
            tables=dict(tables),
            reasons=reasons(quarantined),
            refused=dict(zip(refused["file"], refused["reason"], strict=True)),
            findings=self.findings,
        )

    def _model(self, cutoff: str) -> ModelPart | None:
        """The candidates of the latest training up to ``cutoff``."""
        kept = self.lake.read(BACKTESTS) if self.lake.exists(BACKTESTS) else pd.DataFrame({"trained_at": []})
        kept = kept[kept["trained_at"] <= cutoff]
        if kept.empty:
            return None
        latest = kept[kept["trained_at"] == kept["trained_at"].max()]
        curves = {name: latest[latest["candidate"] == name] for name in self.rules.training.candidates}
        evaluations = {name: evaluate(rows) for name, rows in curves.items() if len(rows)}
        challenger = self.registry.aliased("challenger")
        any_evaluation = next(iter(evaluations.values()))
        return ModelPart(
            trained_at=str(latest["trained_at"].iloc[0]),
            metric=self.rules.training.metric,
            rows=[
                ModelRow(name, candidate(name).baseline, evaluation.mean.as_dict())
                for name, evaluation in evaluations.items()
            ],
            base_rate=any_evaluation.mean.base_rate,
            test_cutoffs=[cutoff.isoformat() for cutoff in any_evaluation.cutoffs],
            verdict=(challenger.verdict if challenger else None) or "No verdict yet.",
            plots={"Calibration": plots.calibration(curves), "Gain": plots.gain(curves)},
            fairness=self._fairness(latest, challenger),
        )

    def _fairness(self, latest: pd.DataFrame, challenger: ModelVersion | None) -> Fairness | None:
        """How the latest training's challenger serves the groups that the rules name, if it is among ``latest``."""
        rows = latest[latest["run_id"] == challenger.run_id] if challenger else latest.head(0)
        return fairness_of(rows, self.lake, self.rules) if len(rows) else None

    def _personas(self, cutoff: str, scores: pd.DataFrame) -> PersonaPart | None:
        found = personas.standing(self.lake, cutoff)
        if found is None or "persona" not in scores or scores["persona"].isna().any():
            return None
        language = language_of(self.rules.shop.locale)
        rows = [
            PersonaRow(
                id=one.id,
                name=one.name[language],
                customers=len(members),
                mean_probability=float(members["probability"].mean()),
                value_at_risk=float(members["value_at_risk"].sum()),
            )
            for one in found.personas
            if len(members := scores[scores["persona"] == one.id])
        ]
        return PersonaPart(rows, found.chosen.silhouette, found.chosen.stability)

    def _example(self, scores: pd.DataFrame) -> CustomerCard:
        """The card of the customer with the greatest value at risk."""
        first = scores.sort_values(["value_at_risk", "customer_id"], ascending=[False, True]).iloc[0]
        return customer_card(
            str(first["customer_id"]), self.store, self.operations, language_of(self.rules.shop.locale)
        )

    def _provenance(self, scores: pd.DataFrame) -> dict[str, str]:
        tables = ("orders", "order_lines", "products", "redemptions")
        return {
            "model": f"version {scores['model_version'].iloc[0]}, MLflow run {scores['run_id'].iloc[0]}",
            "lake": ", ".join(f"{table} v{self.lake.version(table)}" for table in tables if self.lake.exists(table)),
            "data complete up to": str(self.complete_to),
            "label": f"no order in the {self.rules.label.horizon_days} days from the cutoff on",
        }


def _tiers(scores: pd.DataFrame) -> list[TierRow]:
    rows = []
    for tier in Tier:
        members = scores[scores["tier"] == tier.value]
        mean = float(members["probability"].mean()) if len(members) else None
        rows.append(TierRow(tier.value, len(members), mean, float(members["value_at_risk"].sum())))
    return rows
