"""Reads JSON lines (one object a line) as text: numbers as they are written, nested values as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from holdfast.adapters.files import csv_text
from holdfast.adapters.files.rows import of_texts, refuse_columns
from holdfast.contract import RowRule
from holdfast.mapping import Format
from holdfast.ports import BrokenRow, FileContent


def read(content: bytes, form: Format, name: str) -> FileContent:
    """The objects' members as columns; a member that an object lacks is empty there. A row's number is its line's.

    A line that is no JSON object, or names a member twice, is set aside as broken. Raises SourceError when the content
    is no text.
    """
    text = csv_text.decoded(content, form, name)
    columns: dict[str, list[str]] = {}
    numbers: list[int] = []
    broken = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            members = _members(line)
        except (ValueError, RecursionError) as error:
            broken.append(BrokenRow(number, RowRule.NOT_JSON, str(error)))
            continue
        for new in members.keys() - columns.keys():
            columns[new] = [""] * len(numbers)
        numbers.append(number)
        for column, values in columns.items():
            values.append(members.get(column, ""))
    refuse_columns(list(columns), name)
    return FileContent(of_texts(columns, numbers), tuple(broken))


def _members(line: str) -> dict[str, str]:
    found = json.loads(
        line, parse_int=str, parse_float=str, parse_constant=str, object_pairs_hook=_without_repeated_names
    )
    if not isinstance(found, dict):
        raise ValueError("no JSON object")
    if any(isinstance(value, dict | list) for value in found.values()):
        nested = json.loads(line)
        found = {name: nested[name] if isinstance(value, dict | list) else value for name, value in found.items()}
    members = {name: _text(value) for name, value in found.items()}
    "".join((*members, *members.values())).encode()  # half a character (an unpaired surrogate) is no text
    return members


def _without_repeated_names(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("an object that names a member twice")
    return members


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
