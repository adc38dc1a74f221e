"""Reads one landing file with every field as text, and refuses what no row check could repair.

Text keeps what guessing types would lose: ``00123`` and ``NA`` stay the ids they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from holdfast.adapters.files import compression, csv_text, excel, json_lines, parquet
from holdfast.errors import SourceError
from holdfast.guessing import Sample
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


def sample(path: Path) -> Sample:
    """A file to guess from; how it is written is told from its name, its first line and its encoding.

    Raises SourceError when it is none that can be read.
    """
    suffix = path.name.removesuffix(".gz").rpartition(".")[2].lower()
    if suffix not in _KINDS:
        raise SourceError(f"{path.name}: no sample to guess from; known endings are {', '.join(_KINDS)}.")
    form = Format(kind=_KINDS[suffix])
    if form.kind == "csv":
        form = csv_text.form_of(compression.unzipped(path.read_bytes(), path.name))
    return Sample("/".join(path.parts[-2:]), form, read(path, form, path.name).rows)


_KINDS: Mapping[str, Literal["csv", "jsonl", "parquet", "excel"]] = {
    "csv": "csv",
    "txt": "csv",
    "tsv": "csv",
    "jsonl": "jsonl",
    "ndjson": "jsonl",
    "parquet": "parquet",
    "xlsx": "excel",
    "xls": "excel",
}

_READERS: Mapping[str, Callable[[bytes, Format, str], FileContent]] = {
    "csv": csv_text.read,
    "jsonl": json_lines.read,
    "parquet": parquet.read,
    "excel": excel.read,
}
