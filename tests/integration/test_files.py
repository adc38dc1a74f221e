from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from holdfast.adapters.files import read
from holdfast.adapters.sources import LandingDirectory
from holdfast.contract import RowRule
from holdfast.errors import SourceError
from holdfast.mapping import Format
from holdfast.ports import BrokenRow, FileContent

PARQUET = Format(kind="parquet")


def csv(tmp_path: Path, content: bytes, **options: Any) -> FileContent:
    path = tmp_path / "orders.csv"
    path.write_bytes(content)
    return read(path, Format(kind="csv", **options), "2017-03-01/orders.csv")


def test_every_field_is_text(tmp_path: Path) -> None:
    content = csv(tmp_path, b"id,amount,note\n00123,1.50,NA\nNA,,null\n")
    assert content.rows.to_pydict() == {
        "id": ["00123", "NA"],
        "amount": ["1.50", ""],
        "note": ["NA", "null"],
        "row": [2, 3],
    }


def test_a_byte_order_mark_and_windows_line_ends_are_no_content(tmp_path: Path) -> None:
    assert csv(tmp_path, b"\xef\xbb\xbfid,name\r\n1,a\r\n").rows.to_pydict() == {"id": ["1"], "name": ["a"], "row": [2]}


def test_a_ragged_row_is_set_aside_and_the_others_keep_their_numbers(tmp_path: Path) -> None:
    content = csv(tmp_path, b"id,name\n1,a\n2\n3,c,d\n\n4,d\n")
    assert content.rows.to_pydict() == {"id": ["1", "4"], "name": ["a", "d"], "row": [2, 6]}
    assert content.broken == (
        BrokenRow(3, RowRule.COLUMNS, "1 columns, not 2"),
        BrokenRow(4, RowRule.COLUMNS, "3 columns, not 2"),
    )


def test_a_quoted_value_may_hold_commas_quotes_and_line_breaks(tmp_path: Path) -> None:
    assert csv(tmp_path, b'id,name\n1,"a, ""b""\nc"\n').rows["name"].to_pylist() == ['a, "b"\nc']


def test_a_long_field_is_read_whole(tmp_path: Path) -> None:
    long = b"x" * 3_000_000
    assert len(csv(tmp_path, b"id,name\n1," + long + b"\n").rows["name"][0].as_py()) == len(long)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"\n\n", "the file is empty"),
        (b"id,name\n", "a header but no rows"),
        (b"id,name\n1,a\n2,Caf\xe9\n", r"line 3, byte 17: byte 0xe9 is not UTF-8; as cp1252 \(Latin-1\) it is 'é'"),
        (b"id,name\n1,a\x00b\n", r"line 2, byte 11: a NUL byte"),
        (b"id,name,id\n1,a,2\n", "line 1: column 'id' appears twice"),
        (b"id,,name\n1,a,2\n", "line 1: column 2 has no name"),
        (b'id,name\n1,"a\n2,b\n', r"line 2, byte 10: a quotation mark that stands alone"),
    ],
)
def test_a_file_no_row_check_could_repair_is_refused_by_place(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(SourceError, match=rf"^2017-03-01/orders\.csv.*{message}"):
        csv(tmp_path, content)


def parquet(tmp_path: Path, table: pa.Table) -> Path:
    path = tmp_path / "products.parquet"
    pq.write_table(table, path)
    return path


def test_parquet_columns_become_text(tmp_path: Path) -> None:
    table = pa.table({"id": pa.array([123, None], pa.int64()), "price": [0.1, 2.0], "name": ["a", None]})
    content = read(parquet(tmp_path, table), PARQUET, "products.parquet")
    assert content.rows.to_pydict() == {"id": ["123", ""], "price": ["0.1", "2"], "name": ["a", ""], "row": [2, 3]}


def test_truncated_parquet_is_refused(tmp_path: Path) -> None:
    path = parquet(tmp_path, pa.table({"id": ["1"]}))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(SourceError, match=r"products\.parquet: [\d,]+ bytes that are no whole Parquet file"):
        read(path, PARQUET, "products.parquet")


def test_parquet_without_rows_or_with_nested_columns_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no rows"):
        read(parquet(tmp_path, pa.table({"id": pa.array([], pa.string())})), PARQUET, "products.parquet")
    with pytest.raises(SourceError, match="column 'tags' holds list"):
        read(parquet(tmp_path, pa.table({"tags": [["a"]]})), PARQUET, "products.parquet")


def test_the_landing_directory_lists_files_but_none_still_being_written(tmp_path: Path) -> None:
    (tmp_path / "2017-03-01").mkdir()
    for name in ("b.csv", "a.csv", ".c.csv.part"):
        (tmp_path / "2017-03-01" / name).write_text("id\n1\n")
    landing = LandingDirectory(tmp_path)
    assert landing.paths() == ["2017-03-01/a.csv", "2017-03-01/b.csv"]
    assert landing.batch("2017-03-01/a.csv") == landing.batch("2017-03-01/b.csv")


def test_a_landing_directory_that_does_not_exist_is_empty(tmp_path: Path) -> None:
    assert LandingDirectory(tmp_path / "landing").paths() == []
