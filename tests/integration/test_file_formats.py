"""Formats beside plain CSV and Parquet, and files made to do harm. Every file ends in rows or in one clear error."""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.adapters.files import compression, read
from holdfast.contract import RowRule
from holdfast.errors import SourceError
from holdfast.mapping import Format
from holdfast.ports import BrokenRow, FileContent
from tests.fakes.workbook import formula, moment, number, text, workbook


def content(tmp_path: Path, written: bytes, **form: str) -> FileContent:
    path = tmp_path / "file"
    path.write_bytes(written)
    return read(path, Format.model_validate({"kind": "csv", **form}), "2017-03-01/file")


def columns(tmp_path: Path, written: bytes, **form: str) -> dict[str, list[object]]:
    found: dict[str, list[object]] = content(tmp_path, written, **form).rows.to_pydict()
    return found


def test_a_declared_delimiter_and_encoding_are_used(tmp_path: Path) -> None:
    expected = {"id": ["1"], "name": ["Café, bar"], "row": [2]}
    assert columns(tmp_path, "id;name\n1;Café, bar\n".encode("cp1252"), delimiter=";", encoding="cp1252") == expected
    assert columns(tmp_path, "id\tname\n1\tCafé, bar\n".encode("utf-16"), delimiter="\t", encoding="utf-16") == expected


def test_utf_16_is_told_from_latin_1(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"line 1, byte 0: this is UTF-16, not UTF-8.*'CSV UTF-8'"):
        columns(tmp_path, "id,name\n1,a\n".encode("utf-16"))
    with pytest.raises(SourceError, match=r"byte 0: this is UTF-16"):
        columns(tmp_path, "id,name\n1,a\n".encode("utf-16-le"))
    with pytest.raises(SourceError, match=r"line 2, byte 13: byte 0xe9 is not UTF-8; as cp1252 \(Latin-1\) it is 'é'"):
        columns(tmp_path, b"id,name\n1,Caf\xe9\n")


def test_a_nul_byte_hidden_in_utf_16_is_found(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="a NUL byte"):
        columns(tmp_path, "id,name\n1,a\0b\n".encode("utf-16"), encoding="utf-16")


@pytest.mark.parametrize(
    "written",
    [
        b'id,name\n1,"a\n2,b\n3,c"x\n',  # closes in the middle of a later value: would swallow two rows
        b'id,name\n1,5" nail\n2,7" nail\n',  # an even number of stray ones
        b'id,name\n1,"a" b\n',
        b'id,name\n1,"a\n',
        b'id,name\n1,a"\n',
    ],
)
def test_a_quotation_mark_that_stands_alone_refuses_the_file_and_is_placed(tmp_path: Path, written: bytes) -> None:
    with pytest.raises(SourceError, match=r"line \d, byte \d+: a quotation mark that stands alone"):
        columns(tmp_path, written)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.text('ab",\n\r é'), min_size=2, max_size=2), min_size=1, max_size=5))
def test_whatever_a_csv_writer_quotes_is_read_back(tmp_path: Path, rows: list[list[str]]) -> None:
    import csv

    written = io.StringIO()
    csv.writer(written, quoting=csv.QUOTE_ALL).writerows([["x", "y"], *rows])
    kept = [row for row in rows if row != ["", ""]]
    if kept:
        read_back = columns(tmp_path, written.getvalue().encode())
        assert [read_back["x"], read_back["y"]] == [list(column) for column in zip(*kept, strict=True)]


def test_a_field_of_ten_megabytes_is_read_whole_for_the_contract_to_judge(tmp_path: Path) -> None:
    long = "x" * 10_000_000
    assert len(str(columns(tmp_path, f"id,name\n1,{long}\n".encode())["name"][0])) == len(long)


def test_an_infinite_number_and_ids_like_numbers_are_still_text(tmp_path: Path) -> None:
    found = columns(tmp_path, b"id,n\n00123,inf\nNA,1e999\n")
    assert found == {"id": ["00123", "NA"], "n": ["inf", "1e999"], "row": [2, 3]}


def test_a_csv_file_cut_in_the_middle_of_a_row_loses_that_row_alone(tmp_path: Path) -> None:
    cut = content(tmp_path, b"id,name,city\n1,a,x\n2,b")
    assert cut.rows["id"].to_pylist() == ["1"]
    assert cut.broken == (BrokenRow(3, RowRule.COLUMNS, "2 columns, not 3"),)


