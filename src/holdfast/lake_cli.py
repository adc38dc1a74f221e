"""The `holdfast lake` commands: upkeep of the accepted data's tables."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from holdfast import terminal

app = typer.Typer(no_args_is_help=True, help="Look after the lake's tables.")
_command = terminal.commands_of(app)


@app.callback()
def lake() -> None:
    """Keeps `compact` a command of its own name, though it is the only one."""


@_command("compact")
def compact(
    least_files: Annotated[int, typer.Option(min=2, help="Compact tables of so many files or more.")] = 2,
) -> None:
    """Put each table's many small files into few. Earlier versions stay readable; nothing is deleted."""
    from holdfast import wiring

    done = wiring.compact(least_files)
    table = Table("table", "files before", "files now", box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    for one in done:
        table.add_row(one["table"], f"{one['before']:,}", f"{one['after']:,}")
    terminal.show(table if done else "No table has many small files.")
