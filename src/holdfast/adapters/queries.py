"""Lands the rows of a shop's database query as files, one a day, so that ingest deals with them as with any others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import SecretStr
from sqlalchemy import create_engine, text
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from holdfast.adapters.atomic import write_bytes
from holdfast.errors import SettingsError, SourceError
from holdfast.mapping import Input, Query
from holdfast.windows import instant


@dataclass(frozen=True)
class Pulled:
    """A landing day of a query: its file, or none when the query found no rows or the same as have landed already."""

    path: str | None
    rows: int


def pull(source: Input, landing: Path, day: date, zone: ZoneInfo, urls: Mapping[str, SecretStr]) -> Pulled:
    """Run the input's query for the shop's day and land its rows.

    Rows are sorted, so that the same rows always make the same bytes and hence the same batch, in whatever order the
    database gives them. Raises SettingsError for a database without URL and SourceError for a failing query; neither
    message holds the URL.
    """
    if source.query is None:
        raise SettingsError(f"input {source.path} has no query to pull. Add one to the source mapping.")
    rows = _rows(source.query, instant(day, zone), instant(day + timedelta(days=1), zone), urls)
    path = source.path.replace("{day}", day.isoformat())
    if not rows:
        return Pulled(None, 0)
    content = _encoded(rows)
    target = landing / path
    if target.exists() and target.read_bytes() == content:
        return Pulled(None, len(rows))
    write_bytes(target, content)
    return Pulled(path, len(rows))


def _rows(query: Query, start: datetime, end: datetime, urls: Mapping[str, SecretStr]) -> list[dict[str, str]]:
    if query.database not in urls:
        raise SettingsError(
            f"no URL for the database {query.database!r}. Put it into HOLDFAST_SOURCE_URLS, a JSON object such as "
            f'{{"{query.database}": "postgresql+psycopg://reader@host/shop"}}.'
        )
    try:
        engine = create_engine(urls[query.database].get_secret_value())
        with engine.connect() as connection:
            found = connection.execute(text(query.sql), {"start": _naive_utc(start), "end": _naive_utc(end)})
            rows = [{str(name): _text(value) for name, value in row.items()} for row in found.mappings()]
    except (ArgumentError, SQLAlchemyError) as error:
        cause = str(getattr(error, "orig", None) or type(error).__name__)
        raise SourceError(
            f"the query on database {query.database!r} failed: {cause}. Correct the query or the database's URL."
        ) from None  # the error's own text may hold the URL
    return sorted(rows, key=lambda row: tuple(row.values()))


def _naive_utc(moment: datetime) -> str:
    """As text, which every database compares with its own times."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes):
        raise SourceError("the query selects a column of bytes, which has no plain text. Leave it out.")
    return str(value)


def _encoded(rows: Iterable[Mapping[str, str]]) -> bytes:
    listed = list(rows)
    table = pa.table({name: pa.array([row[name] for row in listed], pa.string()) for name in listed[0]})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    content: bytes = sink.getvalue().to_pybytes()
    return content
