"""Where the lake, quarantine and the landing files hold something about a customer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol
from zoneinfo import ZoneInfo

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from holdfast import mapping
from holdfast.errors import SourceError
from holdfast.pipelines import landed
from holdfast.pipelines.ingest import QUARANTINE
from holdfast.ports import Lake, Landing, Person, Row
from holdfast.schemas import CUSTOMERS, ORDER_LINES, ORDERS, TABLES, Privacy

_ID = CUSTOMERS.key[0]


class ErasableLake(Lake, Protocol):
    """A lake that can forget."""

    def tables(self) -> list[str]: ...

    def columns(self, table: str) -> list[str]: ...

    def outdated(self, table: str, where: Mapping[str, Sequence[Any]]) -> Sequence[Path]:
        """The data files of earlier versions alone that hold such a row."""
        ...

    def erase(self, table: str, where: Mapping[str, Sequence[Any]]) -> None:
        """Delete such rows from every version; one that would need them cannot be read any more."""
        ...

    def older(self, table: str, column: str, before: datetime) -> int:
        """How many rows have an earlier time in the column."""
        ...

    def expire(self, table: str, column: str, before: datetime) -> None:
        """As ``erase``, for rows with an earlier time in the column."""
        ...


@dataclass(frozen=True)
class LakeRows:
    """Every table of the lake that names customers, and the lines of their orders."""

    lake: ErasableLake
    name: str = "lake"
    kept_by: Literal["us"] = "us"

    def held(self, person: Person) -> list[Row]:
        return [row for table, where in self._places(person) for row in self._rows(table, where)]

    def erase(self, person: Person) -> None:
        for table, where in self._places(person):
            self.lake.erase(table, where)

    def _rows(self, table: str, where: Mapping[str, Sequence[str]]) -> Iterator[Row]:
        rows = self.lake.read(table, None, where)
        yield from ({"table": table, **row} for row in _records(rows))
        if rows.empty:  # an erasure broken off
            yield from ({"table": table, "earlier version": path.name} for path in self.lake.outdated(table, where))

    def _places(self, person: Person) -> list[tuple[str, Mapping[str, Sequence[str]]]]:
        """Tables and whose rows; order lines come before the orders that say whose they are."""
        mine = {_ID: [person.customer_id]}
        orders = []
        if self.lake.exists(ORDERS.name) and self.lake.exists(ORDER_LINES.name):
            orders = sorted(set(self.lake.read(ORDERS.name, ["order_id"], mine)["order_id"]))
        lines = [(ORDER_LINES.name, {"order_id": orders})] if orders else []
        return [*lines, *((table, mine) for table in self.lake.tables() if _ID in self.lake.columns(table))]


@dataclass(frozen=True)
class LandingRows:
    """The shop's own files: reported, and left to the shop and to retention. They are read once a person."""

    landing: Landing
    source: mapping.Mapping
    zone: ZoneInfo
    name: str = "landing files"
    kept_by: Literal["shop"] = "shop"
    _found: dict[Person, list[Row]] = field(default_factory=dict, repr=False, compare=False)

    def held(self, person: Person) -> list[Row]:
        if person not in self._found:
            self._found[person] = [
                {"file": path, "row": number, "table": table, **values}
                for path in self.landing.paths()
                for table, number, values in self._rows(path, person.own_id)
            ]
        return self._found[person]

    def erase(self, person: Person) -> None:
        """Nothing: the files are not ours."""

    def places(self, person: Person) -> dict[str, list[int]]:
        """The numbers of the person's rows by file."""
        found: dict[str, set[int]] = {}
        for row in self.held(person):
            found.setdefault(row["file"], set()).add(row["row"])
        return {path: sorted(numbers) for path, numbers in found.items()}

    def _rows(self, path: str, own_id: str) -> Iterator[tuple[str, int, dict[str, Any]]]:
        try:
            texts = landed.read(self.landing, self.source, self.zone, path, "").texts
        except SourceError:  # refused as a whole: nothing of it was taken in, and nobody can tell whose rows it holds
            return
        theirs: set[int] = set()
        for name, rows in texts.items():
            for column in TABLES[name].columns:
                if column.privacy is Privacy.PSEUDONYM and column.name in rows.column_names:
                    mine = rows.filter(pc.equal(rows[column.name], own_id))
                    theirs.update(mine["row"].to_pylist())
        for name, rows in texts.items():
            mine = rows.filter(pc.is_in(rows["row"], value_set=pa.array(sorted(theirs), pa.int64())))
            for values in mine.to_pylist():
                kept = {column: values[column] for column in TABLES[name].names if values.get(column)}
                yield name, int(values["row"]), kept


@dataclass(frozen=True)
class QuarantineRows:
    """Rejections of the person's rows: told by the place of the row, since quarantine keeps no row as a whole."""

    lake: ErasableLake
    landing: LandingRows
    name: str = "quarantine"
    kept_by: Literal["us"] = "us"

    def held(self, person: Person) -> list[Row]:
        return [row for where in self._places(person) for row in self._read(where)]

    def erase(self, person: Person) -> None:
        for where in self._places(person):
            self.lake.erase(QUARANTINE, where)

    def _places(self, person: Person) -> list[Mapping[str, Sequence[Any]]]:
        if not self.lake.exists(QUARANTINE):
            return []
        places: list[Mapping[str, Sequence[Any]]] = [{"value": [person.customer_id]}]
        places += [{"file": [path], "row": rows} for path, rows in self.landing.places(person).items()]
        return places

    def _read(self, where: Mapping[str, Sequence[Any]]) -> Iterator[Row]:
        rows = self.lake.read(QUARANTINE, None, where)
        rows = rows[rows["rule"] != landed.ERASED]
        yield from _records(rows)
        if rows.empty:
            yield from ({"earlier version": path.name} for path in self.lake.outdated(QUARANTINE, where))


def _records(rows: pd.DataFrame) -> Iterator[Row]:
    """Each row with what it holds."""
    for row in rows.to_dict("records"):
        yield {str(name): value for name, value in row.items() if not pd.isna(value)}
