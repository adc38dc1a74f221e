"""A small report page with literal numbers, no two of them alike."""

from __future__ import annotations

import dataclasses
from datetime import UTC, date, datetime
from typing import Any

import pandas as pd

from holdfast.campaign.funnel import ArmFunnel
from holdfast.campaign.outbox import CustomerRecord
from holdfast.features.catalog import FAMILIES
from holdfast.model.fairness import Fairness, Figure, Group
from holdfast.model.record import FeatureService, ModelVersion
from holdfast.monitoring.drift import Drift, Level
from holdfast.monitoring.freshness import Finding, Kind
from holdfast.pipelines.accounting import Account
from holdfast.pipelines.customer import CustomerCard
from holdfast.pipelines.page import Intake, ModelPart, ModelRow, Page, PersonaPart, PersonaRow, TierRow
from holdfast.pipelines.quarantine import Reason
from holdfast.pipelines.uplift_scores import UpliftStanding

IMAGE = b"an image"

FIGURES = {
    "auc": 0.8617,
    "average_precision": 0.4412,
    "brier": 0.08423,
    "log_loss": 0.2791,
    "calibration_error": 0.0213,
    "lift_top_tenth": 3.97,
}
RULE_FIGURES = {
    "auc": 0.7514,
    "average_precision": 0.3187,
    "brier": 0.09768,
    "log_loss": 0.3341,
    "calibration_error": 0.0296,
    "lift_top_tenth": 3.26,
}

MOVED = Drift("gap_mean_days", 0.3791, 0.0223, Level.MAJOR, 6.81, 9.47, 0.017, 0.033)

SENT = CustomerRecord(
    campaign_id="win_back@2017-11-26",
    planned_at=datetime(2026, 1, 5, tzinfo=UTC),
    skipped=None,
    arm="treatment",
    code="SECRET-CODE",
    valid_until=datetime(2026, 1, 19, tzinfo=UTC),
    message="sent",
    reference="a1b2",
    finished_at=datetime(2026, 1, 5, 1, tzinfo=UTC),
    detail=None,
)

CARD = CustomerCard(
    customer_id="4711",
    probability=0.4983,
    tier="medium",
    model_version="12",
    reasons=("has not ordered for 49 days", "orders a third as often as before"),
    persona="P2: orders often, buys by discount",
    features={family.name: {feature.name: None for feature in family.features} for family in FAMILIES}
    | {
        "habits": {
            "weekend_share": 0.2436,
            "evening_share": 0.0,
            "weekday_concentration": 0.1872,
            "daypart_concentration": None,
        }
    },
    campaigns=(SENT,),
)

EVERYONE = Group(
    "everyone",
    "everyone",
    2201,
    Figure(0.127, 0.114, 0.142),
    Figure(0.171, 0.156, 0.187),
    None,
    Figure(0.0, -0.01, 0.02),
    None,
)
FAIRNESS = Fairness(
    EVERYONE, (dataclasses.replace(EVERYONE, column="age_band", name="35-44", customers=191),), ("35-44: too far off",)
)

MODEL = ModelPart(
    trained_at="2017-11-19",
    metric="auc",
    rows=(ModelRow("recency_rule", True, RULE_FIGURES), ModelRow("lightgbm", False, FIGURES)),
    base_rate=0.1254,
    test_cutoffs=("2017-10-01", "2017-10-29"),
    verdict="Promoted: it beats the rule.",
    plots={"Calibration": IMAGE},
    fairness=FAIRNESS,
)

REASON = Reason(
    rule="missing", table="orders", field="customer_id", file=None, files=3, rows=33, open=21, remedy="Fill it in."
)

CAMPAIGN = Account(
    campaign_id="win_back@2017-11-26",
    scored=2228,
    audience=331,
    skipped={"no_consent": 18},
    control=63,
    treated=250,
    arms={"coupon": 250},
    send_skips={"no_consent": 4},
    planned=250,
    sent=231,
    failed=7,
    unknown=5,
    skipped_at_send=4,
    waiting=3,
    offers={},
    expected_cost=245.43,
    chosen_by="value_at_risk",
)

PERSONAS = PersonaPart((PersonaRow("P2", "orders often, buys by discount", 977, 0.2031, 4512.6),), 0.148, 0.826)
UPLIFT = UpliftStanding(
    campaign="win_back",
    models={
        "champion": ModelVersion(
            version="3",
            run_id="r3",
            candidate="dr_logistic",
            trained_to=date(2017, 10, 29),
            sha256="",
            service=FeatureService("churn_model", ()),
            verdict="Passed: dr_logistic brings more than choosing by random: +61.5 USD per 1,000 customers, 95 % "
            "interval +12.2 to +98.3.",
        )
    },
    until="random",
    shares=pd.DataFrame(
        {
            "segment": ["high"],
            "arm": ["sms_coupon"],
            "share": [0.735],
            "effect": [1.5],
            "error": [0.5],
            "customers": [1234],
        }
    ),
    predicted=2107,
    spared=46,
)
EMAILED = ArmFunnel("treatment", assigned=250, planned=250, sent=231, opened=102, redeemed=17, ordered=96)
CONTROLS = ArmFunnel("control", assigned=63, planned=None, sent=None, opened=None, redeemed=None, ordered=21)

PAGE = Page(
    shop="A Shop",
    currency="USD",
    word="lapsing",
    cutoff=date(2017, 11, 26),
    horizon_days=28,
    active_days=56,
    written_at=datetime(2026, 1, 5, 9, 41, tzinfo=UTC),
    version="0.1.0",
    note="These data are real.",
    intake=Intake(
        files=562,
        accepted=1564470,
        quarantined=34,
        open=21,
        complete_to=date(2017, 11, 27),
        tables={"orders": 140771, "order_lines": 1322181},
        reasons=(REASON,),
        refused={"2017-11-20/sales.csv": "the file is empty", "2017-11-21/sales.csv": "line 3, byte 17: not UTF-8"},
        findings=(Finding(Kind.MISSING, date(2017, 11, 22), "nothing has arrived for 2017-11-22"),),
    ),
    model=MODEL,
    tiers=(TierRow("high", 55, 0.549, 202.4), TierRow("medium", 2, 0.356, 2922.1), TierRow("low", 1844, 0.0561, 8153)),
    probabilities=IMAGE,
    tier_curve=IMAGE,
    personas=PERSONAS,
    drifted=(MOVED,),
    campaigns=(CAMPAIGN,),
    funnels={CAMPAIGN["campaign_id"]: (EMAILED, CONTROLS)},
    uplifts=(UPLIFT,),
    effects=(),
    card=CARD,
    provenance={"lake": "orders v10"},
)


def page(**changes: Any) -> Page:
    """``PAGE`` with these fields changed."""
    return dataclasses.replace(PAGE, **changes)
