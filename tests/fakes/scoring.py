"""Scoring on fakes, over a small shop."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from holdfast.features.catalog import MODEL_SERVICE, fed_by
from holdfast.model.approval import Approval
from holdfast.model.candidates import candidate
from holdfast.model.evaluation import Evaluation
from holdfast.model.record import CandidateRun, FeatureService
from holdfast.model.served import ServedModel
from holdfast.model.worth import fit_worth
from holdfast.pipelines.score import Scoring
from holdfast.rules import Rules
from tests.fakes.feature_store import FakeFeatureStore
from tests.fakes.lake import FakeLake
from tests.fakes.registry import FakeRegistry
from tests.fakes.scratch import FakeScratch
from tests.fakes.small_shop import RULES

CUTOFF = "2017-06-04"
ON = tuple(feature.name for family in fed_by(["orders", "order_lines", "products"], []) for feature in family.features)
SERVICE = FeatureService(MODEL_SERVICE, ON)
APPROVED = Approval(True, "Ann", datetime(2026, 1, 5, tzinfo=UTC))


class Bench:
    """A scoring use case on fakes, and the fakes; ``crown`` makes a champion."""

    def __init__(self, store: FakeFeatureStore, rules: Rules = RULES) -> None:
        self.lake, self.store, self.scratch, self.registry = FakeLake(), store, FakeScratch(), FakeRegistry()
        self.objectors: set[str] = set()
        self.scoring = Scoring(self.lake, store, self.registry, self.scratch, rules, objectors=lambda: self.objectors)

    def crown(self, service: FeatureService = SERVICE) -> None:
        rows = self.store.snapshot(date.fromisoformat(CUTOFF))
        features = rows[[name for name in service.features if name in ON]]
        churned = (rows["days_since_order"] > 2 * rows["gap_mean_days"]).to_numpy(float)
        worth = fit_worth(rows.assign(spend=rows["amount_84d"]), list(features.columns), 7)
        model = ServedModel(candidate("logistic").fit(features, churned, 7), worth=worth)
        day = date(2017, 6, 4)
        run = CandidateRun("logistic", day, day, "{}", model, service, {}, {}, features, {}, evaluation=Evaluation({}))
        champion = self.registry.aliases.get("champion")
        self.registry.decide(self.registry.register(self.registry.log(run)), APPROVED, champion)

    def run(self, cutoff: str = CUTOFF) -> dict[str, Any]:
        return self.scoring.publish(cutoff, [self.scoring.score(cutoff, shard) for shard in self.scoring.shards()])
