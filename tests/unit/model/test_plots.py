"""Plots as bytes of an image."""

import numpy as np
import pandas as pd
import pytest

from holdfast.model import plots
from holdfast.risk import Tier, TierCurve

CURVES = {
    "lightgbm": pd.DataFrame({"churned": [0, 1, 0, 1], "probability": [0.1, 0.7, 0.2, 0.9]}),
    "recency_rule": pd.DataFrame({"churned": [0, 1, 0, 1], "probability": [0.4, 0.4, 0.2, 0.6]}),
}


@pytest.mark.parametrize("draw", [plots.roc, plots.precision_recall, plots.calibration, plots.gain])
def test_every_plot_names_its_curves_and_comes_as_png_or_svg(draw: plots.Draw) -> None:
    assert draw(CURVES).startswith(b"\x89PNG")
    svg = draw(CURVES, "svg")
    assert b"<svg" in svg
    assert b"recency_rule" in svg


def test_the_same_arrays_draw_the_same_bytes() -> None:
    assert plots.gain(CURVES, "svg") == plots.gain(CURVES, "svg")


def test_importance_shows_the_strongest_features_only() -> None:
    svg = plots.importance({"weak": 0.1, "strong": 0.9, "middling": 0.5}, "svg", top=2)
    assert b"strong" in svg
    assert b"middling" in svg
    assert b"weak" not in svg


def test_features_without_effect_are_not_shown_as_important() -> None:
    assert b"idle" not in plots.importance({"idle": 0.0, "strong": 0.9}, "svg")


def test_scores_are_stacked_by_the_tiers_that_occur() -> None:
    svg = plots.probabilities(np.array([0.1, 0.7, 0.8]), np.array(["low", "high", "high"]), "svg")
    assert b"high" in svg
    assert b"medium" not in svg


def test_the_curve_of_tiers_marks_where_each_begins() -> None:
    drawn = TierCurve("expected churners", np.array([0.0, 0.9, 1.4, 1.5]), {Tier.HIGH: 1, Tier.MEDIUM: 2})
    svg = plots.tier_curve(drawn, "svg")
    assert b"high: the first 1" in svg
    assert b"medium: the first 2" in svg


def test_partial_dependence_names_its_feature() -> None:
    assert b"days_since_order" in plots.dependence(
        "days_since_order", np.array([1.0, 9.0]), np.array([0.1, 0.4]), "svg"
    )
