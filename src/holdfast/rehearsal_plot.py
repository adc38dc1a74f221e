"""The picture of a rehearsal: campaign after campaign, what was measured beside the truth, and plans beside rivals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

from holdfast.effect.readout import ALL_ARMS
from holdfast.effect.rivals import ORACLE, PLAN, RANDOM, TOP_RISK, VALUE_AT_RISK, Valued
from holdfast.simulator.comparison import Compared

_BLUE, _ORANGE, _GREY = "#1f5fa8", "#c4622d", "#bbbbbb"
_TITLES = {"retained": "Effect on customers retained, points", "net": "Effect on net margin a customer"}
_MARKS = {PLAN: ("o-", _BLUE), ORACLE: ("*--", _ORANGE), RANDOM: ("x:", "#777777")} | {
    TOP_RISK: ("v:", "#8a6fb0"),
    VALUE_AT_RISK: ("^:", "#4f9a6a"),
}


def draw(
    campaigns: Mapping[str, str], compared: Sequence[Compared], plans: Sequence[Valued], shop: str, currency: str
) -> bytes:
    """A PNG. ``campaigns`` gives each campaign's title by its id, in order; one may be in neither of the rest."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(max(7.5, 2.5 + 1.4 * len(campaigns)), 10), dpi=110, layout="constrained")
    *effects, values = figure.subplots(len(_TITLES) + 1, 1, sharex=True)
    place = {campaign: at for at, campaign in enumerate(campaigns)}
    for axes, (outcome, title) in zip(effects, _TITLES.items(), strict=True):
        _draw_effects(axes, [one for one in compared if one.outcome == outcome], place)
        axes.set_title(title + (f", {currency}" if outcome == "net" else ""), loc="left")
    for policy, (style, colour) in _MARKS.items():
        own = [one for one in plans if one.policy == policy]
        values.plot(
            [place[one.campaign_id] for one in own], [one.net for one in own], style, color=colour, label=policy
        )
    values.set_title(
        f"What the plan brought in truth, and rivals at as many treated, {currency} a campaign", loc="left"
    )
    values.set_xticks(range(len(campaigns)), list(campaigns.values()))
    values.set_xlim(-0.5, len(campaigns) - 0.5)
    for axes in (*effects, values):
        axes.axhline(0, color=_GREY, linewidth=1, zorder=0)
        axes.spines[["top", "right"]].set_visible(False)
    effects[0].legend(frameon=False, fontsize="small")
    values.legend(frameon=False, fontsize="small", ncols=len(_MARKS))
    figure.suptitle(f"{shop}: a simulated shop, nothing here is real")
    buffer = BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _draw_effects(axes: Any, compared: Sequence[Compared], place: Mapping[str, int]) -> None:
    """All arms together where they can be put together; else arm by arm, side by side."""
    together = {one.campaign_id for one in compared if one.arm == ALL_ARMS}
    shown = [one for one in compared if one.arm == ALL_ARMS or one.campaign_id not in together]
    scale = 100 if shown and shown[0].outcome == "retained" else 1
    arms = sorted({one.arm for one in shown})
    for one in shown:
        x = place[one.campaign_id] + 0.12 * (arms.index(one.arm) - (len(arms) - 1) / 2)
        axes.plot([x, x], [one.low * scale, one.high * scale], color=_BLUE, linewidth=2)
        axes.plot(x, one.measured * scale, "o", color=_BLUE)
        axes.plot(x, one.true * scale, "D", color=_ORANGE)
    axes.plot([], [], "o-", color=_BLUE, label="measured, 95 % interval")
    axes.plot([], [], "D", color=_ORANGE, label="true (known to the simulator alone)")
