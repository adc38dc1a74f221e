from pathlib import Path

import pytest

from holdfast import reference


@pytest.mark.parametrize("name", sorted(reference.pages()))
def test_the_committed_page_is_what_the_declarations_say(name: str, project: Path) -> None:
    committed = (project / "docs" / name).read_text(encoding="utf-8")
    assert committed == reference.pages()[name], f"docs/{name} is stale: run `make generate`"


def test_every_feature_and_every_column_has_a_row() -> None:
    from holdfast.features.catalog import FEATURE_NAMES
    from holdfast.schemas import TABLES

    features, contract = reference.features(), reference.contract()
    assert all(f"| `{name}` |" in features for name in FEATURE_NAMES)
    assert all(f"`{name}`" in contract for table in TABLES.values() for name in table.names)


def test_a_pipe_in_a_meaning_does_not_break_the_table() -> None:
    assert reference._table(("a",), [("x | y",)]).splitlines()[-1] == "| x \\| y |"
