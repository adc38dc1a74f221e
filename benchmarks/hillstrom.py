"""Hillstrom's e-mail test: every learner, both e-mails, three outcomes, five-fold out of fold, beside the reference.

``python -m benchmarks.hillstrom FILE [LEARNERS]`` reads hillstrom.csv and writes ``results/hillstrom.json``. The file
has no customer id, so that its rows are numbered: 6,562 of them are like others, and customers of their own.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.measured import record
from holdfast.effect.learners import LEARNERS
from holdfast.effect.randomised import Randomised
from holdfast.effect.uplift_gate import Assessed, Assessment, Terms, assess, cross_fitted, told

COVARIATES = ("recency", "history_segment", "history", "mens", "womens", "zip_code", "newbie", "channel")
EMAILS = {"womens": "Womens E-Mail", "mens": "Mens E-Mail"}
OUTCOMES = ("visit", "conversion", "spend")
REFERENCE = {
    (
        "womens",
        "visit",
    ): "Qini 0.062 for S-logit with interactions, 0.054 to 0.061 for the others, 0.005 by churn risk; "
    "30 % treated gain about 21 visits per 1,000 customers against 13.6 at random",
    ("mens", "visit"): "no learner is clearly better than the rest",
    ("womens", "spend"): "every interval covers 0",
    ("mens", "spend"): "every interval covers 0",
}


def evidence(rows: pd.DataFrame, email: str, outcome: str) -> Randomised:
    """The customers of one e-mail and of the control."""
    arms = {EMAILS[email]: email, "No E-Mail": "control"}
    some = rows[rows["segment"].isin(list(arms))]
    values = pd.get_dummies(some[list(COVARIATES)], dtype=float)
    found = values.assign(
        customer_id=(some.index + 1).astype(str), arm=some["segment"].map(arms), outcome=some[outcome].astype(float)
    )
    chances = {"control": np.full(len(some), 0.5), email: np.full(len(some), 0.5)}
    return Randomised.of(
        found, features=list(values.columns), outcome="outcome", chances=chances, binary=outcome != "spend"
    )


def table(file: Path, names: list[str], terms: Terms) -> Iterator[dict[str, Any]]:
    rows = pd.read_csv(file)
    for email in EMAILS:
        for outcome in OUTCOMES:
            on = evidence(rows, email, outcome)
            unit = {"visit": "visits", "conversion": "orders", "spend": "dollars"}[outcome]
            found = assess(on, cross_fitted(on, names, terms), terms, unit=unit)
            yield {
                "email": email,
                "outcome": outcome,
                "customers": len(on),
                "reference": REFERENCE.get((email, outcome)),
                "decision": told(found.verdict),
                "random_per_1000": _per_1000(found.random),
                "learners": {one.learner.name: _told(one, found, email) for one in found.learners},
            }


def _told(one: Assessed, of: Assessment, email: str) -> dict[str, Any]:
    ranking = one.rankings[email]
    ends = ranking.intervals
    return {
        "qini": round(ranking.qini, 4),
        "qini_interval": [round(ends["qini"].low, 4), round(ends["qini"].high, 4)],
        "auuc": round(ranking.auuc, 5),
        "auuc_interval": [round(ends["auuc"].low, 5), round(ends["auuc"].high, 5)],
        "per_1000_at_30_percent": round(1000 * (one.over_random.value + of.random.value), 2),
        "over_random": _per_1000(one.over_random),
        "treated": round(one.treated, 3),
    }


def _per_1000(gain: Any) -> dict[str, Any]:
    ends = [round(1000 * gain.interval.low, 2), round(1000 * gain.interval.high, 2)]
    return {"value": round(1000 * gain.value, 2), "interval": ends}


if __name__ == "__main__":
    chosen = sys.argv[2].split(",") if len(sys.argv) > 2 else list(LEARNERS)
    if find_spec("econml") is None:
        chosen = [name for name in chosen if name != "causal_forest"]
    record("hillstrom", table(Path(sys.argv[1]), chosen, Terms(resamples=500)), ("scikit-learn", "lightgbm", "numpy"))
