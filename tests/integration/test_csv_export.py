from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.adapters.csv_export import write_csv


def is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def written(tmp_path: Path, *cells: object) -> list[str]:
    path = tmp_path / "export.csv"
    write_csv(path, pd.DataFrame({"value": pd.Series(list(cells), dtype=object)}))
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert header == ["value"]
    return [cell for (cell,) in rows]


@pytest.mark.parametrize(
    "formula",
    ['=HYPERLINK("http://a.example")', "=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "  =1", "\r=1"],
)
def test_a_formula_is_written_as_text(tmp_path: Path, formula: str) -> None:
    (cell,) = written(tmp_path, formula)
    assert cell.startswith("'")


@pytest.mark.parametrize("plain", ["-3.50", "+3", "-1e5", "a=b", "2-1", "", "Café"])
def test_what_is_no_formula_is_written_as_it_is(tmp_path: Path, plain: str) -> None:
    assert written(tmp_path, plain) == [plain]


def test_numbers_and_missing_values_are_no_texts(tmp_path: Path) -> None:
    assert written(tmp_path, -3.5, None) == ["-3.5", ""]


def test_a_column_name_is_a_cell_too(tmp_path: Path) -> None:
    write_csv(tmp_path / "export.csv", pd.DataFrame({"=1+1": ["a"]}))
    assert (tmp_path / "export.csv").read_text(encoding="utf-8") == '"\'=1+1"\n"a"\n'


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0")), min_size=1, max_size=5))
def test_no_text_at_all_comes_out_as_a_formula(tmp_path: Path, texts: list[str]) -> None:
    for cell in written(tmp_path, *texts):
        assert not cell.lstrip().startswith(("=", "@", "+", "-")) or is_number(cell)
