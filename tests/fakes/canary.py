"""A customer whose every detail is a word that occurs nowhere else, and a search of all that was written."""

from __future__ import annotations

import csv
import io
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

OWN_ID = "household-zq4711canary"
DETAILS = {
    "email": "zqcanary-mail@shop.example",
    "phone": "+12025550147",
    "push_token": "zqcanarytoken8f3a",
    "given_name": "Zqcanarina",
}


def plant(landing: Path, like: str) -> None:
    """Let the canary have done all that the customer ``like`` did, in the shop's own files."""
    for path in sorted(landing.rglob("*.csv")):
        with path.open(newline="") as file:
            header, *rows = csv.reader(file)
        if "household_id" not in header:
            continue
        at = {name: header.index(name) for name in header}
        added = []
        for row in (one for one in rows if one[at["household_id"]] == like):
            new = list(row)
            new[at["household_id"]] = OWN_ID
            if "basket_id" in at:
                new[at["basket_id"]] = f"zq{row[at['basket_id']]}"
            if "email" in at:
                new[at["email"]] = DETAILS["email"]
            if "status" in at:
                new[at["status"]] = "given"
            added.append(new)
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(added)
        path.write_text(path.read_text() + text.getvalue())


def hits(root: Path, words: Collection[str], apart: Collection[Path] = ()) -> list[str]:
    """Where one of the words is found below ``root``, outside the folders ``apart``: file and word.

    Files are searched byte by byte; Parquet files and SQLite databases also value by value.
    """
    if not root.is_dir():
        raise NotADirectoryError(f"{root} is no folder: nothing would be searched")
    found = []
    for path in sorted(root.rglob("*")):
        if path.is_file() and not any(path.is_relative_to(folder) for folder in apart):
            found += [f"{path.relative_to(root)}: {word}" for word in _in(path, words)]
    return found


def _in(path: Path, words: Collection[str]) -> Iterator[str]:
    content = path.read_bytes()
    texts = "\n".join(_values(path)) if path.suffix in (".parquet", ".db") or content[:15] == b"SQLite format 3" else ""
    for word in words:
        if word.encode() in content or word in texts or word in str(path.name):
            yield word


def _values(path: Path) -> Iterator[str]:
    if path.suffix == ".parquet":
        table = pq.read_table(path)
        for column in table.columns:
            kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
            if "string" in str(kind):  # string, large_string, string_view
                yield from pc.unique(column.cast(pa.string())).drop_null().to_pylist()
        return
    with closing(sqlite3.connect(path)) as connection:
        for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            for row in connection.execute(f'SELECT * FROM "{table}"'):  # noqa: S608 - names of the file's own
                for value in row:
                    yield value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
