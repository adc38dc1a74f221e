"""The ways in which a training set can know the future, each found by looking at the set and at the shop's data.

A training set has customer_id, cutoff (ISO date), any feature columns, and the label ``churned``; a column ``part``
(``train`` or ``test``) may say how its rows were split.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from holdfast.dataset import KEYS, TIME, Split
from holdfast.history import History
from holdfast.labels import LABEL
from holdfast.schemas import TABLES
from holdfast.spend import SPEND

PART = "part"
SEPARATION = 0.98
"""An area under the ROC curve that no honest feature reaches by itself."""

MIN_OF_EACH = 20
"""Rows of each label below which a perfect separation may be chance."""


class Leak(StrEnum):
    """What can be wrong with a training set."""

    LATE_FEATURES = "features run into the label window"
    IMMATURE_LABELS = "labels mature after the test cutoff"
    RANDOM_SPLIT = "train and test share cutoffs"
    FALSE_LABEL = "labels are not what the orders say"
    LABEL_BY_RULE = "a feature alone gives the label away"
    FUTURE_POPULATION = "the population was chosen with knowledge of the future"


@dataclass(frozen=True)
class Finding:
    """One leak: how many rows it touches, and one sentence with an example and the remedy."""

    leak: Leak
    rows: int
    told: str

    def __str__(self) -> str:
        return f"{self.leak}: {self.told}"


def known_before(tables: Mapping[str, pd.DataFrame], at: datetime) -> dict[str, pd.DataFrame]:
    """The canonical tables as they stood just before ``at``.

    Kept are events strictly before it and what belongs to them (the lines of an order); tables that stand at no time
    (products, customers) are kept whole.
    """
    known = dict(tables)
    for name, rows in tables.items():
        time = TABLES[name].time
        if time is not None:
            known[name] = rows[rows[time] < at]
    for name, rows in tables.items():
        for column in TABLES[name].columns:
            owner = TABLES.get(column.references or "")
            if owner is not None and owner.time is not None and owner.name in known:
                known[name] = rows[rows[column.name].isin(known[owner.name][owner.key[0]])]
    return known


def late_features(rows: pd.DataFrame, recomputed: pd.DataFrame) -> list[Finding]:
    """Compare the rows of one cutoff with ``recomputed``: all features, from what was known before that cutoff.

    Only columns that both have are compared, bit for bit (a null equals a null).
    """
    names = [name for name in rows.columns if name in recomputed.columns and name not in (*KEYS, TIME, LABEL, PART)]
    known = recomputed.set_index("customer_id")[names].reindex(rows["customer_id"])
    own, true = rows[names].to_numpy(np.float64), known.to_numpy(np.float64)
    differs = (own != true) & ~(np.isnan(own) & np.isnan(true))
    touched = differs.any(axis=1)
    if not touched.any():
        return []
    row = int(np.flatnonzero(touched)[0])
    column = int(np.flatnonzero(differs[row])[0])
    wrong = [name for name, any_row in zip(names, differs.any(axis=0), strict=True) if any_row]
    return [
        Finding(
            Leak.LATE_FEATURES,
            int(touched.sum()),
            f"at cutoff {rows['cutoff'].iloc[0]} {touched.sum()} of {len(rows)} rows have values that the data before "
            f"the cutoff do not give, in {_some(wrong)}: customer {rows['customer_id'].iloc[row]} has {names[column]} "
            f"{float(own[row, column])!r}, not {float(true[row, column])!r}. Compute the features from events "
            "strictly before the cutoff (or anew, if data of those days arrived later).",
        )
    ]


def split_leaks(rows: pd.DataFrame, horizon_days: int) -> list[Finding]:
    """What is wrong with the split that the column ``part`` tells."""
    train = _days(rows.loc[rows[PART] == "train", "cutoff"])
    test = _days(rows.loc[rows[PART] == "test", "cutoff"])
    if not train or not test:
        return []
    first_test = test[0]
    findings = []
    late = [day for day in train if day >= first_test]
    if late:
        own = rows[rows["cutoff"].isin([day.isoformat() for day in late]) & (rows[PART] == "train")]
        both = own["customer_id"].isin(rows.loc[rows[PART] == "test", "customer_id"]).sum()
        findings.append(
            Finding(
                Leak.RANDOM_SPLIT,
                len(own),
                f"{len(own)} training rows have a cutoff on or after the first test cutoff {first_test} "
                f"({both} of them of customers who are tested too), so that the model has seen the answers. Split by "
                "cutoff, not by row: train before, test after.",
            )
        )
    immature = [day for day in train if day < first_test < day + timedelta(days=horizon_days)]
    if immature:
        own = rows[rows["cutoff"].isin([day.isoformat() for day in immature]) & (rows[PART] == "train")]
        findings.append(
            Finding(
                Leak.IMMATURE_LABELS,
                len(own),
                f"the labels of {len(own)} training rows, cutoffs {immature[0]} to {immature[-1]}, mature up to "
                f"{immature[-1] + timedelta(days=horizon_days)}, after the first test cutoff {first_test}. Train on "
                f"cutoffs no later than {first_test - timedelta(days=horizon_days)}.",
            )
        )
    return findings


def assigned(rows: pd.DataFrame, split: Split) -> pd.DataFrame:
    """The rows of a backtest split, each with its part."""
    parts = {day.isoformat(): "train" for day in split.train} | {split.test.isoformat(): "test"}
    chosen = rows[rows["cutoff"].isin(list(parts))]
    return chosen[[*KEYS]].assign(**{PART: chosen["cutoff"].map(parts)})


def label_leaks(rows: pd.DataFrame, truth: pd.DataFrame) -> list[Finding]:
    """Compare the labels with ``truth`` (``holdfast.labels.labels``), and look for a feature that gives them away."""
    keys = list(KEYS)
    true = rows[keys].merge(truth[[*keys, LABEL]], on=keys, how="left")[LABEL].to_numpy(np.float64)
    own = rows[LABEL].to_numpy(np.float64)
    findings = []
    wrong = own != true
    if wrong.any():
        row = rows.iloc[int(np.flatnonzero(wrong)[0])]
        findings.append(
            Finding(
                Leak.FALSE_LABEL,
                int(wrong.sum()),
                f"{wrong.sum()} of {len(rows)} labels differ from the orders of the horizon: customer "
                f"{row['customer_id']} at cutoff {row['cutoff']} is labelled {row[LABEL]:g}. Label by what happened "
                "in the horizon after the cutoff, not by what was known at it.",
            )
        )
    if min((own == 1).sum(), (own == 0).sum()) >= MIN_OF_EACH:
        findings += [
            Finding(
                Leak.LABEL_BY_RULE,
                len(rows),
                f"{name} alone orders the rows by their label almost without a mistake (AUC {auc:.3f}). Either the "
                f"label was made from {name}, or {name} from the label.",
            )
            for name, auc in _areas(rows, own == 1).items()
            if max(auc, 1 - auc) >= SEPARATION
        ]
    return findings


def population_leaks(rows: pd.DataFrame, history: History, active_days: int, zone: ZoneInfo) -> list[Finding]:
    """Compare the customers of each cutoff with those who were active by what was known at it."""
    unknown: list[str] = []
    absent: list[str] = []
    for cutoff, own in rows.groupby("cutoff")["customer_id"]:
        active = set(history.customers[history.active(date.fromisoformat(str(cutoff)), active_days, zone)])
        unknown += [f"{customer} at {cutoff}" for customer in sorted(set(own) - active)]
        absent += [f"{customer} at {cutoff}" for customer in sorted(active - set(own))]
    if not unknown and not absent:
        return []
    return [
        Finding(
            Leak.FUTURE_POPULATION,
            len(unknown) + len(absent),
            f"{len(absent)} customers active at a cutoff are left out ({_some(absent)}), and {len(unknown)} are in "
            f"without having been active ({_some(unknown)}). Choose the population by orders in the {active_days} days "
            "before the cutoff, and by nothing else.",
        )
    ]


def _areas(rows: pd.DataFrame, churned: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> dict[str, float]:
    """Per feature the area under the ROC curve for the label; nulls count as the lowest value."""
    from scipy.stats import rankdata

    features = rows.drop(columns=[name for name in (*KEYS, TIME, LABEL, SPEND, PART) if name in rows.columns])
    ones, zeros = int(churned.sum()), int((~churned).sum())
    areas = {}
    for name in features.select_dtypes("number").columns:
        ranks = rankdata(features[name].fillna(-np.inf))
        areas[name] = float((ranks[churned].sum() - ones * (ones + 1) / 2) / (ones * zeros))
    return areas


def _days(cutoffs: pd.Series) -> list[date]:
    return sorted(date.fromisoformat(one) for one in cutoffs.unique())


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "") if names else "none"
