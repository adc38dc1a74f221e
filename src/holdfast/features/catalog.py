"""The catalogue: every family and every feature there is."""

from __future__ import annotations

from holdfast.features.activity import ACTIVITY
from holdfast.features.basket import BASKET
from holdfast.features.habits import HABITS
from holdfast.features.rhythm import RHYTHM
from holdfast.features.savings import SAVINGS
from holdfast.features.spec import Family, Feature

FAMILIES: tuple[Family, ...] = (RHYTHM, ACTIVITY, BASKET, SAVINGS, HABITS)

FEATURES: dict[str, Feature] = {feature.name: feature for family in FAMILIES for feature in family.features}

FEATURE_NAMES: tuple[str, ...] = tuple(FEATURES)

MODEL_SERVICE = "churn_model_v1"
"""The Feast feature service that models read. Whoever removes or redefines a feature gives it its next number."""
