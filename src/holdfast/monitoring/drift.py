"""Whether customers still look like those that the model learned from, feature by feature."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from holdfast.features.spec import Feature

_BINS = 10
_CHANCE = 0.999
"""The quantile of what chance alone gives; an index below it is no drift, however small the shop."""

_MODERATE, _MAJOR = 0.10, 0.25
"""The usual reading of the index (Siddiqi, Credit Risk Scorecards, 2006)."""


class Level(StrEnum):
    STABLE = "stable"
    MODERATE = "moderate"
    MAJOR = "major"


@dataclass(frozen=True)
class Drift:
    """One feature then and now.

    ``index`` is the population stability index, ``by_chance`` what it stays below with probability 0.999 when nothing
    has changed; ``median_*`` and ``null_*`` (share of customers) say which way it went.
    """

    feature: str
    index: float
    by_chance: float
    level: Level
    median_then: float
    median_now: float
    null_then: float
    null_now: float


def drift(then: pd.DataFrame, now: pd.DataFrame, features: Iterable[Feature]) -> list[Drift]:
    """Compare the features of two sets of customers (one row each, neither empty), the greatest index first."""
    found = [_of(one.name, then[one.name].to_numpy(float), now[one.name].to_numpy(float)) for one in features]
    return sorted(found, key=lambda one: (-one.index, one.feature))


def _of(name: str, then: NDArray[np.float64], now: NDArray[np.float64]) -> Drift:
    known = then[~np.isnan(then)]
    edges = np.unique(np.quantile(known, np.linspace(0, 1, _BINS + 1)[1:-1])) if len(known) else np.empty(0)
    before, after = _shares(then, edges), _shares(now, edges)
    index = float(((after - before) * np.log(after / before)).sum())
    by_chance = _by_chance(len(before), len(then), len(now))
    level = Level.STABLE
    if index > max(_MODERATE, by_chance):
        level = Level.MAJOR if index > _MAJOR else Level.MODERATE
    nulls = float(np.isnan(then).mean()), float(np.isnan(now).mean())
    return Drift(name, index, by_chance, level, _median(then), _median(now), *nulls)


def _shares(values: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """The share of the values in each bin between the edges (a value at an edge counts below), nulls in a last bin.

    Half a value is added to every bin, so that an empty one does not make the index infinite.
    """
    known = values[~np.isnan(values)]
    counts = np.bincount(np.searchsorted(edges, known, side="left"), minlength=len(edges) + 1)
    smoothed = np.append(counts, len(values) - len(known)) + 0.5
    shares: NDArray[np.float64] = smoothed / smoothed.sum()
    return shares


def _by_chance(bins: int, then: int, now: int) -> float:
    """The index of two samples of one distribution is about chi-squared with bins - 1 degrees, times 1/n + 1/m.

    Yurdakul, Statistical Properties of Population Stability Index, Western Michigan University, 2018.
    """
    from scipy.stats import chi2

    return float(chi2.ppf(_CHANCE, bins - 1) * (1 / then + 1 / now))


def _median(values: NDArray[np.float64]) -> float:
    return float(np.nanmedian(values)) if np.isfinite(values).any() else float("nan")
