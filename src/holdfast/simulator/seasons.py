"""The seasons of a real shop by month, told apart from its growth by what comes back every year."""

from __future__ import annotations

from calendar import month_name
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from holdfast.simulator.draws import Floats

LEAST_DAYS, LEAST_VISITS = 25, 20
"""A month of which the history has fewer days does not count; with fewer orders in one, chance makes the season."""

_YEARS = 2


@dataclass(frozen=True)
class Months:
    """How much more is ordered in each month than in the year's mean (geometric, 1), from January.

    ``flat_because`` says why all are 1, and is None where they were fitted.
    """

    factors: tuple[float, ...]
    flat_because: str | None = None


def months(visits: pd.Series, weekdays: Floats) -> Months:
    """The months of a history with an entry of ``visits`` (calendar days without a zone) for each order.

    The logarithm of a month's orders a day, at equal ``weekdays`` (factors from Monday), is a line of growth that may
    bend once a year plus the month's effect, by least squares. Effects are shrunk towards none by what of their spread
    chance explains (B. Efron, C. Morris, "Stein's estimation rule and its competitors", JASA 68, 1973). A history that
    does not hold every month twice cannot tell a season from growth: all months are alike.
    """
    days = pd.date_range(visits.min(), visits.max(), freq="D")
    lasted = pd.DataFrame({"exposure": weekdays[days.dayofweek], "days": 1}).groupby(days.to_period("M")).sum()
    lasted["visits"] = visits.dt.to_period("M").value_counts().reindex(lasted.index, fill_value=0)
    whole = lasted[lasted["days"] >= LEAST_DAYS].rename_axis("month").reset_index()
    month = whole["month"].dt.month.to_numpy(int) - 1
    times = np.bincount(month, minlength=12)
    if times.min() < _YEARS:
        rarest = int(times.argmin())
        return _flat(f"the history holds {month_name[rarest + 1]} {_times(times[rarest])}; a season takes two")
    fewest = whole.loc[whole["visits"].idxmin()]
    if fewest["visits"] < LEAST_VISITS:
        return _flat(f"{fewest['month']} has {fewest['visits']} orders; a season takes {LEAST_VISITS} in every month")
    years = whole["month"].dt.year.to_numpy(float) + month / 12
    observed = np.log(whole["visits"].to_numpy(float) / whole["exposure"].to_numpy(float))
    effects, errors = _effects(observed, years - years[0], month)
    spread = max(float((effects**2 - errors**2).mean()), 0.0)
    shrunk = effects * spread / (spread + errors**2) if spread else np.zeros(12)
    return Months(tuple(np.exp(shrunk - shrunk.mean()).tolist()))


def _effects(observed: Floats, years: Floats, month: npt.NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Each month's effect on what was ``observed``, together 0, and its standard error.

    ``years`` count from the first month observed; ``month`` is 0 for January.
    """
    bends = range(max(int(years[-1] + 1 / 12), 1))
    growth = np.column_stack([np.ones(len(years)), *(np.maximum(years - bend, 0) for bend in bends)])
    # The twelfth month's effect is what the others leave: they add up to none.
    coding = np.vstack([np.eye(11), -np.ones(11)])
    design = np.hstack([growth, coding[month]])
    found, *_ = np.linalg.lstsq(design, observed)
    left = observed - design @ found
    variance = float(left @ left) / (len(observed) - design.shape[1])
    covariance = variance * np.linalg.inv(design.T @ design)[growth.shape[1] :, growth.shape[1] :]
    return coding @ found[growth.shape[1] :], np.sqrt(np.diag(coding @ covariance @ coding.T))


def _times(count: int) -> str:
    return {0: "not at all", 1: "once"}[count]


def _flat(because: str) -> Months:
    return Months((1.0,) * 12, because)
