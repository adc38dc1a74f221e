"""Plots of predictions against outcomes, each drawn from arrays into the bytes of an image."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from io import BytesIO
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from holdfast.model import evaluation
from holdfast.model.matrix import Vector
from holdfast.risk import TierCurve

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ImageFormat = Literal["png", "svg"]

# Predictions by candidate name; each frame has the columns ``churned`` (0 or 1) and ``probability``.
Curves = Mapping[str, pd.DataFrame]
Draw = Callable[..., bytes]

_TIER_COLOURS = {"low": "#3f7d4e", "medium": "#b7791f", "high": "#b3372f"}
_COLOURS = ("#1f5fa8", "#c4622d", "#4b8b5a", "#8a5a9e", "#6b6b6b")


def roc(curves: Curves, image: ImageFormat = "png") -> bytes:
    """Share of churners found against share of others bothered, as the threshold falls."""
    from sklearn.metrics import roc_curve

    figure, axes = _axes("ROC", "share of retained flagged", "share of churners flagged")
    for name, colour, churned, probability in _each(curves):
        false_positive, true_positive, _ = roc_curve(churned, probability)
        axes.plot(false_positive, true_positive, label=name, color=colour)
    axes.plot([0, 1], [0, 1], color="#bbbbbb", linewidth=1, linestyle="--")
    return _image(figure, axes, image)


def precision_recall(curves: Curves, image: ImageFormat = "png") -> bytes:
    """Share of the flagged who churn against share of churners flagged; the dashed line is the base rate."""
    from sklearn.metrics import precision_recall_curve

    figure, axes = _axes("Precision and recall", "share of churners flagged", "share of flagged who churned")
    for name, colour, churned, probability in _each(curves):
        precision, recall, _ = precision_recall_curve(churned, probability)
        axes.plot(recall, precision, label=name, color=colour)
        axes.axhline(churned.mean(), color="#bbbbbb", linewidth=1, linestyle="--")
    return _image(figure, axes, image)


def calibration(curves: Curves, image: ImageFormat = "png") -> bytes:
    """Observed churn rate against mean predicted probability, in bins of equal count."""
    figure, axes = _axes("Calibration", "predicted probability", "observed churn rate")
    for name, colour, churned, probability in _each(curves):
        bins = evaluation.calibration_bins(churned, probability)
        axes.plot(bins.predicted, bins.observed, label=name, color=colour, marker="o", markersize=3)
    axes.plot([0, 1], [0, 1], color="#bbbbbb", linewidth=1, linestyle="--")
    return _image(figure, axes, image)


def gain(curves: Curves, image: ImageFormat = "png") -> bytes:
    """Share of churners reached against share of customers contacted, likeliest first."""
    figure, axes = _axes("Gain", "share of customers contacted", "share of churners reached")
    for name, colour, churned, probability in _each(curves):
        reached = evaluation.gain(churned, probability)
        axes.plot(np.linspace(0, 1, len(reached)), reached, label=name, color=colour)
    axes.plot([0, 1], [0, 1], color="#bbbbbb", linewidth=1, linestyle="--")
    return _image(figure, axes, image)


def retention(curves: Curves, image: ImageFormat = "png") -> bytes:
    """Share of customers retained in each tenth by probability, likeliest churners first; dashed, as predicted."""
    figure, axes = _axes("Retention by risk", "tenth of customers, highest probability first", "share retained")
    for name, colour, churned, probability in _each(curves):
        bins = evaluation.calibration_bins(churned, probability, bins=10)
        tenth = np.arange(1, len(bins.count) + 1)
        axes.plot(tenth, 1 - bins.observed[::-1], label=name, color=colour, marker="o", markersize=3)
        axes.plot(tenth, 1 - bins.predicted[::-1], color=colour, linewidth=1, linestyle="--")
    return _image(figure, axes, image)


def importance(effect: Mapping[str, float], image: ImageFormat = "png", top: int = 20) -> bytes:
    """The ``top`` features by mean absolute contribution (``effect``, in log-odds), those without any left out."""
    shown = sorted((size, name) for name, size in effect.items() if size > 0)[-top:]
    figure, axes = _axes("Feature importance", "mean absolute contribution, log-odds", "", height=0.25 * len(shown) + 1)
    axes.barh([name for _, name in shown], [size for size, _ in shown], color=_COLOURS[0])
    return _image(figure, axes, image)


def dependence(feature: str, values: Vector, probability: Vector, image: ImageFormat = "png") -> bytes:
    """Mean probability when every customer has each of these values of the feature."""
    figure, axes = _axes("Partial dependence", feature, "mean probability", height=2.6)
    axes.plot(values, probability, color=_COLOURS[0], marker="o", markersize=3)
    return _image(figure, axes, image)


def probabilities(probability: Vector, tier: NDArray[np.str_], image: ImageFormat = "png") -> bytes:
    """How many customers have which probability, stacked by risk tier."""
    figure, axes = _axes("Scores", "probability", "customers")
    shown = [(name, colour) for name, colour in _TIER_COLOURS.items() if (tier == name).any()]
    axes.hist(
        [probability[tier == name] for name, _ in shown],
        bins=np.linspace(0, 1, 41).tolist(),
        stacked=True,
        color=[colour for _, colour in shown],
        label=[name for name, _ in shown],
    )
    return _image(figure, axes, image)


def tier_curve(drawn: TierCurve, image: ImageFormat = "png") -> bytes:
    """What the likeliest customers bring as their number grows, and where the rule puts the edges of the tiers."""
    figure, axes = _axes("The choice of tiers", "customers, likeliest first", drawn.meaning)
    axes.plot(np.arange(len(drawn.gained)), drawn.gained, color=_COLOURS[0])
    for tier, place in drawn.edges.items():
        label = f"{tier.value}: the first {place:,}"
        axes.axvline(place, color=_TIER_COLOURS[tier.value], linewidth=1.2, linestyle="--", label=label)
    return _image(figure, axes, image)


def _each(curves: Curves) -> list[tuple[str, str, Vector, Vector]]:
    return [
        (name, _COLOURS[i % len(_COLOURS)], rows["churned"].to_numpy(float), rows["probability"].to_numpy(float))
        for i, (name, rows) in enumerate(curves.items())
    ]


def _axes(title: str, x: str, y: str, height: float = 4.0) -> tuple[Figure, Any]:
    """A figure outside of pyplot: nothing global holds it, so nothing needs closing."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, height), dpi=110, layout="constrained")
    axes = figure.subplots()
    axes.set(title=title, xlabel=x, ylabel=y)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _image(figure: Figure, axes: Any, image: ImageFormat) -> bytes:
    import matplotlib as mpl

    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False)
    buffer = BytesIO()
    # Without a date and with a fixed salt for the ids, the same arrays give the same bytes.
    with mpl.rc_context({"svg.hashsalt": "holdfast"}):
        figure.savefig(buffer, format=image, metadata={"Date": None} if image == "svg" else None)
    return buffer.getvalue()
