"""Training on fakes, over a small shop."""

from __future__ import annotations

from holdfast.pipelines.train import Training
from holdfast.rules import Rules
from tests.fakes.feature_store import FakeFeatureStore
from tests.fakes.registry import FakeRegistry
from tests.fakes.scratch import FakeScratch
from tests.fakes.shop import Tables
from tests.fakes.small_shop import RULES, feature_store, lake

CUTOFF = "2017-06-04"


class Bench:
    """A training use case on fakes, and the fakes."""

    def __init__(self, of: Tables, rules: Rules = RULES) -> None:
        self.lake, self.store, self.scratch = lake(of), feature_store(of), FakeScratch()
        self.registry = FakeRegistry()
        self.training = self.use_case(self.store, rules)

    def use_case(self, store: FakeFeatureStore, rules: Rules) -> Training:
        return Training(self.lake, store, self.registry, self.scratch, rules)
