from __future__ import annotations

import json
import multiprocessing
from datetime import date
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from holdfast.adapters.quality import GreatExpectations, write_suites
from holdfast.cli import app
from holdfast.errors import QualityError
from holdfast.features.catalog import FAMILIES
from holdfast.features.compute import compute
from holdfast.features.log import Log, arrow
from holdfast.ports import Quality
from holdfast.schemas import TABLES, Home, Table, Type
from tests.fakes.quality import FakeQuality
from tests.fakes.shop import ZONE, Line, tables

COMMITTED = Path(__file__).parents[2] / "great_expectations"


@pytest.fixture
def quality(tmp_path: Path) -> GreatExpectations:
    return GreatExpectations(COMMITTED, tmp_path / "quality")


def lines(count: int = 3) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "order_id": "o1",
            "line_id": [str(number) for number in range(count)],
            "product_id": "p1",
            "quantity": 1.0,
            "amount": 2.5,
            "discount": 0.0,
            "coupon_discount": 0.0,
            "batch": "b1",
        }
    )


def test_the_committed_suites_are_those_of_the_contract(tmp_path: Path) -> None:
    fresh = {path.relative_to(tmp_path): path.read_bytes() for path in write_suites(tmp_path)}
    committed = {path.relative_to(COMMITTED): path.read_bytes() for path in COMMITTED.rglob("*.json")}
    assert committed == fresh, "run `make generate` and commit what it writes"


def test_generate_writes_every_suite_and_reference_page_as_committed_and_says_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = COMMITTED.parent
    monkeypatch.setenv("HOLDFAST_PROJECT", str(tmp_path))
    (tmp_path / "docs").mkdir()
    told = CliRunner().invoke(app, ["generate"], catch_exceptions=False)
    written = [Path(line).relative_to(tmp_path) for line in told.output.splitlines()]
    assert {path.parts[0] for path in written} == {"great_expectations", "docs"}
    made = {path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()}
    assert made == set(written)
    for path in written:
        assert (tmp_path / path).read_bytes() == (project / path).read_bytes(), path


def test_every_lake_table_and_feature_view_has_a_suite_and_no_vault_table_has_one() -> None:
    suites = {path.stem for path in (COMMITTED / "expectations").glob("*.json")}
    tables = {table.name for table in TABLES.values() if table.home is Home.LAKE}
    assert suites == tables | {family.view for family in FAMILIES}


def test_the_context_holds_no_python() -> None:
    assert not list(COMMITTED.rglob("*.py")), "a package here would shadow the library"


@pytest.mark.parametrize("kind", ["great expectations", "fake"])
def test_what_is_refused_is_named_by_table_and_run_and_the_next_rows_are_checked_as_ever(
    kind: str, quality: GreatExpectations
) -> None:
    fake = FakeQuality()
    fake.failing.add("order_lines")
    port: Quality = fake if kind == "fake" else quality
    with pytest.raises(QualityError, match=r"^order_lines, 2017-03-01: "):
        port.check("order_lines", lines(0), "2017-03-01")
    fake.failing.clear()
    port.check("order_lines", lines(), "2017-03-02")
    assert port.publish().name == "index.html"


def test_good_rows_pass_and_are_recorded_outside_the_checkout(quality: GreatExpectations, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in COMMITTED.rglob("*") if path.is_file()}
    quality.check("order_lines", lines(), "2017-03-01")
    index = quality.publish()
    assert index.is_relative_to(tmp_path)
    assert "order_lines" in index.read_text(encoding="utf-8")
    recorded = list((tmp_path / "quality" / "validations").rglob("*.json"))
    assert len(recorded) == 1
    assert json.loads(recorded[0].read_text(encoding="utf-8"))["success"] is True
    assert {path: path.read_bytes() for path in COMMITTED.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (lines(0), "expect_table_row_count_to_be_between on the table, observed 0"),
        (lines().assign(amount=[1.0, -2.5, 1.0]), r"between on amount, observed \[-2.5\]"),
        (lines().assign(quantity=[1.0, float("inf"), 1.0]), r"between on quantity, observed \[inf\]"),
        (lines().assign(amount=None), "not_be_null on amount"),
        (lines().assign(product_id=["p1", None, "p1"]), "not_be_null on product_id"),
        (lines().assign(line_id="1"), "compound_columns_to_be_unique"),
        (lines().assign(surprise=1), "columns_to_match_set on the table"),
        (lines().drop(columns="discount"), "columns_to_match_set on the table"),
    ],
    ids=["empty", "negative", "infinite", "all null", "one null", "repeated key", "extra column", "missing column"],
)
def test_rows_that_break_an_expectation_are_refused_by_name(
    quality: GreatExpectations, broken: pd.DataFrame, message: str
) -> None:
    with pytest.raises(QualityError, match=f"(?s)^order_lines, 2017-03-01: .*{message}.*data_docs"):
        quality.check("order_lines", broken, "2017-03-01")


@pytest.mark.parametrize(
    "table", [table for table in TABLES.values() if table.home is Home.LAKE], ids=lambda table: table.name
)
def test_the_suite_of_every_table_accepts_typed_rows_with_every_nullable_column_empty(
    quality: GreatExpectations, table: Table
) -> None:
    typed = {Type.STRING: "object", Type.FLOAT: "float64", Type.TIMESTAMP: "datetime64[us, UTC]"}
    filled = {Type.STRING: "a", Type.FLOAT: 1.0, Type.TIMESTAMP: pd.Timestamp("2017-03-01", tz="UTC")}
    rows = pd.DataFrame({"batch": ["b1"]})
    for column in table.columns:
        value = None if column.nullable else column.allowed[0] if column.allowed else filled[column.type]
        rows[column.name] = pd.Series([value]).astype(typed[column.type])
    quality.check(table.name, rows, "2017-03-01")


def _check_and_publish(output: str, number: int) -> None:
    quality = GreatExpectations(COMMITTED, Path(output))
    for shard in range(3):
        quality.check("order_lines", lines(), f"shard {number}.{shard}")
    quality.publish()


def test_two_processes_at_once_keep_every_validation(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    checkers = [context.Process(target=_check_and_publish, args=(str(tmp_path), number)) for number in range(2)]
    for checker in checkers:
        checker.start()
    for checker in checkers:
        checker.join()
    assert [checker.exitcode for checker in checkers] == [0, 0]
    assert len(list((tmp_path / "validations").rglob("*.json"))) == 6


def test_a_feature_outside_its_declared_range_is_refused_by_name(quality: GreatExpectations) -> None:
    days = [date(2017, 2, 12)]
    rows = compute(Log.build(arrow(vars(tables([Line("ann", "2017-02-01"), Line("ben", "2017-02-02")])))), days, ZONE)
    view = rows["customer_rhythm"]
    quality.check("customer_rhythm", view, "features as of 2017-02-12")
    with pytest.raises(QualityError, match=r"customer_rhythm, features as of .* days_since_order, observed \[-1"):
        quality.check("customer_rhythm", view.assign(days_since_order=[3.0, -1.0]), "features as of 2017-02-12")
