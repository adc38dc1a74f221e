"""Pictures of readouts, each drawn into the bytes of an SVG: the same numbers give the same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

from holdfast.effect.readout import Readout
from holdfast.effect.sequence import Look

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BLUE, _GREEN, _RED, _GREY = "#1f5fa8", "#3f7d4e", "#b3372f", "#bbbbbb"


def arms(readout: Readout) -> bytes:
    """The effect on retention in points, arm by arm, each with its interval."""
    effects = [one.effect("retained") for one in readout.readings]
    figure, axes = _axes("Effect on retention", "points, treated minus control", 1.3 + 0.5 * len(effects))
    for place, one in enumerate(reversed(effects)):
        colour = _GREEN if one.low > 0 else _RED if one.high < 0 else _BLUE
        axes.plot([100 * one.low, 100 * one.high], [place, place], color=colour, linewidth=2)
        axes.plot(100 * one.difference, place, color=colour, marker="o")
    axes.axvline(0, color=_GREY, linewidth=1)
    axes.set_yticks(range(len(effects)), [one.arm for one in reversed(readout.readings)])
    axes.set_ylim(-0.6, len(effects) - 0.4)
    return _svg(figure)


def days(seen: Sequence[Look]) -> bytes:
    """By day, the difference in the share who have ordered, with the sequence that holds on all days together."""
    figure, axes = _axes("Day by day", "days since the cutoff", 3)
    colours = (_BLUE, "#c4622d", "#8a5a9e", _GREEN, "#6b6b6b")
    names = list(dict.fromkeys(look.arm for look in seen))
    for place, name in enumerate(names):
        of_arm, colour = [look for look in seen if look.arm == name], colours[place % len(colours)]
        day = [look.day for look in of_arm]
        axes.fill_between(
            day, [100 * one.low for one in of_arm], [100 * one.high for one in of_arm], color=colour, alpha=0.15
        )
        axes.plot(day, [100 * one.difference for one in of_arm], color=colour, label=name)
    axes.axhline(0, color=_GREY, linewidth=1)
    axes.set(ylabel="points of customers")
    axes.legend(frameon=False)
    return _svg(figure)


def quarters(readouts: Sequence[Readout]) -> bytes:
    """The programme's effect on retention, quarter by quarter, with intervals."""
    effects = [one.readings[0].effect("retained") for one in readouts]
    figure, axes = _axes("The programme's effect on retention", "quarter", 3)
    for place, one in enumerate(effects):
        axes.plot([place, place], [100 * one.low, 100 * one.high], color=_BLUE, linewidth=2)
        axes.plot(place, 100 * one.difference, color=_BLUE, marker="o")
    axes.axhline(0, color=_GREY, linewidth=1)
    axes.set_xticks(range(len(effects)), [one.campaign_id.partition("@")[2] for one in readouts])
    axes.set_xlim(-0.6, len(effects) - 0.4)
    axes.set(ylabel="points, contacted minus holdout")
    return _svg(figure)


def _axes(title: str, x: str, height: float) -> tuple[Figure, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, height), layout="constrained")
    axes = figure.subplots()
    axes.set(title=title, xlabel=x)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _svg(figure: Figure) -> bytes:
    import matplotlib as mpl

    buffer = BytesIO()
    # Without a date and with a fixed salt for the ids, the same arrays give the same bytes.
    with mpl.rc_context({"svg.hashsalt": "holdfast"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()
