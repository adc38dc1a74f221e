"""The picture of a rehearsal: what each campaign was measured to do beside what it did."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO

from holdfast.simulator.comparison import Compared

_BLUE, _ORANGE, _GREY = "#1f5fa8", "#c4622d", "#bbbbbb"
_TITLES = {"retained": "customers retained, points", "net": "net margin a customer"}


def draw(compared: Sequence[Compared], shop: str, currency: str) -> bytes:
    """A PNG: a row a campaign and arm, the measured interval and the true effect on it."""
    from matplotlib.figure import Figure

    outcomes = list(_TITLES)
    rows = list(dict.fromkeys((one.campaign_id, one.arm) for one in compared))
    figure = Figure(figsize=(11, 1.8 + 0.42 * len(rows)), dpi=110, layout="constrained")
    panels = figure.subplots(1, len(outcomes), sharey=True, squeeze=False)[0]
    for axes, outcome in zip(panels, outcomes, strict=True):
        scale = 100 if outcome == "retained" else 1
        for one in (each for each in compared if each.outcome == outcome):
            y = -rows.index((one.campaign_id, one.arm))
            axes.plot([one.low * scale, one.high * scale], [y, y], color=_BLUE, linewidth=2)
            axes.plot(one.measured * scale, y, "o", color=_BLUE)
            axes.plot(one.true * scale, y, "D", color=_ORANGE)
        axes.axvline(0, color=_GREY, linewidth=1)
        unit = "" if outcome == "retained" else f", {currency}"
        axes.set(title=f"Effect on {_TITLES[outcome]}{unit}")
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_yticks([-place for place in range(len(rows))], [f"{campaign}, {arm}" for campaign, arm in rows])
    panels[0].plot([], [], "o-", color=_BLUE, label="measured, 95 % interval")
    panels[0].plot([], [], "D", color=_ORANGE, label="true (known to the simulator alone)")
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    figure.suptitle(f"{shop}: a simulated shop, nothing here is real")
    buffer = BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
