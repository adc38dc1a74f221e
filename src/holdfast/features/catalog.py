"""The catalogue: every family and every feature there is, and which of them a shop's data can feed."""

from __future__ import annotations

from collections.abc import Collection, Container

from holdfast.features.activity import ACTIVITY
from holdfast.features.alive import ALIVE
from holdfast.features.basket import BASKET
from holdfast.features.choice import CHOICE
from holdfast.features.contact import CONTACT
from holdfast.features.coupons import COUPONS
from holdfast.features.engagement import ENGAGEMENT
from holdfast.features.habits import HABITS
from holdfast.features.opinion import OPINION
from holdfast.features.rhythm import RHYTHM
from holdfast.features.savings import SAVINGS
from holdfast.features.service import SERVICE
from holdfast.features.spec import Family, Feature

FAMILIES: tuple[Family, ...] = (
    RHYTHM,
    ACTIVITY,
    BASKET,
    CHOICE,
    SAVINGS,
    COUPONS,
    HABITS,
    ENGAGEMENT,
    SERVICE,
    OPINION,
    CONTACT,
    ALIVE,
)

FEATURES: dict[str, Feature] = {feature.name: feature for family in FAMILIES for feature in family.features}

FEATURE_NAMES: tuple[str, ...] = tuple(FEATURES)

MODEL_SERVICE = "churn_model_v1"
"""The Feast feature service that models read. Whoever removes or redefines a feature gives it its next number."""


def families_in(columns: Container[str]) -> list[Family]:
    """The families whose features are among these columns (or this frame's)."""
    return [family for family in FAMILIES if all(feature.name in columns for feature in family.features)]


def present(columns: Container[str]) -> list[str]:
    """The features that are among these columns (or this frame's), in the order of the catalogue."""
    return [name for name in FEATURE_NAMES if name in columns]


def fed_by(tables: Collection[str], event_types: Collection[str]) -> tuple[Family, ...]:
    """The families that are on: those whose tables all hold rows, and whose events are of the types that occur.

    The others are off: nothing is computed, stored or served for them, and no model sees their columns.
    """
    return tuple(
        family
        for family in FAMILIES
        if set(family.tables) <= set(tables)
        and (not family.event_types or not set(family.event_types).isdisjoint(event_types))
    )
