"""The `holdfast quarantine` commands: what was rejected and why, the rows themselves, and another try."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from holdfast import terminal

if TYPE_CHECKING:
    import pandas as pd

    from holdfast.pipelines.quarantine import Reason

app = typer.Typer(no_args_is_help=True, help="Look at rejected rows and refused files, and try them again.")
_command = terminal.commands_of(app)

File = Annotated[str | None, typer.Argument(metavar="[FILE]", help="A landing file, such as 2017-11-26/sales.csv.")]
Rule = Annotated[str | None, typer.Option(metavar="RULE", help="Only what this rule rejected.")]
Settled = Annotated[bool, typer.Option("--all", help="Also what is settled or was left out on purpose.")]
Personal = Annotated[bool, typer.Option("--personal", help="Show personal values, too.")]


@_command("list")
def list_(
    by_file: Annotated[bool, typer.Option("--by-file", help="Count each file apart.")] = False,
    settled: Settled = False,
) -> None:
    """Count what is in quarantine by rule and field, with what to do about it."""
    from holdfast import wiring
    from holdfast.pipelines.quarantine import reasons

    found = reasons(wiring.quarantine(), by_file)
    shown = [one for one in found if one.open or settled]
    terminal.show(_counted(shown) if shown else "Nothing in quarantine needs a person.")
    rest = sum(one.rows - one.open for one in found)
    if rest and not settled:
        terminal.show(f"[dim]{rest:,} more are settled or were left out on purpose: --all shows them.[/]")


@_command("show")
def show(
    file: File = None,
    rule: Rule = None,
    limit: Annotated[int, typer.Option(min=1, help="How many rows to show.")] = 20,
    personal: Personal = False,
    settled: Settled = False,
) -> None:
    """Show quarantined rows: where each is, what is wrong with it, and what to do.

    Personal values are masked unless asked for; addresses and names were never kept.
    """
    rows = _chosen(file, rule, personal, settled)
    table = Table("file", "row", "field", "rule", "value", "what to do", *(["settled"] if settled else []), box=None)
    columns = ["file", "row", "table", "field", "rule", "value", "remedy", "how"]
    for values in rows.head(limit)[columns].astype(object).fillna("").to_numpy(str):
        name, row, of_table, field, *rest, how = values.tolist()
        place = f"{of_table}.{field}" if of_table else field
        table.add_row(*map(escape, [name, row, place, *rest, *([how] if settled else [])]))
    terminal.show(table if len(rows) else "Nothing like that is in quarantine.")
    if len(rows) > limit:
        terminal.show(f"[dim]{len(rows) - limit:,} more: --limit shows them, `export` writes them all.[/]")


@_command("export")
def export(
    csv: Annotated[Path, typer.Argument(metavar="CSV", help="The file to write.")],
    file: Annotated[str | None, typer.Option(help="Only this landing file's rows.")] = None,
    rule: Rule = None,
    personal: Personal = False,
    settled: Settled = False,
) -> None:
    """Write quarantined rows as CSV, for whoever mends the shop's export. No cell can run as a formula."""
    from holdfast import wiring

    rows = _chosen(file, rule, personal, settled)
    wiring.export(csv, rows.drop(columns=["batch", "deliberate"]))
    terminal.say(f"Wrote {len(rows):,} rows to {csv}")


@_command("row")
def row(
    file: Annotated[str, typer.Argument(help="A landing file, such as 2017-11-26/sales.csv.")],
    number: Annotated[int, typer.Argument(min=2, help="The row's number; the header is row 1.")],
    personal: Personal = False,
) -> None:
    """Show one row of a landing file as the mapping reads it now: its values by table and column."""
    from holdfast import wiring

    found = wiring.quarantined_row(file, number, personal)
    for name, values in found.items():
        terminal.show(f"[bold]{name}[/]", *(f"  {column}: {escape(value)}" for column, value in values.items()))
    if not found:
        terminal.say(f"Row {number} of {file} feeds no table.")


@_command("retry")
def retry(file: File = None, rule: Rule = None) -> None:
    """Try quarantined rows and refused files again, after the mapping or the file was mended.

    What now passes goes into the lake exactly once. Naming a rule by which the mapping leaves rows out on purpose tries
    those as well.
    """
    from holdfast import wiring

    wiring.prepare()
    done = wiring.retry(wiring.now()).run(file, rule)
    table = Table("file", "tried", "accepted", "still open", "", box=None)
    for column in table.columns[1:4]:
        column.justify = "right"
    for one in done:
        table.add_row(escape(one.file), f"{one.tried:,}", f"{one.accepted:,}", f"{one.open:,}", escape(one.note))
    terminal.show(table if done else "Nothing in quarantine needs a person.")
    if any(one.accepted for one in done):
        terminal.say("Run the features DAG, so that what came in counts: the ledger says whom it touches.")


def _chosen(file: str | None, rule: str | None, personal: bool, settled: bool) -> pd.DataFrame:
    """The quarantined rows asked for, masked, in the order of the files."""
    from holdfast import wiring
    from holdfast.pipelines.quarantine import masked

    rows = wiring.quarantine()
    rows = rows if settled else rows[rows["how"].isna()]
    for column, wanted in (("file", file), ("rule", rule)):
        rows = rows if wanted is None else rows[rows[column] == wanted]
    return masked(rows, personal).sort_values(["file", "row", "table"])


def _counted(found: list[Reason]) -> Table:
    table = Table("open", "of", "files", "rule", "field", "what to do", box=None)
    for column in table.columns[:3]:
        column.justify = "right"
    for one in found:
        field = f"{one.table}.{one.field}" if one.table else one.field or ""
        place = f"{one.file}  {field}" if one.file else field
        numbers = (f"{one.open:,}", f"{one.rows:,}", f"{one.files:,}")
        table.add_row(*numbers, escape(one.rule), escape(place), escape(one.remedy), style="" if one.open else "dim")
    return table
