"""Auditing a training set against the lake: everything in it is held against what was known at its cutoffs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from holdfast import dataset, leakage
from holdfast.errors import LeakageError, MissingDataError
from holdfast.features.catalog import FAMILIES
from holdfast.features.compute import compute
from holdfast.features.log import Log, arrow
from holdfast.features.spec import Family
from holdfast.history import History
from holdfast.labels import LABEL, labels
from holdfast.leakage import Finding
from holdfast.pipelines import canonical
from holdfast.ports import Lake, Scratch
from holdfast.rules import Rules
from holdfast.windows import instant

RECOMPUTED_CUTOFFS = 3
_TABLES = sorted({table for family in FAMILIES for table in family.tables})


@dataclass(frozen=True)
class Report:
    """What was looked at, and every leak that was found; ``recomputed`` are the cutoffs whose features were checked."""

    rows: int
    cutoffs: int
    recomputed: tuple[date, ...]
    findings: tuple[Finding, ...]


class Audit:
    """Looks at training sets; changes nothing."""

    def __init__(self, lake: Lake, scratch: Scratch, rules: Rules) -> None:
        self._lake = lake
        self._scratch = scratch
        self._rules = rules

    def require_clean(self, prepared: Mapping[str, Any]) -> dict[str, Any]:
        """``prepared`` (``Training.prepare``) itself. Raises LeakageError naming every leak of its training set."""
        report = self.leakage(self._scratch.read(prepared["path"]), date.fromisoformat(prepared["cutoff"]))
        if report.findings:
            told = " ".join(map(str, report.findings))
            raise LeakageError(f"the training set of cutoff {prepared['cutoff']} knows the future. {told}")
        return dict(prepared)

    def leakage(self, rows: pd.DataFrame, cutoff: date) -> Report:
        """Every leak in ``rows`` (``holdfast.leakage``), pretending that the day is ``cutoff``.

        Labels, population and split are checked on all rows; the features of RECOMPUTED_CUTOFFS cutoffs, evenly spread
        and the latest among them, are computed anew from what was known before each. Raises MissingDataError when a
        column is missing, and ImmatureLabelError when a row's horizon ends after ``cutoff``.
        """
        _require_columns(rows)
        zone, horizon = self._rules.shop.zone, self._rules.label.horizon_days
        days = sorted(date.fromisoformat(one) for one in rows["cutoff"].unique())
        tables = {name: canonical.read(self._lake, name) for name in _TABLES}
        then = leakage.known_before(tables, instant(cutoff, zone))
        truth = labels(then["orders"], then["order_lines"], days, horizon, zone, complete_to=cutoff)
        history = History.of(then["orders"], then["order_lines"])
        recomputed = _spread(days, RECOMPUTED_CUTOFFS)
        findings = [
            *leakage.label_leaks(rows, truth),
            *leakage.population_leaks(rows, history, self._rules.population.active_days, zone),
            *self._split_leaks(rows, cutoff),
        ]
        families = [one for one in FAMILIES if any(feature.name in rows.columns for feature in one.features)]
        for day in recomputed if families else ():
            findings += leakage.late_features(rows[rows["cutoff"] == day.isoformat()], self._as_of(then, day, families))
        return Report(len(rows), len(days), tuple(recomputed), tuple(findings))

    def _split_leaks(self, rows: pd.DataFrame, cutoff: date) -> list[Finding]:
        """Of the split that the rows tell; where they tell none, of the backtest's own."""
        horizon = self._rules.label.horizon_days
        if leakage.PART in rows.columns:
            return leakage.split_leaks(rows, horizon)
        splits = dataset.splits(self._rules.training, horizon, complete_to=cutoff)
        return [one for split in splits for one in leakage.split_leaks(leakage.assigned(rows, split), horizon)]

    def _as_of(self, tables: Mapping[str, pd.DataFrame], day: date, families: Sequence[Family]) -> pd.DataFrame:
        """These families' features of all customers, from nothing but what was known before the cutoff."""
        zone = self._rules.shop.zone
        log = Log.build(arrow(leakage.known_before(tables, instant(day, zone))))
        views = [view.set_index("customer_id") for view in compute(log, [day], zone, families).values()]
        return pd.concat([view.drop(columns=["cutoff", "event_timestamp"]) for view in views], axis=1).reset_index()


def _require_columns(rows: pd.DataFrame) -> None:
    missing = [name for name in (*dataset.KEYS, LABEL) if name not in rows.columns]
    if missing:
        raise MissingDataError(
            f"the training set has no column {', '.join(missing)}: it needs customer_id, cutoff (YYYY-MM-DD) and "
            f"{LABEL}, beside its features."
        )
    if rows.empty:
        raise MissingDataError("the training set has no rows.")


def _spread(days: Sequence[date], count: int) -> list[date]:
    """At most ``count`` of the days, evenly spread from the first to the last."""
    positions = np.unique(np.linspace(0, len(days) - 1, count).round().astype(int))
    return [days[position] for position in positions]
