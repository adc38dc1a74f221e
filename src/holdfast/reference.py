"""Reference pages written from the declarations in code: the feature catalogue and the data contract."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from holdfast.features.catalog import FAMILIES
from holdfast.schemas import TABLES, Column, Table, Type

_GENERATED = "<!-- Written by `holdfast generate`; change the declarations, not this page. -->"


_LONGEST = Column("", Type.STRING, "").longest

_CONTRACT_HEAD = (
    "All times are UTC instants; ids are text. `·` marks the key. "
    f"No text is longer than {_LONGEST:,} characters where nothing else is said. "
    "A template is a CSV file with the header and one good row. "
    "A value that *should* be in another table may be unknown there; one that *must* be is rejected if it is. "
    "Privacy classes: `pseudonym`, the shop's id of a customer as delivered, replaced by a keyed hash as the file is "
    "read (the vault alone leads back); `personal`, about a person without naming them; `direct`, what names or "
    "reaches one."
)


def pages() -> dict[str, str]:
    """Every page by its file name in ``docs/``."""
    templates = {f"templates/{table.name}.csv": template(table) for table in TABLES.values()}
    return {"features.md": features(), "data-contract.md": contract(), **templates}


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
    parts = ["# Data contract", _GENERATED, _CONTRACT_HEAD]
    for table in TABLES.values():
        parts += [
            f"## `{table.name}`",
            f"{table.meaning} {_any_of(table)}Kept in the {table.home}. [Template](templates/{table.name}.csv).",
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


def _any_of(table: Table) -> str:
    return f"A row must fill at least one of {_listed(table.any_of)}. " if table.any_of else ""


def template(table: Table) -> str:
    """A CSV file with the table's header and one row that the contract accepts."""
    return f"{','.join(table.names)}\n{','.join(map(_example, table.columns))}\n"


def _example(column: Column) -> str:
    if column.example is not None:
        return column.example
    if column.allowed is not None:
        return column.allowed[0]
    if column.type is Type.TIMESTAMP:
        return "2024-05-31T14:05:00Z"
    if column.type is Type.FLOAT:
        return f"{column.minimum or 1:g}"
    return f"{column.name.removesuffix('_id')}-1" if column.name.endswith("_id") else ""


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
    if column.may_reference is not None:
        rules.append(f"should be in `{column.may_reference}`")
    if column.longest != _LONGEST:
        rules.append(f"at most {column.longest:,} characters")
    return ", ".join(rules)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)
