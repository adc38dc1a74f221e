"""The one way in which Holdfast writes CSV for people: no cell can run as a formula in a spreadsheet."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import pandas as pd

from holdfast.adapters.atomic import write_bytes

# Spreadsheets take a cell for a formula by its first character, some also behind a tab or a line break.
_FORMULA = re.compile(r"^\s*[=+\-@]|^[\t\r\n]")
_NUMBER = re.compile(r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$")


def write_csv(path: Path, frame: pd.DataFrame) -> None:
    """Write ``frame`` as UTF-8 CSV without its index.

    A text or column name that a spreadsheet would take for a formula gets an apostrophe in front; plain numbers, also
    negative ones, stay as they are.
    """
    safe = frame.rename(columns=_harmless).map(_harmless)
    # Every text is quoted: a lone carriage return would otherwise end its row.
    written = safe.to_csv(index=False, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    write_bytes(path, written.encode())


def _harmless(cell: Any) -> Any:
    if isinstance(cell, str) and _FORMULA.match(cell) and not _NUMBER.match(cell):
        return f"'{cell}"
    return cell