def test_gzip_is_unpacked_in_all_its_members(tmp_path: Path) -> None:
    packed = gzip.compress(b"id,name\n1,a\n") + gzip.compress(b"2,b\n")
    assert columns(tmp_path, packed)["id"] == ["1", "2"]


def test_gzip_cut_short_or_damaged_is_refused(tmp_path: Path) -> None:
    packed = gzip.compress(b"id,name\n" + b"1,a\n" * 1_000)
    with pytest.raises(SourceError, match="the gzip file ends early"):
        columns(tmp_path, packed[:-12])
    with pytest.raises(SourceError, match="not readable as gzip"):
        columns(tmp_path, packed[:20] + b"\xff\xff\xff" + packed[23:])


def test_a_gzip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = gzip.compress(b"id,name\n" + b"1,a\n" * 8_000_000)
    with pytest.raises(SourceError, match="200 times the packed size"):
        columns(tmp_path, bomb)
    monkeypatch.setattr(compression, "LARGEST", 10_000)
    with pytest.raises(SourceError, match="at most 10,000 bytes"):
        columns(tmp_path, gzip.compress(bytes(range(256)) * 100))


def test_a_workbook_that_is_a_zip_bomb_is_refused_whatever_it_says_of_its_size(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", b" " * 40_000_000)
    with pytest.raises(SourceError, match="200 times the packed size"):
        columns(tmp_path, packed.getvalue(), kind="excel")


def test_a_parquet_file_of_too_many_repeated_values_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from holdfast.adapters.files import parquet

    monkeypatch.setattr(parquet, "_MOST_FIELDS", 1_000)
    sink = io.BytesIO()
    pq.write_table(pa.table({"id": ["1"] * 1_001}), sink)
    with pytest.raises(SourceError, match="1,001 fields once unpacked; at most"):
        columns(tmp_path, sink.getvalue(), kind="parquet")


def test_json_lines_keep_numbers_as_written_and_nested_values_as_json(tmp_path: Path) -> None:
    first = b'{"id": 17850, "price": 1.50, "gift": true, "tags": ["a"], "note": null}'
    third = b'{"id": "00123", "more": {"n": 1.0}}'
    assert columns(tmp_path, first + b"\n\n" + third + b"\n", kind="jsonl") == {
        "id": ["17850", "00123"],
        "price": ["1.50", ""],
        "gift": ["true", ""],
        "tags": ['["a"]', ""],
        "note": ["", ""],
        "more": ["", '{"n": 1.0}'],
        "row": [1, 3],
    }


def test_a_line_that_is_no_json_object_is_set_aside_alone(tmp_path: Path) -> None:
    found = content(tmp_path, b'{"id": 1}\n[1]\n{"id": 1, "id": 2}\n{"id": 3', kind="jsonl")
    assert found.rows["id"].to_pylist() == ["1"]
    assert [(one.row, one.rule) for one in found.broken] == [(row, RowRule.NOT_JSON) for row in (2, 3, 4)]


def test_a_sheet_gives_values_not_looks(tmp_path: Path) -> None:
    book = workbook(
        [
            [text("id"), text("amount"), text("at"), text("sum")],
            [text("00123"), number(17850), moment(43065.5), formula("A1+B1", 2.5)],
            [text("NA"), number(1.25), text(""), number(3)],
        ]
    )
    assert columns(tmp_path, book, kind="excel") == {
        "id": ["00123", "NA"],
        "amount": ["17850", "1.25"],
        "at": ["2017-11-26T12:00:00", ""],
        "sum": ["2.5", "3"],
        "row": [2, 3],
    }


@pytest.mark.parametrize(
    ("written", "form", "message"),
    [
        (workbook([[text("id")], [text("1")]]), {"sheet": "Orders"}, "no sheet 'Orders'; the workbook has Sheet1"),
        (workbook([[text("id"), text("id")], [text("1")]]), {}, "column 'id' appears twice"),
        (workbook([[text("id")]]), {}, "a header but no rows"),
        (workbook([]), {}, "sheet 'Sheet1' is empty"),
        (workbook([[text("id")], [text("1")]])[:-30], {}, "not readable as a workbook"),
        (b"id,name\n1,a\n", {}, "not readable as a workbook"),
    ],
    ids=["no such sheet", "column twice", "header only", "empty", "truncated", "no workbook"],
)
def test_a_workbook_that_cannot_be_read_is_refused(
    tmp_path: Path, written: bytes, form: dict[str, str], message: str
) -> None:
    with pytest.raises(SourceError, match=message):
        columns(tmp_path, written, kind="excel", **form)
