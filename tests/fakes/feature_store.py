"""A feature store in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta

import pandas as pd

from holdfast.errors import MissingDataError
from holdfast.features.catalog import FAMILIES, present
from holdfast.features.rhythm import RHYTHM
from holdfast.scores import SCORE_NAMES

KEYS = ["customer_id", "event_timestamp"]
TTL = timedelta(days=35)
"""As ``feature_repo/definitions.py`` declares of every view."""


def by_view(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Wide rows (customer_id, cutoff, event_timestamp and features) as the tables of the features' views."""
    features = {family.view: [one.name for one in family.features if one.name in rows] for family in FAMILIES}
    return {
        view: rows[["customer_id", "cutoff", "event_timestamp", *names]] for view, names in features.items() if names
    }


class FakeFeatureStore:
    """The FeatureStore port; ``asked`` holds the entity rows last asked for, ``scores`` what is served online."""

    def __init__(self) -> None:
        self.asked = pd.DataFrame(columns=KEYS)
        self.scores: dict[str, dict[str, object]] = {}
        self._offline: dict[str, dict[str, pd.DataFrame]] = {}
        self._online: dict[str, pd.DataFrame] = {}

    def apply(self) -> list[str]:
        return []

    def stored(self, views: Sequence[str]) -> set[str]:
        cutoffs = [set(self._offline.get(view, {})) for view in views]
        return set.intersection(*cutoffs) if cutoffs else set()

    def lacking(self, cutoffs: Sequence[date]) -> list[date]:
        kept = self.stored([RHYTHM.view])
        return [one for one in cutoffs if one.isoformat() not in kept]

    def write(self, tables: Mapping[str, pd.DataFrame]) -> None:
        for view, rows in tables.items():
            self._offline.setdefault(view, {}).update({str(day): part for day, part in rows.groupby("cutoff")})

    @property
    def _on(self) -> list[str]:
        return [family.view for family in FAMILIES if family.view in self._offline]

    def snapshot(self, cutoff: date) -> pd.DataFrame:
        wide: pd.DataFrame | None = None
        for view in self._on:
            rows = self._offline[view].get(cutoff.isoformat())
            if rows is not None:
                wide = rows if wide is None else wide.merge(rows, on=[*KEYS, "cutoff"], how="outer", validate="1:1")
        if wide is None:
            raise MissingDataError(f"no feature view has features as of {cutoff}. Run the features DAG for it first.")
        return wide[["customer_id", "cutoff", "event_timestamp", *present(wide)]].reset_index(drop=True)

    def historical(self, entities: pd.DataFrame) -> pd.DataFrame:
        self.asked = entities
        joined = entities[KEYS].reset_index(drop=True)
        questions = _in_order(joined.reset_index(names="row"))
        for view in self._on:
            known = _in_order(pd.concat(self._offline[view].values(), ignore_index=True).drop(columns="cutoff"))
            found = pd.merge_asof(questions, known, on="event_timestamp", by="customer_id", tolerance=pd.Timedelta(TTL))
            joined = joined.join(found.set_index("row").drop(columns=KEYS))
        return joined[[*KEYS, *present(joined)]]

    def materialize(self, cutoff: datetime) -> None:
        for view in self._on:
            rows = pd.concat(self._offline[view].values(), ignore_index=True).drop(columns="cutoff")
            rows = rows[rows["event_timestamp"] == cutoff]
            if rows.empty:
                raise MissingDataError(f"{view} has no features as of {cutoff}. Run the features DAG for it first.")
            served = pd.concat([self._online[view], rows]) if view in self._online else rows
            self._online[view] = served.sort_values("event_timestamp", kind="stable").drop_duplicates(
                "customer_id", keep="last"
            )

    def online(self, customer_ids: Sequence[str]) -> pd.DataFrame:
        answer = pd.DataFrame({"customer_id": list(customer_ids)})
        for view in self._on:
            served = self._online.get(view, next(iter(self._offline[view].values())).head(0))
            answer = answer.merge(served[["customer_id", *present(served)]], on="customer_id", how="left")
        scores = [self.scores.get(customer, {}) for customer in customer_ids]
        return answer.join(pd.DataFrame(scores, index=answer.index, columns=list(SCORE_NAMES)))

    def erase_scores(self, customer_ids: Sequence[str]) -> None:
        for customer in customer_ids:
            self.scores.pop(customer, None)

    def write_scores(self, scores: pd.DataFrame) -> None:
        for row in scores.to_dict("records"):
            served = self.scores.get(row["customer_id"])
            if served is None or served["event_timestamp"] <= row["event_timestamp"]:
                self.scores[row["customer_id"]] = row


def _in_order(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.astype({"event_timestamp": "datetime64[us, UTC]"}).sort_values("event_timestamp", kind="stable")
