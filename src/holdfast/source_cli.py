"""The `holdfast source` commands: look at a mapping's effect, guess a first one, land a query's rows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from holdfast import terminal

if TYPE_CHECKING:
    from holdfast.pipelines.preview import Coverage, Finding, Preview, TablePreview

app = typer.Typer(no_args_is_help=True, help="Map the shop's own files onto the data contract.")
_command = terminal.commands_of(app)

Source = Annotated[
    str | None,
    typer.Option("--source", metavar="NAME", help="The mapping sources/NAME.yaml. Default: the rules' own shop."),
]


@_command("check")
def check(
    file: Annotated[Path, typer.Argument(help="A landing file, wherever it lies.", exists=True, dir_okay=False)],
    source: Source = None,
    rows: Annotated[int, typer.Option(min=1, help="How many accepted rows to show.")] = 5,
    rejected: Annotated[
        Path | None, typer.Option(metavar="CSV", help="Also write every row that would not be accepted to this file.")
    ] = None,
) -> None:
    """Show what maps where in FILE, its first rows, and which rows would be rejected and why. Ingests nothing."""
    from holdfast import wiring

    shown = wiring.preview(file, source, datetime.now(UTC), rows)
    _show(shown)
    if rejected is not None:
        wiring.export(rejected, shown.rejected)
        terminal.say(f"\nWrote {len(shown.rejected):,} rows to {rejected}")


@_command("new")
def new(
    samples: Annotated[list[Path], typer.Argument(help="Samples of the shop's files.", exists=True, dir_okay=False)],
    name: Annotated[str, typer.Option(metavar="NAME", help="Writes sources/NAME.yaml, if there is none.")],
    currency: Annotated[str, typer.Option(metavar="CODE", help="The shop's currency, ISO 4217.")] = "EUR",
) -> None:
    """Write a first mapping by guessing from samples: column names and the look of values. Every guess is marked."""
    from holdfast import wiring

    path = wiring.guess_source(name, samples, currency)
    terminal.say(f"Wrote {path}. Check every line marked 'guess', then: holdfast source check FILE --source {name}")


@_command("pull")
def pull(
    day: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="The first day to land.")],
    until: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Up to, not including, this day. Default: one day.")
    ] = None,
    source: Source = None,
) -> None:
    """Land the rows of the mapping's database queries, a file a day. A day that has not changed lands nothing."""
    from holdfast import wiring

    first, last = day.date(), (until.date() if until else day.date() + timedelta(days=1))
    for one in (first + timedelta(days=number) for number in range((last - first).days)):
        _pull_day(wiring.pull, one, source)


def _pull_day(pulling: Callable[..., Any], day: date, source: str | None) -> None:
    for name, pulled in pulling(day, source).items():
        terminal.say(f"{day}  {name}: " + (f"{pulled.rows:,} rows in {pulled.path}" if pulled.path else "nothing new"))


def _show(shown: Preview) -> None:
    found = "by its path" if shown.by_path else "by its columns; its path fits no input"
    terminal.show(f"[bold]{escape(shown.file)}[/]  {shown.rows:,} rows, read by input [bold]{shown.input}[/] ({found})")
    for one in shown.tables:
        terminal.show(f"\n[bold]{one.table}[/]  {one.accepted:,} rows accepted", _columns(one))
    terminal.show("", _rejections(shown.findings) if shown.findings else "Every row would be accepted.")
    if shown.assumed:
        terminal.show(f"Keys of {', '.join(shown.assumed)} were taken as known: they come with other files.")
    terminal.show("\n[bold]feature families[/], over all inputs of the mapping", *map(_covered, shown.coverage))


def _covered(family: Coverage) -> str:
    if family.lacking:
        return f"  [yellow]off[/]  {family.family}: no {', '.join(family.lacking)}"
    return f"  [green]on[/]   {family.family}"


def _columns(one: TablePreview) -> Table:
    """What each canonical column is made of, how full it is, and the first accepted rows, one column a row."""
    table = Table("column", "from", "filled", *(f"row {number + 1}" for number in range(len(one.first))), box=None)
    table.columns[2].justify = "right"
    for name, filled in one.filled.items():
        made_of = one.origins.get(name, "[dim]not mapped[/]")
        values = [escape(value[:_WIDEST]) for value in one.first[name]]
        table.add_row(name, made_of, f"{filled:.0%}", *values)
    return table


_WIDEST = 28


def _rejections(findings: tuple[Finding, ...]) -> Table:
    table = Table("rows", "rule", "field", "examples (row: value)", "what to do", box=None, title="Not accepted")
    table.title_justify = "left"
    table.columns[0].justify = "right"
    for one in findings:
        field = f"{one.table}.{one.field}" if one.table else one.field
        examples = "; ".join(f"{row}: {value[:_WIDEST]!r}" for row, value in one.examples)
        style = "dim" if one.deliberate else ""
        table.add_row(f"{one.rows:,}", one.rule, field, escape(examples), escape(one.remedy), style=style)
    return table
