"""Plots of what was learned: who gains how much by whom being treated first, and what more budget would bring."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import TYPE_CHECKING

from holdfast.campaign.knapsack import BudgetPoint
from holdfast.effect.randomised import Randomised
from holdfast.effect.uplift_evaluation import gain_curve
from holdfast.model.matrix import Matrix

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def gain(on: Randomised, place: int, effects: Mapping[str, Matrix], label: str) -> bytes:
    """For one arm (counted from 1), what treating the first x of the customers adds, by learner; dashed: at random."""
    figure, rows = _figure(), on.against_control(place)
    axes = figure.subplots()
    comparison = on.comparison(place)
    for name, found in effects.items():
        shares, added = gain_curve(comparison, found[rows, place - 1])
        axes.plot(shares, 1000 * added, label=name, linewidth=1)
    axes.plot([0, 1], [0, 1000 * added[-1]], color="#888888", linestyle="--", linewidth=1)
    axes.set(title=f"Gain by share treated: {on.arms[place - 1]}", xlabel="share treated", ylabel=f"{label} per 1,000")
    axes.legend(fontsize=6, frameon=False)
    return _png(figure)


def budget(points: Sequence[BudgetPoint], present: float, currency: str) -> bytes:
    """What budgets bring (left), and one more unit of money at each (right); the line is the present budget."""
    figure = _figure()
    worth, marginal = figure.subplots(1, 2)
    money = [point.money for point in points]
    worth.plot(money, [point.value for point in points], color="#1f5fa8")
    worth.set(title="Expected net value", xlabel=f"budget, {currency}", ylabel=currency)
    marginal.plot(money, [point.marginal for point in points], color="#c4622d")
    marginal.set(title="Marginal value of budget", xlabel=f"budget, {currency}", ylabel=f"{currency} per {currency}")
    for axes in (worth, marginal):
        axes.axvline(present, color="#888888", linestyle="--", linewidth=1)
    return _png(figure)


def _figure() -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(7, 3.5), layout="constrained")


def _png(figure: Figure) -> bytes:
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    written = BytesIO()
    figure.savefig(written, format="png", dpi=110, metadata={"Software": None})
    return written.getvalue()
