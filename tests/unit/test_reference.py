from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from holdfast import reference
from holdfast.contract import check
from holdfast.schemas import TABLES, Table


@pytest.mark.parametrize("name", sorted(reference.pages()))
def test_the_committed_page_is_what_the_declarations_say(name: str, project: Path) -> None:
    committed = (project / "docs" / name).read_text(encoding="utf-8")
    assert committed == reference.pages()[name], f"docs/{name} is stale: run `make generate`"


def test_every_feature_and_every_column_has_a_row() -> None:
    from holdfast.features.catalog import FEATURE_NAMES

    features, contract = reference.features(), reference.contract()
    assert all(f"| `{name}` |" in features for name in FEATURE_NAMES)
    assert all(f"`{name}`" in contract for table in TABLES.values() for name in table.names)


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
def test_the_row_in_a_template_is_one_that_the_contract_accepts(table: Table) -> None:
    header, row = reference.template(table).splitlines()
    columns = dict(zip(header.split(","), row.split(","), strict=True))
    assert tuple(columns) == table.names
    provenance = {"batch": "b", "file": "template.csv", "row": 2, "zone": None}
    text = pa.Table.from_pylist([columns | provenance]).append_column(
        "latest", pa.array([datetime(2025, 1, 1, tzinfo=UTC)], pa.timestamp("us", tz="UTC"))
    )
    text = text.set_column(text.column_names.index("zone"), "zone", pa.array([None], pa.string()))
    known = {column.name: {columns[column.name]} for column in table.columns if column.references}
    checked = check(table, text, known, pd.DataFrame(columns=[*table.names, "batch"]))
    assert checked.rejected.empty
    assert len(checked.accepted) == 1


def test_a_pipe_in_a_meaning_does_not_break_the_table() -> None:
    assert reference._table(("a",), [("x | y",)]).splitlines()[-1] == "| x \\| y |"
