from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from holdfast.rules import CapacityTiers, Rules, ThresholdTiers

COMMITTED = Path(__file__).parents[2] / "config" / "retention.yaml"


def committed() -> dict[str, Any]:
    return yaml.safe_load(COMMITTED.read_text(encoding="utf-8"))


def changed(section: str, **values: object) -> dict[str, Any]:
    rules = committed()
    rules[section] = {**rules[section], **values}
    return rules


def test_the_committed_rules_are_valid_and_cannot_be_changed_in_place() -> None:
    rules = Rules.model_validate(committed())
    assert rules.shop.zone.key == "America/New_York"
    with pytest.raises(ValidationError, match="frozen"):
        rules.label.horizon_days = 7


@pytest.mark.parametrize(
    ("section", "values", "message"),
    [
        ("label", {"horizon_day": 28}, r"label\.horizon_day\s+Extra inputs"),
        ("label", {"horizon_days": 0}, r"label\.horizon_days\s+.*greater than or equal to 1"),
        ("shop", {"timezone": "New York"}, r"'New York' is no IANA time zone"),
        ("shop", {"timezone": "9" * 300}, "is no IANA time zone"),
        ("shop", {"currency": "dollars"}, r"shop\.currency"),
        ("population", {"active_days": -1}, r"population\.active_days"),
        ("training", {"test_step_days": 30}, r"test_step_days 30 must be a multiple of step_days 7"),
        ("training", {"candidates": []}, r"training\.candidates\s+.*at least 1 item"),
        ("training", {"metric": "accuracy"}, r"training\.metric"),
        ("tiers", {"high": 1.5}, r"tiers\.threshold\.high\s+.*less than or equal to 1"),
        ("tiers", {"medium": 0.5}, r"medium \(0\.5\) must lie below high \(0\.5\)"),
        ("tiers", {"by": "mood"}, r"tiers\s+.*'threshold', 'capacity', 'profit'"),
        ("scoring", {"shards": 0}, r"scoring\.shards"),
    ],
)
def test_a_wrong_rule_is_refused_by_name(section: str, values: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Rules.model_validate(changed(section, **values))


def test_a_missing_section_is_refused_by_name() -> None:
    rules = committed()
    del rules["population"]
    with pytest.raises(ValidationError, match=r"population\s+Field required"):
        Rules.model_validate(rules)


def test_tiers_are_by_threshold_or_by_capacity() -> None:
    assert isinstance(Rules.model_validate(committed()).tiers, ThresholdTiers)
    by_capacity = {**committed(), "tiers": {"by": "capacity", "high": 200, "medium": 300}}
    assert isinstance(Rules.model_validate(by_capacity).tiers, CapacityTiers)
