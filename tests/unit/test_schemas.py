from __future__ import annotations

import pytest

from holdfast.schemas import TABLES, Home, Privacy, Table, Type

tables = pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)


@tables
def test_the_key_is_made_of_required_columns(table: Table) -> None:
    assert all(not table.column(name).nullable for name in table.key)


@tables
def test_the_time_is_a_required_timestamp(table: Table) -> None:
    if table.time is not None:
        assert table.column(table.time).type is Type.TIMESTAMP
        assert not table.column(table.time).nullable


@tables
def test_a_reference_points_at_an_earlier_table_with_a_single_column_key(table: Table) -> None:
    order = list(TABLES)
    for column in table.columns:
        if column.references is not None:
            assert order.index(column.references) < order.index(table.name)
            assert TABLES[column.references].key == (column.name,)


@tables
def test_what_reaches_a_person_is_kept_in_the_vault_alone(table: Table) -> None:
    if any(column.privacy is Privacy.DIRECT for column in table.columns):
        assert table.home is Home.VAULT


@tables
def test_column_names_are_unique_and_leave_provenance_free(table: Table) -> None:
    assert len(set(table.names)) == len(table.names)
    assert not {"batch", "file", "row", "zone", "latest"} & set(table.names)


@tables
def test_what_may_reference_a_table_names_one_with_a_single_column_key(table: Table) -> None:
    for column in table.columns:
        if column.may_reference is not None:
            assert column.references is None
            assert TABLES[column.may_reference].key == (column.name,)


def test_no_lake_table_of_the_contract_shares_a_name_with_what_holdfast_writes_itself() -> None:
    from holdfast.adapters.operations.models import Base

    own = set(Base.metadata.tables) | {"batches", "quarantine", "scores", "backtests"}
    assert not own & {table.name for table in TABLES.values() if table.home is Home.LAKE}
