"""What is served online of a customer's score, each column declared once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class ScoreField:
    """A column of the score view: text, or a float64."""

    name: str
    meaning: str
    kind: Literal["number", "text"] = "number"


SCORES_VIEW = "churn_scores"
"""The Feast feature view that holds them."""

SCORE_FIELDS = (
    ScoreField("probability", "calibrated probability of churning within the horizon"),
    ScoreField("tier", "risk tier: high, medium or low", "text"),
    ScoreField("reasons", "JSON list of the drivers, strongest first; text by language", "text"),
    ScoreField("basis", "what the probability rests on: model, or cohort (single buyers nothing tells apart)", "text"),
    ScoreField("expected_spend", "expected spend within the horizon, in the shop's currency"),
    ScoreField("value_at_risk", "probability times the spend within the horizon of who stays, in the shop's currency"),
    ScoreField("lifetime_value", "expected spend within a year, in the shop's currency"),
    ScoreField("persona", "id of the kind of customer, the same from fit to fit; null where none were found", "text"),
    ScoreField("persona_name", "JSON object: the persona's name by language; null where none were found", "text"),
    ScoreField("model_version", "registry version of the model that scored", "text"),
)

SCORE_NAMES = tuple(field.name for field in SCORE_FIELDS)
