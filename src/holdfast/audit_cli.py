"""The `holdfast audit` commands: whether what the models learn from can be trusted."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from holdfast import terminal

app = typer.Typer(no_args_is_help=True)
_command = terminal.commands_of(app)


@app.callback()  # without it, typer would make the only command the sub-app itself
def audit() -> None:
    """Check what the models learn from."""


@_command("leakage")
def leakage(
    cutoff: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="The day the set pretends to be. Default: the latest training run's."),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="A Parquet file of your own: customer_id, cutoff, churned, features, and maybe part (train or test).",
        ),
    ] = None,
) -> None:
    """Find what a training set knows of the future; ends with code 1 if it finds anything.

    Labels, population and split are checked on all rows; the features of three cutoffs are computed anew from what
    was known before each.
    """
    from holdfast import wiring

    day = cutoff.date() if cutoff else None
    path = file or wiring.training_set(day)
    report = wiring.audit_leakage(
        path, day or (wiring.latest_cutoff() if file else date.fromisoformat(path.parent.name))
    )
    terminal.say(
        f"{path}: {report.rows:,} rows of {report.cutoffs} cutoffs; features computed anew as of "
        f"{', '.join(map(str, report.recomputed))}"
    )
    for finding in report.findings:
        terminal.show(f"[red]✗[/] [bold]{finding.leak}[/] ({finding.rows:,} rows): {escape(finding.told)}")
    if report.findings:
        raise typer.Exit(1)
    terminal.show("[green]✓[/] nothing in it knows the future")


@_command("chain")
def chain() -> None:
    """Check that no entry of the audit log was changed or removed; ends with code 1 if one was."""
    from holdfast import wiring
    from holdfast.campaign.audit import first_break

    wiring.prepare()
    with wiring.operations().reading() as tx:
        entries = list(tx.audited())
    broken = first_break(entries)
    if broken is not None:
        terminal.show(f"[red]✗[/] the audit log does not hold from entry {broken} on: it was changed outside Holdfast")
        raise typer.Exit(1)
    last = f"; the last is {entries[-1].hash}" if entries else ""
    terminal.show(f"[green]✓[/] {len(entries):,} entries, an unbroken chain{last}")
