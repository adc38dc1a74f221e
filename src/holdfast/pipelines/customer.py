"""One customer as other services see them: what the online store serves, and the campaigns that met them."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pandas as pd

from holdfast.campaign.outbox import CustomerRecord
from holdfast.errors import MissingDataError
from holdfast.features.catalog import families_in, present
from holdfast.language import Language
from holdfast.model.reasons import told
from holdfast.ports import FeatureStore, Operations


@dataclass(frozen=True)
class CustomerCard:
    """Score, tier and reasons (None and empty when not scored), features by family (None is null), campaigns met.

    ``persona`` is the id and name of the kind of customer, None where no personas were found. Families that are off
    are left out.
    """

    customer_id: str
    probability: float | None
    tier: str | None
    model_version: str | None
    reasons: tuple[str, ...]
    persona: str | None
    features: dict[str, dict[str, float | None]]
    campaigns: tuple[CustomerRecord, ...]


def customer_card(
    customer_id: str, store: FeatureStore, operations: Operations, language: Language, *, called: str | None = None
) -> CustomerCard:
    """The customer's card, its reasons in ``language``. Raises MissingDataError when nothing is served of them.

    ``called`` is what whoever asks calls the customer; the card and the error do so too.
    """
    served = store.online([customer_id]).iloc[0]
    if served[present(served.index)].isna().all():
        raise MissingDataError(
            f"the online store knows no customer {(called or customer_id)!r}: the id is misspelt, they have never "
            "ordered, or the features DAG has not run yet."
        )
    with operations.reading() as tx:
        campaigns = tuple(tx.history(customer_id))
    scored = not pd.isna(served["probability"])
    return CustomerCard(
        customer_id=called or customer_id,
        probability=float(served["probability"]) if scored else None,
        tier=str(served["tier"]) if scored else None,
        model_version=str(served["model_version"]) if scored else None,
        reasons=told(str(served["reasons"]), language) if scored else (),
        persona=_persona(served, language) if scored else None,
        features={
            family.name: {
                feature.name: None if pd.isna(served[feature.name]) else float(served[feature.name])
                for feature in family.features
            }
            for family in families_in(served.index)
        },
        campaigns=campaigns,
    )


def _persona(served: pd.Series, language: Language) -> str | None:
    if pd.isna(served["persona"]):
        return None
    return f"{served['persona']}: {json.loads(served['persona_name'])[language]}"
