"""Reads delimited text, every field as it is written."""

from __future__ import annotations

import codecs
import csv
import io

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from holdfast.adapters.files.rows import FIRST_ROW, place, refuse_columns, without_blank
from holdfast.contract import RowRule
from holdfast.errors import SourceError
from holdfast.expressions import ROW
from holdfast.mapping import Format
from holdfast.ports import BrokenRow, FileContent

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_QUOTE, _LINE_FEED, _RETURN = b'"\n\r'


def read(content: bytes, form: Format, name: str) -> FileContent:
    """The rows below the header. A row with another number of columns is set aside as broken; blank lines are none.

    Raises SourceError when the content is no text, a quotation mark stands alone or the header is unusable.
    """
    plain = decoded(content, form, name).encode()
    _refuse_stray_quotes(plain, form.delimiter, name)
    columns = _header(plain.decode(), form.delimiter, name)
    refuse_columns(columns, name)
    bad: list[pacsv.InvalidRow] = []

    def set_aside(row: pacsv.InvalidRow) -> str:
        bad.append(row)
        return "skip"

    try:
        table = pacsv.read_csv(
            pa.BufferReader(plain),
            # One block and one thread: rows keep their numbers, and no field is too long.
            read_options=pacsv.ReadOptions(use_threads=False, block_size=len(plain) + 1),
            # Blank lines are dropped only after numbering.
            parse_options=pacsv.ParseOptions(
                delimiter=form.delimiter,
                newlines_in_values=True,
                ignore_empty_lines=False,
                invalid_row_handler=set_aside,
            ),
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys(columns, pa.string()), strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid as error:
        raise SourceError(f"{name}: not readable as CSV: {error}. Export the file again.") from error
    numbers = np.arange(FIRST_ROW, FIRST_ROW + table.num_rows + len(bad))
    numbers = np.setdiff1d(numbers, [row.number for row in bad], assume_unique=True)
    broken = tuple(
        BrokenRow(row.number, RowRule.COLUMNS, f"{row.actual_columns} columns, not {row.expected_columns}")
        for row in bad
        if row.text.strip()
    )
    return FileContent(without_blank(table.append_column(ROW, pa.array(numbers, pa.int64()))), broken)


def _header(text: str, delimiter: str, name: str) -> list[str]:
    try:
        return next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    except (csv.Error, StopIteration) as error:
        raise SourceError(f"{name}, line 1: no header ({str(error) or 'nothing'}). Export the file again.") from error


def form_of(content: bytes) -> Format:
    """How a sample of delimited text seems to be written: the delimiter commonest in its header, and the encoding."""
    if content.startswith(_UTF_16):
        encoding, text = "utf-16", content.decode("utf-16", errors="replace")
    else:
        try:
            encoding, text = "utf-8", content.decode("utf-8")
        except UnicodeDecodeError:
            encoding, text = "cp1252", content.decode("cp1252", errors="replace")
    header = text.partition("\n")[0]
    delimiter = max(",;\t|", key=header.count)
    options = {"delimiter": delimiter} if delimiter != "," else {}
    return Format.model_validate({"kind": "csv", **options, **({"encoding": encoding} if encoding != "utf-8" else {})})


def decoded(content: bytes, form: Format, name: str) -> str:
    """The text, without a byte order mark. Raises SourceError naming the byte that is none in the file's encoding."""
    if form.encoding == "utf-8":
        _refuse_utf_16(content, name)
    if form.encoding != "utf-16":
        _refuse_nul(content, name)
    try:
        text = content.decode(form.encoding)
    except UnicodeDecodeError as error:
        byte = content[error.start]
        raise SourceError(
            f"{name}, {place(content, error.start)}: byte {byte:#04x} is not {form.encoding.upper()}"
            f"{_guess(byte) if form.encoding == 'utf-8' else ''}. Export the file as UTF-8, or declare its encoding."
        ) from error
    if form.encoding == "utf-16":
        _refuse_nul(text.encode(), name)
    return text.removeprefix("\ufeff")


def _guess(byte: int) -> str:
    """What the byte is in the usual encoding of western Windows, if anything."""
    try:
        return f"; as cp1252 (Latin-1) it is {bytes([byte]).decode('cp1252')!r}"
    except UnicodeDecodeError:
        return ""


def _refuse_utf_16(content: bytes, name: str) -> None:
    marked = content.startswith(_UTF_16)
    # Latin letters in UTF-16 have every other byte zero.
    unmarked = len(content) >= 2 and content[:64].count(b"\0") * 3 > len(content[:64])
    if marked or unmarked:
        raise SourceError(
            f"{name}, line 1, byte 0: this is UTF-16, not UTF-8. Export the file as UTF-8 (a spreadsheet calls it "
            "'CSV UTF-8'), or declare its encoding."
        )


def _refuse_nul(content: bytes, name: str) -> None:
    offset = content.find(b"\0")
    if offset >= 0:
        raise SourceError(f"{name}, {place(content, offset)}: a NUL byte; the file is damaged. Export it again.")


def _refuse_stray_quotes(content: bytes, delimiter: str, name: str) -> None:
    """Raise SourceError for a quotation mark that neither encloses a whole field nor is doubled inside one.

    Such a mark could swallow the rows up to the next one without a trace.
    """
    if b'"' not in content:
        return
    padded = np.frombuffer(b"\n" + content + b"\n", dtype=np.uint8)
    marks = np.flatnonzero(padded == _QUOTE)
    opening, closing = marks[::2], marks[1::2]
    edges = np.array([ord(delimiter), _LINE_FEED, _RETURN, _QUOTE], dtype=np.uint8)
    # Inside a quoted field a doubled mark closes and opens at once, so that every mark has an edge on its outer side.
    stray = np.concatenate(
        [
            opening[~np.isin(padded[opening - 1], edges)],
            closing[~np.isin(padded[closing + 1], edges)],
            marks[len(marks) - len(marks) % 2 :],
        ]
    )
    if len(stray):
        raise SourceError(
            f"{name}, {place(content, int(stray.min()) - 1)}: a quotation mark that stands alone. Put the whole value "
            "into quotation marks, and double those inside it."
        )
