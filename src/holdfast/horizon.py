"""How long to wait before calling a silent customer churned: the horizon, chosen from the shop's own orders.

A label is worth acting on if those whom it calls churned mostly stay away. The *regret* of a horizon is the share of
them who buy within the next two horizons after all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from holdfast import windows
from holdfast.errors import MissingDataError
from holdfast.history import History
from holdfast.rules import Label

REGRET_LIMIT = 0.25
MIN_CHURNED = 100
"""Fewer churned rows than these say nothing about a horizon."""


@dataclass(frozen=True)
class Regret:
    """What became of the customers active at ``cutoffs`` cutoffs; counts are customer-cutoff rows.

    ``churned`` of the ``customers`` bought nothing within the horizon; ``returned`` of those bought within the next two
    horizons. ``silent`` is the Kaplan–Meier share of all pauses between purchase days that outlast the horizon.
    """

    horizon_days: int
    cutoffs: int
    customers: int
    churned: int
    returned: int
    silent: float

    @property
    def churn_rate(self) -> float:
        return self.churned / self.customers if self.customers else float("nan")

    @property
    def share(self) -> float:
        """The regret."""
        return self.returned / self.churned if self.churned else float("nan")

    @property
    def acceptable(self) -> bool:
        return self.churned >= MIN_CHURNED and self.share < REGRET_LIMIT


@dataclass(frozen=True)
class PauseCurve:
    """Kaplan–Meier: ``share[i]`` of pauses between a customer's purchase days last longer than ``days[i]``.

    The pause that the end of the data cuts off counts as at least that long (right-censored).
    """

    days: NDArray[np.float64]
    share: NDArray[np.float64]

    def after(self, days: float) -> float:
        """The share of pauses that last longer than ``days``."""
        position = int(np.searchsorted(self.days, days, side="right"))
        return float(self.share[position - 1]) if position else 1.0


@dataclass(frozen=True)
class HorizonStudy:
    """Each horizon's regret, those that the history is too short for, and the recommendation (None: no horizon)."""

    regrets: tuple[Regret, ...]
    too_long: tuple[int, ...]
    pauses: PauseCurve
    recommended: int | None


def study(  # noqa: PLR0917
    history: History,
    horizons: Sequence[int],
    grid: Sequence[date],
    active_days: int,
    zone: ZoneInfo,
    complete_to: date,
) -> HorizonStudy:
    """The regret of every horizon (days), over the customers active at the cutoffs of ``grid``.

    A horizon is judged at those cutoffs after which three horizons have elapsed by ``complete_to``, up to which (not
    including) the history is complete. Recommended is the smallest horizon with a regret below REGRET_LIMIT. Raises
    MissingDataError when there is no horizon at all that the history is long enough for.
    """
    pauses = pause_curve(history, zone, complete_to)
    judged = {days: [day for day in grid if day + timedelta(days=3 * days) <= complete_to] for days in horizons}
    regrets = tuple(
        _regret(history, days, cutoffs, active_days, zone, pauses.after(days))
        for days, cutoffs in sorted(judged.items())
        if cutoffs
    )
    if not regrets:
        raise MissingDataError(
            f"the shortest horizon, {min(horizons)} days, needs {3 * min(horizons)} days of orders after the first "
            f"cutoff {grid[0] if grid else '(none)'}, but orders end on {complete_to}. Land more history, ask for "
            "shorter horizons, or set training.first_cutoff earlier."
        )
    return HorizonStudy(
        regrets=regrets,
        too_long=tuple(sorted(days for days, cutoffs in judged.items() if not cutoffs)),
        pauses=pauses,
        recommended=next((one.horizon_days for one in regrets if one.acceptable), None),
    )


def advice(study: HorizonStudy, label: Label) -> list[str]:
    """What the study means for the rules, whose label now is ``label``."""
    told = []
    if study.too_long:
        longest = ", ".join(map(str, study.too_long))
        told.append(f"The history is too short to judge {longest} days: three horizons must fit after a cutoff.")
    if study.recommended is not None:
        told.append(
            f"Recommended: {study.recommended} days, the shortest horizon with a regret below {REGRET_LIMIT}. "
            f"label.horizon_days is {label.horizon_days}."
        )
    else:
        told.append(
            f"No horizon has a regret below {REGRET_LIMIT}: most silence in this shop ends by itself. Call the label "
            "lapsing, not leaving, and choose the horizon by when it is useful to act. "
            f"label.horizon_days is {label.horizon_days}, label.word is {label.word!r}."
        )
    return told


def pause_curve(history: History, zone: ZoneInfo, complete_to: date) -> PauseCurve:
    """How long customers pause between days with purchases; several purchases of one day of the shop are one."""
    from scipy import stats

    local = pd.DatetimeIndex(history.second.astype("datetime64[s]"), tz="UTC").tz_convert(zone).tz_localize(None)
    day = local.to_numpy().astype("datetime64[D]").astype(np.int64)
    visits = pd.DataFrame({"customer": history.customer, "day": day}).drop_duplicates().sort_values(["customer", "day"])
    pauses = visits.groupby("customer")["day"].diff().dropna().to_numpy(np.float64)
    last = visits.groupby("customer")["day"].max().to_numpy()
    open_pauses = (np.datetime64(complete_to, "D").astype(np.int64) - last).astype(np.float64)
    survival = stats.ecdf(stats.CensoredData(uncensored=pauses, right=open_pauses)).sf
    return PauseCurve(survival.quantiles, survival.probabilities)


def _regret(  # noqa: PLR0917
    history: History, days: int, cutoffs: Sequence[date], active_days: int, zone: ZoneInfo, silent: float
) -> Regret:
    customers = churned = returned = 0
    for cutoff in cutoffs:
        own, after = windows.horizon(cutoff, days, zone), windows.horizon(cutoff + timedelta(days=days), 2 * days, zone)
        active = history.active(cutoff, active_days, zone)
        gone = active & ~history.bought(own.start, own.end)
        customers += int(active.sum())
        churned += int(gone.sum())
        returned += int((gone & history.bought(after.start, after.end)).sum())
    return Regret(days, len(cutoffs), customers, churned, returned, silent)
