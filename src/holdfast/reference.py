"""Reference pages written from the declarations in code: the feature catalogue and the data contract."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from holdfast.features.catalog import FAMILIES
from holdfast.schemas import TABLES, Column

_GENERATED = "<!-- Written by `holdfast generate`; change the declarations, not this page. -->"


def pages() -> dict[str, str]:
    """Every page by its file name in ``docs/``."""
    return {"features.md": features(), "data-contract.md": contract()}


def features() -> str:
    """The feature catalogue as Markdown."""
    parts = [
        "# Features",
        _GENERATED,
        f"{sum(len(family.features) for family in FAMILIES)} features in one Feast view a family.",
    ]
    for family in FAMILIES:
        parts += [
            f"## `{family.view}`",
            f"{family.meaning[:1].upper()}{family.meaning[1:]}. Computed from {_listed(family.tables)}.",
            _table(
                ("feature", "meaning", "unit", "null", "formula from"),
                ((f"`{one.name}`", one.meaning, one.unit, one.null, one.source or "") for one in family.features),
            ),
        ]
    return "\n\n".join(parts) + "\n"


def contract() -> str:
    """The data contract as Markdown."""
    parts = ["# Data contract", _GENERATED, "All times are UTC instants; ids are text. `·` marks the key."]
    for table in TABLES.values():
        parts += [
            f"## `{table.name}`",
            f"{table.meaning} Kept in the {table.home}.",
            _table(
                ("column", "type", "null", "rule", "privacy", "meaning"),
                (
                    (
                        f"`{column.name}`{' ·' if column.name in table.key else ''}",
                        column.type,
                        "yes" if column.nullable else "no",
                        _rule(column),
                        column.privacy,
                        column.meaning,
                    )
                    for column in table.columns
                ),
            ),
        ]
    return "\n\n".join(parts) + "\n"


def _rule(column: Column) -> str:
    rules = []
    if column.minimum is not None:
        rules.append(f"≥ {column.minimum:,}")
    if column.maximum is not None:
        rules.append(f"≤ {column.maximum:,}")
    if column.allowed is not None:
        rules.append("one of " + _listed(column.allowed))
    if column.references is not None:
        rules.append(f"must be in `{column.references}`")
    return ", ".join(rules)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)
