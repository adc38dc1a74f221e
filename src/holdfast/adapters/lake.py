"""The lake as Delta tables below one folder, one table a name."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from tenacity import (
    Retrying,
    retry_if_exception,
    retry_if_exception_type,
    stop_after_attempt,
    stop_after_delay,
    wait_random,
    wait_random_exponential,
)

from holdfast.adapters.storage import reading, storing
from holdfast.contract import BATCH
from holdfast.errors import MissingDataError, StorageError, StoreUnavailableError

Result = TypeVar("Result")

_RESTORE = "Put the table's folder back from a backup; or move the whole lake away and ingest the landing files anew."

_ATTEMPTS = 12

_LONGEST_USE = 600.0
"""Seconds for which a file is not deleted because its table is being read or written."""

_APPEND, _COMPACT = "WRITE Append", "OPTIMIZE"
"""How Delta's log calls what changes no row that was there before."""

_CUSTOMER = "customer_id"

_FEW_VALUES = frozenset({"type", "status", "product_id", "channel"})

_SMALL_FILES = 32
"""From so many data files on, a table is worth compacting: reading opens each of them."""

_KEEP_VERSIONS = {"delta.enableExpiredLogCleanup": "false"}
"""Delta forgets versions after 30 days, unless told not to; a model names the versions it was trained on."""


@dataclass(frozen=True)
class Compacted:
    """A table's data files before and after compaction."""

    table: str
    before: int
    after: int


