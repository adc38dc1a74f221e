"""Training and promotion on fakes, over a small shop."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from itertools import count
from typing import Any

from holdfast.model.approval import Approval
from holdfast.pipelines.promote import Promotion
from holdfast.pipelines.train import Training
from holdfast.rules import Gate, Rules
from tests.fakes.registry import FakeRegistry
from tests.fakes.scratch import FakeScratch
from tests.fakes.shop import Tables
from tests.fakes.small_shop import RULES, feature_store, lake

CUTOFF = "2017-06-04"
AT = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)
YES, NO = Approval(True, "Ann", AT), Approval(False, "Ann", AT)
LENIENT = RULES.model_copy(update={"gate": Gate(margin=0.5, calibration_error=1, scoring_milliseconds=1e9)})


class Bench:
    """Training and promotion on fakes; scoring takes a second by its clock."""

    def __init__(self, of: Tables, rules: Rules = LENIENT) -> None:
        self.lake, self.scratch, self.registry = lake(of), FakeScratch(), FakeRegistry()
        self.training = Training(self.lake, feature_store(of), self.registry, self.scratch, rules)
        clock = map(float, count())
        self.promotion = Promotion(
            self.lake,
            self.registry,
            self.scratch,
            rules,
            lambda: next(clock),
            lambda version: f"page/{version.version}",
        )

    def train(self, cutoff: str = CUTOFF) -> tuple[dict[str, Any], dict[str, Any]]:
        """What a DAG run hands to the gate; every step's answer passes through JSON, as it does in Airflow."""
        prepared = through_json(self.training.prepare(cutoff))
        fitted = [through_json(self.training.fit(name, prepared)) for name in RULES.training.candidates]
        return through_json(self.training.register(fitted)), prepared

    def weigh(self, cutoff: str = CUTOFF) -> dict[str, Any]:
        return through_json(self.promotion.weigh(*self.train(cutoff)))

    def crown(self, cutoff: str = CUTOFF) -> dict[str, Any]:
        return self.promotion.decide(self.weigh(cutoff), YES)

    def found(self, weighed: dict[str, Any], name: str) -> str:
        [check] = [one for one in weighed["checks"] if one["name"] == name]
        return str(check["found"])

    def holder(self, alias: str) -> str | None:
        return self.registry.aliases.get(alias)


def through_json(value: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(json.dumps(value, allow_nan=False))
    return answer
