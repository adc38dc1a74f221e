"""A feature store in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime

import pandas as pd

from holdfast.errors import MissingDataError
from holdfast.features.catalog import present
from holdfast.scores import SCORE_NAMES

KEYS = ["customer_id", "event_timestamp"]


class FakeFeatureStore:
    """The FeatureStore port; ``asked`` holds the entity rows last asked for, ``scores`` what is served online."""

    def __init__(self) -> None:
        self.asked = pd.DataFrame(columns=KEYS)
        self.scores: dict[str, dict[str, object]] = {}
        self._offline: dict[str, pd.DataFrame] = {}
        self._online = pd.DataFrame(columns=["customer_id"])

    def apply(self) -> list[str]:
        return []

    def stored(self, views: Sequence[str]) -> set[str]:
        return set(self._offline)

    def write(self, tables: Mapping[str, pd.DataFrame]) -> None:
        wide: pd.DataFrame | None = None
        for rows in tables.values():
            wide = rows if wide is None else wide.merge(rows, on=[*KEYS, "cutoff"], how="outer", validate="1:1")
        if wide is not None:
            self._offline |= {str(cutoff): part for cutoff, part in wide.groupby("cutoff")}

    def snapshot(self, cutoff: date) -> pd.DataFrame:
        if cutoff.isoformat() not in self._offline:
            raise MissingDataError(f"no features as of {cutoff}")
        rows = self._offline[cutoff.isoformat()]
        return rows[["customer_id", "cutoff", "event_timestamp", *present(rows)]]

    def historical(self, entities: pd.DataFrame) -> pd.DataFrame:
        self.asked = entities
        known = pd.concat(self._offline.values(), ignore_index=True)
        return entities[KEYS].merge(known[[*KEYS, *present(known)]], on=KEYS, how="left", validate="1:1")

    def materialize(self, cutoff: datetime) -> None:
        known = pd.concat(self._offline.values(), ignore_index=True)
        self._online = known[known["event_timestamp"] == cutoff]

    def online(self, customer_ids: Sequence[str]) -> pd.DataFrame:
        scores = pd.DataFrame(
            [self.scores.get(customer, {}) for customer in customer_ids],
            index=customer_ids,
            columns=list(SCORE_NAMES),
        )
        features = self._online.set_index("customer_id").reindex(customer_ids)[present(self._online)]
        return features.join(scores).rename_axis("customer_id").reset_index()

    def erase_scores(self, customer_ids: Sequence[str]) -> None:
        for customer in customer_ids:
            self.scores.pop(customer, None)

    def write_scores(self, scores: pd.DataFrame) -> None:
        self.scores |= {str(row["customer_id"]): row for row in scores.to_dict("records")}