class DeltaLake:
    """The Lake port. Every batch is a Delta application transaction, so a table knows which batches it holds.

    Delta lets readers and writers alone, but a file that is deleted may be one that a reader has yet to open or a
    writer has yet to commit. So these share a lock on the table's folder, and whoever deletes waits until they end.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def append(self, table: str, rows: pd.DataFrame, batches: Sequence[str]) -> int:
        with storing(self._root / table), self._using(table):
            return _with_retries(lambda: self._append(table, rows, batches))

    def _append(self, table: str, rows: pd.DataFrame, batches: Sequence[str]) -> int:
        from deltalake import CommitProperties, Transaction, write_deltalake

        path = self._root / table
        exists = self.exists(table)
        target = self._open(table) if exists else None
        new = [batch for batch in dict.fromkeys(batches) if target is None or target.transaction_version(batch) is None]
        fresh = rows[rows[BATCH].isin(new)]
        if not new:
            return 0
        path.mkdir(parents=True, exist_ok=True)
        commit = CommitProperties(
            app_transactions=[Transaction(batch, 1) for batch in new],
            # Delta commits the second of two creations after the first unchecked, unless it may not retry by itself.
            max_commit_retries=None if exists else 0,
        )
        write_deltalake(
            target or path,
            _arrow(fresh),
            mode="append" if exists else "error",
            schema_mode="merge" if exists else None,
            configuration=None if exists else _KEEP_VERSIONS,
            commit_properties=commit,
            writer_properties=_unindexed(),
        )
        return len(fresh)

    def replace(self, table: str, rows: pd.DataFrame, where: Mapping[str, Sequence[str]]) -> None:
        with storing(self._root / table), self._using(table):
            _with_retries(lambda: self._replace(table, rows, where))

    def _replace(self, table: str, rows: pd.DataFrame, where: Mapping[str, Sequence[str]]) -> None:
        from deltalake import CommitProperties, write_deltalake

        path = self._root / table
        path.mkdir(parents=True, exist_ok=True)
        if self.exists(table):
            write_deltalake(
                self._open(table),
                _arrow(rows),
                mode="overwrite",
                schema_mode="merge",
                predicate=_predicate(where),
                writer_properties=_unindexed(),
            )
        else:
            write_deltalake(
                path,
                _arrow(rows),
                mode="error",
                configuration=_KEEP_VERSIONS,
                commit_properties=CommitProperties(max_commit_retries=0),
                writer_properties=_unindexed(),
            )

    def read(
        self,
        table: str,
        columns: Sequence[str] | None = None,
        where: Mapping[str, Sequence[str]] | None = None,
        version: int | None = None,
    ) -> pd.DataFrame:
        with self._using(table), reading(self._root / table, _RESTORE), _whole(table, version):
            dataset = _dataset(self._open(table, version))
            chosen = _filter(where or {}, dataset.schema)
            wanted = list(columns) if columns is not None else dataset.schema.names
            stored = [name for name in wanted if name in dataset.schema.names]
            frame: pd.DataFrame = dataset.to_table(columns=stored, filter=chosen).to_pandas()
        return frame.reindex(columns=wanted)

    def scan(self, table: str, columns: Sequence[str], version: int) -> Iterator[pa.RecordBatch]:
        """Those of the columns that the table has, in batches, as of ``version``; the table is never held as a whole.

        Text of few different values (``_FEW_VALUES``) comes dictionary-encoded.
        """
        from deltalake import DeltaTable
        from pyarrow.dataset import ParquetFragmentScanOptions, ParquetReadOptions

        with self._using(table), _whole(table, version):
            source = DeltaTable(self._root / table, version=version)
            present = [name for name in columns if name in (field.name for field in source.schema().fields)]
            coded = [name for name in present if name in _FEW_VALUES]
            dataset = _dataset(source, ds.ParquetFileFormat(ParquetReadOptions(dictionary_columns=coded)))
            lean = ParquetFragmentScanOptions(pre_buffer=False)
            yield from dataset.to_batches(
                present, batch_size=1 << 17, batch_readahead=1, fragment_readahead=1, fragment_scan_options=lean
            )

    def files(self, table: str, version: int) -> list[str]:
        """The Parquet files that together hold the table's rows as of ``version``."""
        from deltalake import DeltaTable

        return list(DeltaTable(self._root / table, version=version).file_uris())

    def rows(self, table: str, version: int) -> int:
        """How many rows the table has as of ``version``."""
        from deltalake import DeltaTable

        return int(DeltaTable(self._root / table, version=version).count())

    def added(self, table: str, columns: Sequence[str], since: int, version: int) -> pa.Table | None:
        """Those of the columns that the table has, of the rows that ``version`` has and ``since`` had not.

        None when, in between, rows were changed or deleted. Putting small files together changes no row.
        """
        operations = self._operations(table, since, version)
        if not operations <= {_APPEND, _COMPACT}:
            return None
        with self._using(table):
            return self._added(table, columns, since, version, compacted=_COMPACT in operations)

    def _added(self, table: str, columns: Sequence[str], since: int, version: int, *, compacted: bool) -> pa.Table:
        from deltalake import DeltaTable

        before = DeltaTable(self._root / table, version=since)
        dataset = _dataset(DeltaTable(self._root / table, version=version))
        present = [name for name in columns if name in dataset.schema.names]
        if compacted:
            known = before.to_pyarrow_table(columns=[BATCH])[BATCH].unique()
            return dataset.to_table(present, filter=~pc.field(BATCH).isin(known))
        old = {Path(file).name for file in before.file_uris()}
        fragments = [one for one in dataset.get_fragments() if Path(one.path).name not in old]
        return ds.FileSystemDataset(fragments, dataset.schema, dataset.format, dataset.filesystem).to_table(present)

    def _operations(self, table: str, since: int, version: int) -> set[str]:
        """What was done to the table after ``since`` up to ``version``.

        Read from the log itself: ``DeltaTable.history`` counts backwards from the newest commit there is by then.
        """
        done = set()
        for number in range(since + 1, version + 1):
            log = self._root / table / "_delta_log" / f"{number:020}.json"
            if not log.exists():  # Delta tidies old commits away
                return {"unknown"}
            for line in log.read_text(encoding="utf-8").splitlines():
                info = json.loads(line).get("commitInfo")
                if info is not None:
                    done.add(" ".join([info["operation"], info.get("operationParameters", {}).get("mode", "")]).strip())
        return done

    def exists(self, table: str) -> bool:
        from deltalake import DeltaTable

        return DeltaTable.is_deltatable(str(self._root / table))

    def version(self, table: str) -> int:
        return int(self._open(table).version())

    def tables(self) -> list[str]:
        """The names of all tables, sorted."""
        logs = self._root.rglob("_delta_log")
        return sorted(log.parent.relative_to(self._root).as_posix() for log in logs)

    def compact(self, table: str, least_files: int = _SMALL_FILES) -> Compacted:
        """Put a table's many small files into few, if it has ``least_files`` or more.

        Rows, earlier versions and the batches that the table holds stay as they are; nothing is deleted from disk.
        """
        with storing(self._root / table), self._using(table):
            return _with_retries(lambda: self._compact(table, least_files))

    def _compact(self, table: str, least_files: int) -> Compacted:
        target = self._open(table)
        before = len(target.file_uris())
        if before >= least_files:
            target.optimize.compact(writer_properties=_unindexed())
        return Compacted(table, before, len(target.file_uris()))

    def outdated(self, table: str, where: Mapping[str, Sequence[Any]]) -> list[Path]:
        """The data files of earlier versions, or of no version, that hold a row whose values are among ``where``'s."""
        return self._outdated(table, _filter(where, _dataset(self._open(table)).schema))

    def _outdated(self, table: str, rows: Any) -> list[Path]:
        present, schema = self._present(table), _dataset(self._open(table)).schema
        found = sorted((self._root / table).glob("*.parquet*"))  # "….parquet#1" while it is being written
        return [path for path in found if path.name not in present and _holds(path, schema, rows)]

    def _present(self, table: str) -> set[str]:
        """The names of the present version's data files."""
        return {Path(file).name for file in self._open(table).file_uris()}

    def erase(self, table: str, where: Mapping[str, Sequence[Any]]) -> None:
        """Delete the rows whose column values are among ``where``'s, and from disk every file that ever held one.

        Earlier versions that need such a file cannot be read any more; all others can. Broken off, a repeated call
        goes on. Delta's log keeps hashes of the values and never the values: an id must not outlive its rows there.
        """
        if len(self.read(table, list(where), where)):
            self._delete(table, _by_digest(where))
        self._unlink(table, _filter(where, _dataset(self._open(table)).schema))

    def older(self, table: str, column: str, before: datetime) -> int:
        """How many rows of the present version have an earlier time in the column."""
        return int(_dataset(self._open(table)).count_rows(filter=_earlier(column, before)))

    def expire(self, table: str, column: str, before: datetime) -> None:
        """As ``erase``, for the rows with an earlier time in the column."""
        if self.older(table, column, before):
            moment = f"{before.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"
            early = f"\"{column}\" < arrow_cast('{moment}', 'Timestamp(Microsecond, Some(\"UTC\"))')"
            self._delete(table, early)
        self._unlink(table, _earlier(column, before))

    def _unlink(self, table: str, rows: Any) -> None:
        """Delete the outdated files with such rows. With nobody else there, one that no commit names has no writer."""
        outdated = self._outdated(table, rows)
        with self._using(table, alone=True):
            present = self._present(table)
            for path in outdated:
                if path.name not in present:
                    path.unlink(missing_ok=True)

    @contextmanager
    def _using(self, table: str, *, alone: bool = False) -> Iterator[None]:
        """Inside the block, nobody deletes a file of the table; nobody else reads or writes it when ``alone``.

        Raises StoreUnavailableError when others use it for too long.
        """
        try:
            folder = os.open(self._root / table, os.O_RDONLY)
        except FileNotFoundError:  # nothing is there to be deleted yet
            yield
            return
        try:
            _take(folder, fcntl.LOCK_EX if alone else fcntl.LOCK_SH, self._root / table)
            yield
        finally:
            fcntl.flock(folder, fcntl.LOCK_UN)  # a process forked meanwhile may keep the folder open
            os.close(folder)

    def _delete(self, table: str, predicate: str) -> None:
        with storing(self._root / table), self._using(table):
            _with_retries(lambda: self._open(table).delete(predicate, writer_properties=_unindexed()))

    def columns(self, table: str) -> list[str]:
        """The table's columns."""
        return [field.name for field in self._open(table).schema().fields]

    def _open(self, table: str, version: int | None = None) -> Any:
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError, TableNotFoundError

        if not self.exists(table):
            raise MissingDataError(f"the lake holds no table {table!r} yet. Run the stage that writes it first.")
        for commit in os.scandir(self._root / table / "_delta_log"):
            if commit.name.endswith(".json") and not commit.stat().st_size:
                # To Delta such a commit is one that did nothing: its rows would be missed by nobody.
                raise StorageError(f"the lake's commit {commit.path} is empty. {_RESTORE}")
        try:
            return DeltaTable(self._root / table, version=version)
        except (DeltaError, TableNotFoundError) as error:
            if version is None:
                raise StorageError(
                    f"the log of the lake's table {self._root / table} cannot be read: {error}. {_RESTORE}"
                ) from error
            raise MissingDataError(f"the lake's table {table!r} has no version {version}: {error}") from error


