"""What the local engine keeps between runs: the lake's rows split by customer, and the sorted log of each part.

All of it is Arrow files that are mapped into memory rather than read. It is derived from the lake and can be deleted
at any time; the next run builds it anew.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path
from types import TracebackType

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from holdfast.features.log import TIMES, Items, Log
from holdfast.features.partition import partition_of
from holdfast.timeline import Timeline

_ROWS_AT_ONCE = 1 << 17
_LINES_AT_ONCE = 1 << 22  # each time all orders are looked up anew
_ARRIVED, _CODED, _LOG = "arrived", "rows", "log"
_CUSTOMER, _ORDER, _LINES, _PRODUCTS = "customer_id", "order_id", "order_lines", "products"


def split(tables: Mapping[str, Iterable[pa.RecordBatch]], parts: Sequence[Path]) -> dict[str, int]:
    """Write each customer's rows into the folder of their part; returns how many rows each table has.

    ``tables`` are the canonical tables by name. Order lines go where their order goes, products everywhere. No table
    is held as a whole, but for the ids of orders.
    """
    counts = {}
    order_ids: list[pa.Array] = []
    order_parts: list[NDArray[np.uint16]] = []
    for name in (name for name in (*TIMES, _LINES, _PRODUCTS) if name in tables):
        with _Writers(parts, name) as writers:
            if name == _PRODUCTS or len(parts) == 1:
                for batch in tables[name]:
                    writers.write_everywhere(batch)
            elif name == _LINES:
                known, of_known = pa.concat_arrays(order_ids), np.concatenate(order_parts)
                for batch in _large(tables[name], _LINES_AT_ONCE):
                    writers.write(batch, of_known[pc.index_in(batch[_ORDER], value_set=known).to_numpy()])
            else:
                for batch in _large(tables[name], _ROWS_AT_ONCE):
                    own = partition_of(batch[_CUSTOMER], len(parts))
                    writers.write(batch, own)
                    if name == "orders":
                        order_ids.append(batch[_ORDER])
                        order_parts.append(own)
            counts[name] = writers.rows
    return counts


def build(part: Path) -> None:
    """From the rows that ``split`` wrote, make the part's log, and keep the rows beside it."""
    rows = {path.stem: read(path) for path in sorted((part / _ARRIVED).glob("*.arrow"))}
    ids = [pc.unique(table[_CUSTOMER]) for table in rows.values() if _CUSTOMER in table.column_names]
    customers = pc.unique(pa.concat_arrays(ids))
    for name, table in rows.items():
        if _CUSTOMER in table.column_names:
            at = table.column_names.index(_CUSTOMER)
            codes = [pc.index_in(table[_CUSTOMER], value_set=customers).combine_chunks()]
            coded = pa.chunked_array([pa.DictionaryArray.from_arrays(one, customers) for one in codes])
            rows[name] = table.set_column(at, _CUSTOMER, coded)
        write(part / _CODED / f"{name}.arrow", rows[name])
    _save(Log.build(rows), part / _LOG)
    shutil.rmtree(part / _ARRIVED)


def log_of(part: Path) -> Log:
    """The part's log; its arrays are views of mapped files."""
    folder = part / _LOG
    kinds: dict[str, Timeline | Items] = {}
    for one in fields(Log)[1:]:
        table = read(folder / f"{one.name}.arrow")
        columns = {name: _array(table, name) for name in table.column_names}
        kinds[one.name] = Items(**columns) if one.type == "Items" else Timeline(columns.pop("key"), columns)
    customers = read(folder / "customers.arrow")[_CUSTOMER]
    return Log(customers=customers.combine_chunks(), **kinds)  # type: ignore[arg-type]


def rows_of(part: Path, customers: pa.Array) -> dict[str, pa.Table]:
    """The part's rows of these customers, by table, and all products."""
    rows = {path.stem: read(path) for path in sorted((part / _CODED).glob("*.arrow"))}
    found = {}
    for name, table in rows.items():
        if _CUSTOMER in table.column_names:
            column = table[_CUSTOMER].combine_chunks()
            wanted = pc.is_in(column.dictionary, value_set=customers).to_numpy(zero_copy_only=False)
            found[name] = table.filter(pa.array(wanted[column.indices.to_numpy()]))
        elif name == _PRODUCTS:
            found[name] = table
    lines = rows[_LINES]
    found[_LINES] = lines.filter(pc.is_in(lines[_ORDER], value_set=found["orders"][_ORDER].combine_chunks()))
    return found


def joined(kept: Mapping[str, pa.Table], new: Mapping[str, pa.Table]) -> dict[str, pa.Table]:
    """The rows of both, by table."""
    names = dict.fromkeys([*kept, *new])
    parts = {name: [_plain(tables[name]) for tables in (kept, new) if name in tables] for name in names}
    return {name: pa.concat_tables(tables, promote_options="default") for name, tables in parts.items()}


class _Writers:
    """One file of a table in each part, opened when the first rows come."""

    def __init__(self, parts: Sequence[Path], table: str) -> None:
        self._paths = [part / _ARRIVED / f"{table}.arrow" for part in parts]
        self._open: dict[int, pa.RecordBatchWriter] = {}
        self._stack = ExitStack()
        self.rows = 0

    def __enter__(self) -> _Writers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def write(self, batch: pa.RecordBatch, part: NDArray[np.uint16]) -> None:
        """Append each row to the file of its part."""
        self.rows += len(batch)
        by_part = batch.take(pa.array(np.argsort(part, kind="stable")))
        ends = np.cumsum(np.bincount(part, minlength=len(self._paths)))
        for number, (start, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
            self._append(number, by_part.slice(start, end - start))

    def write_everywhere(self, batch: pa.RecordBatch) -> None:
        """Append all rows to every part's file."""
        self.rows += len(batch)
        for number in range(len(self._paths)):
            self._append(number, batch)

    def _append(self, number: int, batch: pa.RecordBatch) -> None:
        if number not in self._open:
            path = self._paths[number]
            path.parent.mkdir(parents=True, exist_ok=True)
            writer = pa.ipc.new_stream(self._stack.enter_context(pa.OSFile(str(path), "wb")), batch.schema)
            self._open[number] = self._stack.enter_context(writer)
        self._open[number].write_batch(batch)


def _large(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.RecordBatch]:
    """The same rows in batches of at least so many, the last apart."""
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        if sum(map(len, waiting)) >= rows:
            yield pa.concat_batches(waiting)
            waiting = []
    if waiting:
        yield pa.concat_batches(waiting)


def _save(log: Log, folder: Path) -> None:
    write(folder / "customers.arrow", pa.table({_CUSTOMER: log.customers}))
    for one in fields(Log)[1:]:
        kind: Timeline | Items = getattr(log, one.name)
        columns = {"key": kind.key, **kind.values} if isinstance(kind, Timeline) else vars(kind)
        write(folder / f"{one.name}.arrow", pa.table({name: pa.array(values) for name, values in columns.items()}))


def write(path: Path, table: pa.Table) -> None:
    """``table`` as an Arrow file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)


def read(path: Path) -> pa.Table:
    """The table of an Arrow file, mapped into memory."""
    return pa.ipc.open_stream(pa.memory_map(str(path))).read_all()


def _array(table: pa.Table, name: str) -> NDArray[np.int64]:
    array: NDArray[np.int64] = table[name].to_numpy()
    return array


def _plain(table: pa.Table) -> pa.Table:
    """The table with all text as plain text."""
    fields = [pa.field(one.name, pa.string() if pa.types.is_dictionary(one.type) else one.type) for one in table.schema]
    return table.cast(pa.schema(fields))
