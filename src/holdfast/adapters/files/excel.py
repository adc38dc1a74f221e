"""Reads a sheet of an Excel workbook as text."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Any

from holdfast.adapters.files.compression import refuse_oversized_zip
from holdfast.adapters.files.rows import FIRST_ROW, of_texts, refuse_columns, without_blank
from holdfast.errors import SourceError
from holdfast.mapping import Format
from holdfast.ports import FileContent

_ZIP = b"PK"


def read(content: bytes, form: Format, name: str) -> FileContent:
    """The sheet's rows below its first one, which names the columns.

    A cell's value is taken, never its formula or its look: a whole number has no decimals, a time is ISO 8601. Raises
    SourceError when the workbook is damaged, unpacks to too much or has no such sheet.
    """
    from python_calamine import CalamineError, CalamineWorkbook, WorksheetNotFound

    if content.startswith(_ZIP):
        refuse_oversized_zip(content, name)
    import io

    try:
        workbook = CalamineWorkbook.from_filelike(io.BytesIO(content))
        sheet = form.sheet if form.sheet is not None else workbook.sheet_names[0]
        cells = workbook.get_sheet_by_name(sheet).to_python(skip_empty_area=False)
    except WorksheetNotFound as error:
        known = ", ".join(workbook.sheet_names)
        raise SourceError(f"{name}: no sheet {form.sheet!r}; the workbook has {known}. Name one of them.") from error
    except (CalamineError, IndexError) as error:
        raise SourceError(f"{name}: not readable as a workbook ({error}). Save and deliver it again.") from error
    if not cells:
        raise SourceError(f"{name}: sheet {sheet!r} is empty. Deliver it again; a day without rows needs no file.")
    texts = [[_text(cell) for cell in row] for row in cells]
    header, body = texts[0], texts[1:]
    refuse_columns(header, name)
    columns = {column: [row[number] for row in body] for number, column in enumerate(header)}
    return FileContent(without_blank(of_texts(columns, range(FIRST_ROW, FIRST_ROW + len(body)))))


def _text(cell: Any) -> str:
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() else repr(cell)
    if isinstance(cell, date | datetime | time):
        return cell.isoformat()
    return str(cell)