def _with_retries(write: Callable[[], Result]) -> Result:
    """Repeat ``write`` from reading the table on while other writers commit in between."""
    attempts = Retrying(
        retry=retry_if_exception(_is_conflict),
        stop=stop_after_attempt(_ATTEMPTS),
        wait=wait_random_exponential(multiplier=0.02, max=1),
        reraise=True,
    )
    return attempts(write)


def _take(folder: int, lock: int, name: Path) -> None:
    attempts = Retrying(
        retry=retry_if_exception_type(BlockingIOError),
        stop=stop_after_delay(_LONGEST_USE),
        wait=wait_random(0.01, 0.1),
        reraise=True,
    )
    try:
        attempts(fcntl.flock, folder, lock | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise StoreUnavailableError(
            f"the lake's table {name} was in use by others for {_LONGEST_USE:g} seconds: no file is deleted meanwhile, "
            "and none read while one is. Wait until no other task uses it; then run this again."
        ) from error


def _holds(path: Path, schema: pa.Schema, rows: Any) -> bool:
    """Whether the file holds such rows; half a file may."""
    try:
        return bool(ds.dataset(path, schema).count_rows(filter=rows))
    except pa.ArrowInvalid:
        return True
    except FileNotFoundError:  # its writer gave it its name meanwhile
        return False


@contextmanager
def _whole(table: str, version: int | None) -> Iterator[None]:
    """Inside the block, a file that is missing from an earlier version becomes a MissingDataError."""
    try:
        yield
    except FileNotFoundError as error:
        if version is None:
            raise
        raise MissingDataError(
            f"version {version} of the lake's table {table!r} cannot be read any more: a file of it held rows of a "
            "customer who was erased since, or whose time to be kept was over (docs/privacy.md). What was made from it "
            "can no longer be made again; the present version is whole."
        ) from error


def _is_conflict(error: BaseException) -> bool:
    from deltalake.exceptions import CommitFailedError, DeltaError

    # Two writers that create a table at once: the second finds it there.
    return isinstance(error, CommitFailedError) or (isinstance(error, DeltaError) and "already exists" in str(error))


def _unindexed() -> Any:
    """Write no bounds of customers' ids: Delta copies them into its log, which outlives the rows, for ids in random
    order, which no bounds help to find.
    """
    from deltalake import ColumnProperties, WriterProperties

    return WriterProperties(column_properties={_CUSTOMER: ColumnProperties(statistics_enabled="NONE")})


def _dataset(table: Any, form: ds.FileFormat | None = None) -> ds.Dataset:
    """The table's files. Delta's own dataset takes a column without bounds in the log for one that holds nothing."""
    return ds.dataset(table.file_uris(), table.to_pyarrow_dataset().schema, form or ds.ParquetFileFormat())


def _earlier(column: str, before: datetime) -> Any:
    return pc.field(column) < pa.scalar(before.astimezone(UTC), pa.timestamp("us", tz="UTC"))


def _by_digest(where: Mapping[str, Sequence[Any]]) -> str:
    """A condition for Delta on hashes of the values, whole numbers as they are."""

    def among(column: str, values: Sequence[Any]) -> str:
        if not all(isinstance(value, str) for value in values):
            return f'"{column}" IN ({", ".join(str(int(value)) for value in values)})'
        digests = ", ".join(f"'{hashlib.md5(value.encode(), usedforsecurity=False).hexdigest()}'" for value in values)
        return f'md5("{column}") IN ({digests})'

    return " AND ".join(among(column, values) for column, values in where.items())


def _arrow(rows: pd.DataFrame) -> pa.Table:
    """``rows`` as Delta stores them: times as microseconds UTC, a column of nothing as text."""
    table = pa.Table.from_pandas(rows, preserve_index=False).replace_schema_metadata()
    fields = [pa.field(field.name, _stored(field)) for field in table.schema]
    return table.cast(pa.schema(fields), safe=False)


def _stored(field: pa.Field) -> pa.DataType:
    kind = field.type
    if pa.types.is_timestamp(kind):
        if kind.tz is None:
            raise ValueError(f"column {field.name!r} holds times without a zone; convert them to UTC first")
        return pa.timestamp("us", tz="UTC")
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_null(kind) or pa.types.is_large_string(kind):
        return pa.string()
    return kind


def _predicate(where: Mapping[str, Sequence[str]]) -> str:
    def among(column: str, values: Sequence[str]) -> str:
        literals = ", ".join("'" + value.replace("'", "''") + "'" for value in values)
        return f'"{column}" IN ({literals})'

    if not where or not all(where.values()):
        raise ValueError("replace needs at least one column, with at least one value, to say which rows to replace")
    return " AND ".join(among(column, values) for column, values in where.items())


def _filter(where: Mapping[str, Sequence[Any]], schema: pa.Schema) -> Any:
    """An Arrow filter, or None; the bounds let whole files be skipped by their statistics."""
    chosen = None
    for column, values in where.items():
        wanted = pa.array(sorted(values)).cast(schema.field(column).type)
        part = pc.field(column).isin(wanted)
        if len(wanted):
            part = part & (pc.field(column) >= wanted[0]) & (pc.field(column) <= wanted[-1])
        chosen = part if chosen is None else chosen & part
    return chosen
