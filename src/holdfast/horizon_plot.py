"""The picture of a horizon study: regret by horizon, and how long customers pause."""

from __future__ import annotations

from io import BytesIO

from holdfast.horizon import REGRET_LIMIT, HorizonStudy

_BLUE, _ORANGE, _GREY = "#1f5fa8", "#c4622d", "#bbbbbb"


def draw(study: HorizonStudy, shop: str) -> bytes:
    """A PNG with both curves over the same days."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), dpi=110, layout="constrained")
    regret, pauses = figure.subplots(1, 2)
    days = [one.horizon_days for one in study.regrets]
    regret.plot(days, [one.share for one in study.regrets], color=_BLUE, marker="o", label="regret")
    regret.plot(days, [one.churn_rate for one in study.regrets], color=_ORANGE, marker="o", label="labelled churned")
    regret.axhline(REGRET_LIMIT, color=_GREY, linestyle="--", linewidth=1, label=f"limit {REGRET_LIMIT:.2f}")
    if study.recommended is not None:
        regret.axvline(study.recommended, color=_GREY, linewidth=1, label=f"recommended: {study.recommended} days")
    regret.set(title=f"{shop}: labelled churned, yet back", xlabel="horizon, days", ylabel="share")
    pauses.step([0, *study.pauses.days], [1, *study.pauses.share], where="post", color=_BLUE)
    pauses.set(title="Pauses between purchases (Kaplan–Meier)", xlabel="days", ylabel="share that lasts longer")
    pauses.set_xlim(0, 3 * max(days))
    regret.legend(frameon=False)
    for axes in (regret, pauses):
        axes.set_ylim(0, 1)
        axes.spines[["top", "right"]].set_visible(False)
    buffer = BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
