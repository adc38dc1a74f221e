"""Feast behind the ``FeatureStore`` port: Parquet offline tables, SQL registry, and whichever online store is set."""

from __future__ import annotations

import runpy
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from holdfast.adapters.atomic import write_parquet
from holdfast.errors import FeatureStoreError, MissingDataError
from holdfast.features.catalog import FAMILIES, FEATURE_NAMES

if TYPE_CHECKING:
    import feast

MODEL_SERVICE = "churn_model_v1"
CARD_SERVICE = "customer_card_v1"
SCORES_VIEW = "churn_scores"
SCORE_FIELDS = ("probability", "tier", "reasons", "model_version")
KEYS = ("customer_id", "event_timestamp")


class FeastStore:
    """The Feast repository ``repo``, whose views read the Parquet files below ``offline``.

    The variables that ``feature_store.yaml`` names must be in the environment (``holdfast.adapters.environment``).
    ``written_at`` stamps offline rows, so that of two rows for one event time the later written counts.
    """

    def __init__(self, repo: Path, offline: Path, written_at: datetime) -> None:
        self._repo = repo
        self._offline = offline
        self._written_at = written_at

    @cached_property
    def _store(self) -> feast.FeatureStore:
        import feast

        return feast.FeatureStore(repo_path=str(self._repo))

    def apply(self) -> list[str]:
        """Bring the registry in line with ``definitions.py``; returns the names of the feature views."""
        declared = runpy.run_path(str(self._repo / "definitions.py"))
        views = [*declared["feature_views"], declared["scores"]]
        services = [declared["churn_model"], declared["customer_card"]]
        self._store.apply([declared["customer"], *views, *services])
        return [view.name for view in views]

    def write(self, tables: Mapping[str, pd.DataFrame]) -> None:
        for view, rows in tables.items():
            for cutoff, part in rows.groupby("cutoff", sort=False):
                self._write_offline(view, str(cutoff), part.drop(columns="cutoff"))

    def _write_offline(self, view: str, cutoff: str, rows: pd.DataFrame) -> None:
        stamped = rows.assign(created_timestamp=pd.Timestamp(self._written_at))
        write_parquet(self._offline / view / f"{cutoff}.parquet", stamped)

    def snapshot(self, cutoff: date) -> pd.DataFrame:
        wide: pd.DataFrame | None = None
        for family in FAMILIES:
            path = self._offline / family.view / f"{cutoff.isoformat()}.parquet"
            if not path.exists():
                raise MissingDataError(
                    f"{path.parent.name} has no features as of {cutoff}. Run the features DAG for this cutoff first."
                )
            part = pd.read_parquet(path).drop(columns="created_timestamp")
            wide = part if wide is None else wide.merge(part, on=list(KEYS), how="outer", validate="1:1")
        if wide is None:
            raise FeatureStoreError("the feature catalogue is empty: declare a family in holdfast.features.catalog")
        wide.insert(1, "cutoff", cutoff.isoformat())
        return wide[["customer_id", "cutoff", "event_timestamp", *FEATURE_NAMES]]

    def historical(self, entities: pd.DataFrame) -> pd.DataFrame:
        asked = entities[list(KEYS)].reset_index(drop=True)
        joined = self._store.get_historical_features(
            entity_df=asked, features=self._store.get_feature_service(MODEL_SERVICE)
        ).to_df()
        rows = asked.merge(joined[[*KEYS, *FEATURE_NAMES]], on=list(KEYS), how="left", validate="1:1")
        if len(joined) != len(asked):
            raise FeatureStoreError(
                f"Feast answered {len(joined)} rows for {len(asked)} entity rows; "
                "each (customer_id, event_timestamp) must be asked once"
            )
        return rows

    def materialize(self, cutoff: datetime) -> None:
        self._store.materialize(
            start_date=cutoff - timedelta(seconds=1),
            end_date=cutoff,
            feature_views=[family.view for family in FAMILIES],
        )

    def online(self, customer_ids: Sequence[str]) -> pd.DataFrame:
        from feast.errors import FeatureServiceNotFoundException

        try:
            service = self._store.get_feature_service(CARD_SERVICE)
        except FeatureServiceNotFoundException as error:
            raise FeatureStoreError(f"Feast knows no service {CARD_SERVICE}. Run the features DAG first.") from error
        answer = self._store.get_online_features(
            features=service,
            entity_rows=[{"customer_id": customer} for customer in customer_ids],
        ).to_df()
        return answer[["customer_id", *FEATURE_NAMES, *SCORE_FIELDS]]

    def write_scores(self, scores: pd.DataFrame) -> None:
        rows = scores[[*KEYS, *SCORE_FIELDS]]
        for at, part in rows.groupby("event_timestamp"):
            self._write_offline(SCORES_VIEW, f"{at:%Y-%m-%d}", part)
        self._store.write_to_online_store(SCORES_VIEW, df=rows.assign(created_timestamp=pd.Timestamp(self._written_at)))
