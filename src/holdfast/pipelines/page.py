"""The report's page: numbers in, self-contained HTML out; nothing is fetched when it is opened."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from holdfast.campaign.funnel import ArmFunnel
from holdfast.effect.readout import Readout
from holdfast.features.catalog import FAMILIES, FEATURES
from holdfast.model.fairness import Fairness
from holdfast.monitoring.drift import Drift
from holdfast.monitoring.freshness import Finding
from holdfast.pipelines.accounting import Account
from holdfast.pipelines.customer import CustomerCard
from holdfast.pipelines.html import rendered
from holdfast.pipelines.quarantine import Reason
from holdfast.pipelines.uplift_scores import UpliftStanding


@dataclass(frozen=True)
class Intake:
    """What ingestion did: files, rows in all and by table, and what needs a person.

    ``quarantined`` rows are counted by ``reasons``; ``open`` of them are not settled. ``refused`` gives the reason by
    file, ``findings`` what is missing or out of the ordinary.
    """

    files: int
    accepted: int
    quarantined: int
    open: int
    complete_to: date
    tables: Mapping[str, int]
    reasons: Sequence[Reason]
    refused: Mapping[str, str]
    findings: Sequence[Finding]


@dataclass(frozen=True)
class ModelRow:
    """One candidate's mean figures over the test cutoffs, by the names of ``evaluation.Metrics``."""

    candidate: str
    baseline: bool
    figures: Mapping[str, float]


@dataclass(frozen=True)
class ModelPart:
    """The candidates side by side, the gate's verdict, the plots as PNG by title, and the challenger's fairness."""

    trained_at: str
    metric: str
    rows: Sequence[ModelRow]
    base_rate: float
    test_cutoffs: Sequence[str]
    verdict: str
    plots: Mapping[str, bytes]
    fairness: Fairness | None

    def best(self, baseline: bool) -> ModelRow | None:
        """The best of the simple rules, or of the models, by the deciding metric."""
        rows = [row for row in self.rows if row.baseline == baseline]
        return max(rows, key=lambda row: row.figures[self.metric], default=None)


@dataclass(frozen=True)
class TierRow:
    """One risk tier: customers, mean probability (None when empty), and expected spend at risk within the horizon."""

    tier: str
    customers: int
    mean_probability: float | None
    value_at_risk: float


@dataclass(frozen=True)
class PersonaRow:
    """One kind of customer: id and name, customers, mean probability, and expected spend at risk in the horizon."""

    id: str
    name: str
    customers: int
    mean_probability: float
    value_at_risk: float


@dataclass(frozen=True)
class PersonaPart:
    """The kinds of customers at the cutoff, and how clear-cut and how stable their number is."""

    rows: Sequence[PersonaRow]
    silhouette: float
    stability: float


@dataclass(frozen=True)
class Page:
    """All that the report shows.

    ``note`` says what to know about the data; ``probabilities`` and ``tier_curve`` are plots (PNG); ``drifted`` are the
    features that have moved since the champion's training. ``effects`` are the latest readouts of campaigns, and
    ``uplifts`` what was learned of those that learn.
    """

    shop: str
    currency: str
    word: str
    cutoff: date
    horizon_days: int
    active_days: int
    written_at: datetime
    version: str
    note: str | None
    intake: Intake
    model: ModelPart | None
    tiers: Sequence[TierRow]
    probabilities: bytes
    tier_curve: bytes
    personas: PersonaPart | None
    drifted: Sequence[Drift]
    campaigns: Sequence[Account]
    funnels: Mapping[str, Sequence[ArmFunnel]]
    uplifts: Sequence[UpliftStanding]
    effects: Sequence[Readout]
    card: CustomerCard
    provenance: Mapping[str, str]


def render(page: Page) -> str:
    """The page as HTML."""
    filters: dict[str, Callable[..., str]] = {"count": "{:,}".format, "data_uri": _data_uri, "amount": _amount}
    return rendered("report.html.j2", filters, page=page, families=FAMILIES, features=FEATURES)


def _amount(value: float, unit: str, currency: str) -> str:
    """A feature's value as a person would write it, with its unit unless that is plain from the meaning."""
    if unit.startswith(("share", "probability")):
        return f"{100 * value:,.1f} %"
    if unit.startswith(("ratio", "index")):
        return f"{value:,.2f}"
    if unit == "currency":
        return f"{value:,.2f} {currency}"
    number = f"{value:,.1f}".removesuffix(".0")
    return f"{number} days" if unit.startswith("days") else number


def _data_uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()
