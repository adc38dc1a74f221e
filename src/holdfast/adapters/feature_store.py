"""Feast behind the ``FeatureStore`` port: Parquet offline tables, SQL registry, and whichever online store is set."""

from __future__ import annotations

import runpy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from holdfast.adapters.atomic import write_parquet
from holdfast.adapters.online.configured import OnlineWriter
from holdfast.adapters.online.layout import JOIN_KEY, Rows, View
from holdfast.adapters.storage import of_database, reading
from holdfast.asof import CREATED, KEYS, TIME, FeatureTable, asof_join
from holdfast.errors import FeatureStoreError, MissingDataError, StorageError
from holdfast.features.catalog import FAMILIES, MODEL_SERVICE, present
from holdfast.features.rhythm import RHYTHM
from holdfast.features.spec import Family
from holdfast.ports import Served, ServedFeature, ServedView
from holdfast.scores import SCORE_NAMES, SCORES_VIEW

if TYPE_CHECKING:
    import feast

CARD_SERVICE = "customer_card_v1"
_DERIVED = "Features are derived: delete the file and run the features DAG for its cutoff."
_REGISTRY_DERIVED = "It is derived: with the file deleted, the features DAG makes it anew."
_RUN_FEATURES = "Run the features DAG for this cutoff first."
_BATCH_ROWS = 10_000
"""Rows held in memory at once on their way online."""


