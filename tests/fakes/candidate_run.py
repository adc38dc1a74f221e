"""A small candidate, trained on random customers, as a training run hands it to the registry."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd

from holdfast.model import plots
from holdfast.model.candidates import candidate
from holdfast.model.evaluation import Evaluation, Metrics
from holdfast.model.record import CandidateRun, FeatureService
from holdfast.model.served import ServedModel

FEATURES = ["days_since_order", "gap_mean_days"]
SERVICE = FeatureService("churn_model_v1", tuple(FEATURES))
TEST_CUTOFF = date(2017, 10, 29)
METRICS = Metrics(
    rows=200, base_rate=0.2, auc=0.81, average_precision=0.4, brier=0.1, log_loss=0.3, calibration_error=0.02,
    lift_top_tenth=3,
)  # fmt: skip
ROWS = pd.DataFrame(np.random.default_rng(1).uniform(1, 60, (200, 2)), columns=FEATURES)
CHURNED = (ROWS["days_since_order"] > 2 * ROWS["gap_mean_days"]).to_numpy(float)


def candidate_run() -> CandidateRun:
    model = ServedModel(candidate("lightgbm").fit(ROWS, CHURNED, 7))
    predicted = pd.DataFrame({"churned": CHURNED, "probability": model.probabilities(ROWS)})
    return CandidateRun(
        candidate="lightgbm",
        cutoff=date(2017, 11, 26),
        trained_to=date(2017, 11, 26),
        rules='{"seed": 7}',
        model=model,
        service=SERVICE,
        evaluation=Evaluation({TEST_CUTOFF: METRICS}),
        parameters={"seed": 7, "learning_rate": 0.02},
        lake_versions={"orders": 12, "order_lines": 13},
        example=ROWS.median().to_frame().T,
        plots={"gain": plots.gain({"lightgbm": predicted})},
        texts={"card/model_card.md": "# 模型卡 – card"},
    )
