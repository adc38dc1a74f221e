"""Reads one landing file with every field as text, and refuses what no row check could repair.

Text keeps what guessing types would lose: ``00123`` and ``NA`` stay the ids they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from holdfast.adapters.files import compression, csv_text, excel, json_lines, parquet
from holdfast.errors import SourceError
from holdfast.mapping import Format
from holdfast.ports import FileContent


def read(path: Path, form: Format, name: str) -> FileContent:
    """The rows of a file; ``name`` is what errors call it.

    Raises SourceError naming the file, the place and the remedy.
    """
    content = path.read_bytes()
    if form.kind in ("csv", "jsonl"):
        content = compression.unzipped(content, name)
    if not content.strip():
        raise SourceError(f"{name}: the file is empty. Deliver it again; a day without rows needs no file.")
    result = _READERS[form.kind](content, form, name)
    if result.rows.num_rows == 0 and not result.broken:
        raise SourceError(f"{name}: a header but no rows. Deliver the rows; a day without rows needs no file.")
    return result


_READERS: Mapping[str, Callable[[bytes, Format, str], FileContent]] = {
    "csv": csv_text.read,
    "jsonl": json_lines.read,
    "parquet": parquet.read,
    "excel": excel.read,
}
