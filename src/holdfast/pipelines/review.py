"""What a reviewer needs beside a candidate's figures: what it goes by, whom it serves how well, and its card."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pandas as pd

from holdfast.features.catalog import families_in
from holdfast.model import card, plots
from holdfast.model.explanation import Explanation, explain
from holdfast.model.fairness import Fairness, assess
from holdfast.model.record import CandidateRun
from holdfast.pipelines import canonical
from holdfast.ports import Lake
from holdfast.rules import Rules


def reviewed(
    run: CandidateRun, rows: pd.DataFrame, predictions: pd.DataFrame, lake: Lake, rules: Rules
) -> CandidateRun:
    """The run with its model explained on ``rows`` and its out-of-time ``predictions`` judged by group.

    Adds the plots of importance and partial dependence, and as texts the model card (Markdown and HTML), the
    contributions, and the fairness where the rules name groups.
    """
    families = families_in(rows)
    explanation = explain(run.model, rows, families, rules.training.seed)
    fair = fairness_of(predictions, lake, rules)
    drawn = replace(run, plots={**run.plots, **_drawings(explanation)})
    told = card.Card(drawn, rules, explanation, fair, families)
    texts = {
        "card/model_card.md": card.markdown(told),
        "card/model_card.html": card.html(told),
        "importance.json": json.dumps({"family": explanation.by_family, "feature": explanation.by_feature}, indent=1),
    }
    if fair is not None:
        texts["fairness.json"] = json.dumps(asdict(fair), indent=1, ensure_ascii=False)
    return replace(drawn, texts=texts)


def fairness_of(predictions: pd.DataFrame, lake: Lake, rules: Rules) -> Fairness | None:
    """The fairness of out-of-time predictions by the groups that the rules name; None where they name none."""
    if rules.fairness is None:
        return None
    customers = canonical.read(lake, "customers")
    return assess(predictions, customers, rules.fairness, rules.tiers)


def _drawings(explanation: Explanation) -> dict[str, bytes]:
    dependence = {
        f"dependence_{name}": plots.dependence(name, one.values, one.probability)
        for name, one in explanation.dependence.items()
    }
    return {"importance": plots.importance(explanation.by_feature), **dependence}