class FeastStore:
    """The Feast repository ``repo``, whose views read the Parquet files below ``offline``.

    The variables that ``feature_store.yaml`` names must be in the environment (``holdfast.adapters.environment``).
    ``written_at`` stamps offline rows, so that of two rows for one event time the later written counts. ``online``
    writes the same store that Feast's configuration names, in bulk. Questions of more than ``own_join_above`` entity
    rows are answered by ``holdfast.asof`` over the same files. Feast's registry does not bear two writers at once;
    ``alone`` gives a context that one process at a time is in.
    """

    def __init__(
        self,
        repo: Path,
        offline: Path,
        written_at: datetime,
        online: OnlineWriter,
        *,
        own_join_above: int = 1_000_000,
        alone: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self._repo = repo
        self._offline = offline
        self._written_at = written_at
        self._online = online
        self._own_join_above = own_join_above
        self._alone = alone

    @cached_property
    def sdk(self) -> feast.FeatureStore:
        """Feast's own SDK here. Raises StorageError or StoreUnavailableError when its registry cannot be read."""
        import feast

        with _explained():
            opened = feast.FeatureStore(repo_path=str(self._repo))
            opened.list_projects()  # Feast opens its registry on the first question
        return opened

    def apply(self) -> list[str]:
        """Bring the registry in line with ``definitions.py``; returns the names of the feature views."""
        declared = runpy.run_path(str(self._repo / "definitions.py"))
        views = [*declared["feature_views"], declared["scores"]]
        services = [declared["churn_model"], declared["customer_card"]]
        names = [view.name for view in views]
        with _explained(), self._alone():
            gone: list[Any] = [view for view in self.sdk.list_feature_views() if view.name not in names]
            self.sdk.apply([declared["customer"], *views, *services], objects_to_delete=gone, partial=False)
        return names

    @property
    def _on(self) -> list[Family]:
        """The families with offline rows; ``definitions.py`` declares no view for the others."""
        return [family for family in FAMILIES if any((self._offline / family.view).glob("*.parquet"))]

    def stored(self, views: Sequence[str]) -> set[str]:
        cutoffs = [{path.stem for path in (self._offline / view).glob("*.parquet")} for view in views]
        return set.intersection(*cutoffs) if cutoffs else set()

    def lacking(self, cutoffs: Sequence[date]) -> list[date]:
        kept = self.stored([RHYTHM.view])  # on in every shop, and written with all others
        return [one for one in cutoffs if one.isoformat() not in kept]

    def write(self, tables: Mapping[str, pd.DataFrame]) -> None:
        for view, rows in tables.items():
            for cutoff, part in rows.groupby("cutoff", sort=False):
                self._write_offline(view, str(cutoff), part.drop(columns="cutoff"))

    def _write_offline(self, view: str, cutoff: str, rows: pd.DataFrame) -> None:
        stamped = rows.assign(**{CREATED: pd.Timestamp(self._written_at)})
        write_parquet(self._offline / view / f"{cutoff}.parquet", stamped)

    def snapshot(self, cutoff: date) -> pd.DataFrame:
        wide: pd.DataFrame | None = None
        for family in FAMILIES:
            path = self._offline / family.view / f"{cutoff.isoformat()}.parquet"
            if path.exists():
                with reading(path, _DERIVED):
                    part = pd.read_parquet(path).drop(columns=CREATED)
                wide = part if wide is None else wide.merge(part, on=list(KEYS), how="outer", validate="1:1")
        if wide is None:
            raise MissingDataError(f"no feature view has features as of {cutoff}. {_RUN_FEATURES}")
        wide.insert(1, "cutoff", cutoff.isoformat())
        return wide[["customer_id", "cutoff", "event_timestamp", *present(wide)]]

    def historical(self, entities: pd.DataFrame) -> pd.DataFrame:
        asked = entities[list(KEYS)].reset_index(drop=True)
        if len(asked) > self._own_join_above:
            with reading(self._offline, _DERIVED):
                rows = asof_join(asked, map(self._feature_table, self._on))
            return rows[[*KEYS, *present(rows)]]
        joined = self._joined_by_feast(asked)
        rows = asked.merge(joined[[*KEYS, *present(joined)]], on=list(KEYS), how="left", validate="1:1")
        if len(joined) != len(asked):
            raise FeatureStoreError(
                f"Feast answered {len(joined)} rows for {len(asked)} entity rows; "
                "each (customer_id, event_timestamp) must be asked once"
            )
        return rows

    def _joined_by_feast(self, entities: pd.DataFrame) -> pd.DataFrame:
        import duckdb

        try:
            answer = self.sdk.get_historical_features(
                entity_df=entities, features=self.sdk.get_feature_service(MODEL_SERVICE)
            )
            joined: pd.DataFrame = answer.to_df()
        except duckdb.Error as error:
            raise StorageError(
                f"{self._offline} cannot be read, it is not what was written: {error}. {_DERIVED}"
            ) from error
        return joined

    def _feature_table(self, family: Family) -> FeatureTable:
        """All offline rows of the family, with the ttl that Feast would apply."""
        rows = pq.read_table(self._offline / family.view, read_dictionary=[JOIN_KEY])
        return FeatureTable(rows, self.sdk.get_feature_view(family.view).ttl or timedelta.max)

    def materialize(self, cutoff: datetime) -> None:
        for family in self._on:
            self.materialize_view(family.view, cutoff)

    def materialize_view(self, name: str, cutoff: datetime) -> None:
        """Copy one view's rows as of ``cutoff`` online, and tell Feast, as if it had materialized them itself."""
        view, project = self.sdk.get_feature_view(name), self.sdk.project
        self._online.write(project, (self._rows(view, batch, cutoff) for batch in self._batches(name, cutoff)))
        with _explained(), self._alone():
            self.sdk.registry.apply_materialization(view, project, cutoff - timedelta(seconds=1), cutoff)

    def _batches(self, view: str, cutoff: datetime) -> Iterator[pa.RecordBatch]:
        """The view's offline rows at exactly this event time, which one file holds, created at one time."""
        at = pa.scalar(cutoff, pa.timestamp("us", "UTC"))
        found = False
        with reading(self._offline / view, _DERIVED):
            batches = self._files(view).to_batches(
                filter=ds.field(TIME) == at, batch_size=_BATCH_ROWS, batch_readahead=1, fragment_readahead=1
            )
            for batch in batches:
                if batch.num_rows:
                    found = True
                    yield batch
        if not found:
            raise MissingDataError(f"{view} has no features as of {cutoff.isoformat()}. {_RUN_FEATURES}")

    def _files(self, view: str) -> ds.Dataset:
        """All offline rows of a view."""
        folder = self._offline / view
        if not folder.exists():
            raise MissingDataError(f"{view} has no offline features yet. {_RUN_FEATURES}")
        return ds.dataset(folder, format=ds.ParquetFileFormat(pre_buffer=False))  # it would hold whole files

    def _rows(self, view: feast.FeatureView, batch: pa.RecordBatch, at: datetime) -> Rows:
        from feast.types import from_feast_to_pyarrow_type

        return Rows(
            view.name,
            event_time=at,
            created=batch[CREATED][0].as_py(),
            customers=batch[JOIN_KEY].to_pylist(),
            columns={
                field.name: batch[field.name].cast(from_feast_to_pyarrow_type(field.dtype)) for field in view.features
            },
        )

    def online(self, customer_ids: Sequence[str]) -> pd.DataFrame:
        from feast.errors import FeatureServiceNotFoundException

        try:
            service = self.sdk.get_feature_service(CARD_SERVICE)
        except FeatureServiceNotFoundException as error:
            raise FeatureStoreError(f"Feast knows no service {CARD_SERVICE}. Run the features DAG first.") from error
        with self._online.explained():
            answer = self.sdk.get_online_features(
                features=service,
                entity_rows=[{"customer_id": customer} for customer in customer_ids],
            ).to_df()
        return answer[["customer_id", *present(answer), *SCORE_NAMES]]

    def served(self) -> Served:
        """What the registry now declares of the customer card's views. Raises FeatureStoreError when it has no card."""
        from feast.errors import FeatureServiceNotFoundException
        from feast.types import String

        sdk: Any = self.sdk
        sdk.refresh_registry()
        try:
            service = self.sdk.get_feature_service(CARD_SERVICE)
        except FeatureServiceNotFoundException as error:
            raise FeatureStoreError(f"Feast knows no service {CARD_SERVICE}. Run the features DAG first.") from error
        views = (self.sdk.get_feature_view(projection.name) for projection in service.feature_view_projections)
        return Served(
            self.sdk.project,
            tuple(
                ServedView(
                    view.name,
                    view.description,
                    view.ttl or None,
                    tuple(
                        ServedFeature(
                            field.name,
                            field.description,
                            "text" if field.dtype == String else "number",
                            field.tags.get("unit"),
                            field.tags.get("null"),
                        )
                        for field in view.features
                    ),
                )
                for view in views
            ),
        )

    def held_online(self, customer_id: str) -> list[Mapping[str, Any]]:
        """What is served of the customer: one row, or none."""
        if not self._online.held(self.sdk.project, customer_id):
            return []
        served = self.online([customer_id]).iloc[0]
        return [{str(name): value for name, value in served.items() if not pd.isna(value)}]

    def erase_online(self, customer_id: str) -> None:
        """Serve nothing of the customer any more; until the next materialisation, if offline rows are left."""
        self._online.erase(self.sdk.project, [customer_id])

    def erase_scores(self, customer_ids: Sequence[str]) -> None:
        self._online.erase(self.sdk.project, customer_ids, View(SCORES_VIEW, SCORE_NAMES))

    def write_scores(self, scores: pd.DataFrame) -> None:
        view = self.sdk.get_feature_view(SCORES_VIEW)
        for at, part in scores[[*KEYS, *SCORE_NAMES]].groupby(TIME):
            self._write_offline(SCORES_VIEW, f"{at:%Y-%m-%d}", part)
            stamped = pa.Table.from_pandas(part.assign(**{CREATED: self._written_at}), preserve_index=False)
            moment = part[TIME].iloc[0].to_pydatetime()
            batches = (self._rows(view, batch, moment) for batch in stamped.to_batches(_BATCH_ROWS))
            self._online.write(self.sdk.project, batches)


@contextmanager
def _explained() -> Iterator[None]:
    """Inside the block, what the registry's database says of disk, file or server gets a remedy."""
    from sqlalchemy.exc import DatabaseError

    try:
        yield
    except DatabaseError as error:
        told = of_database(error.orig or error, "Feast's registry", "HOLDFAST_FEAST_REGISTRY_URL")
        if told is None:
            raise
        raise type(told)(f"{told} {_REGISTRY_DERIVED}") from error
