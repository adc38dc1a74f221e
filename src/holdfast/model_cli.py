"""The `holdfast model` commands: which model scores, and taking a promotion back."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime

import typer
from rich.markup import escape
from rich.table import Table

from holdfast import terminal

app = typer.Typer(no_args_is_help=True)
_command = terminal.commands_of(app)


@_command("show")
def show() -> None:
    """The champion, the one before it and the latest challenger, each with the gate's verdict."""
    from holdfast import wiring

    table = Table("alias", "version", "candidate", "learned up to", "verdict")
    for alias, version in wiring.aliased_models().items():
        table.add_row(
            f"@{alias}",
            version.version,
            version.candidate,
            str(version.trained_to),
            escape(version.verdict or "not weighed yet"),
        )
    terminal.show(table)


@_command("rollback")
def rollback() -> None:
    """Put the previous champion back in its place, in one step; the same command takes that back.

    Scoring uses it from its next run on.
    """
    from holdfast import wiring
    from holdfast.model.decision import Decision

    who = f"{getpass.getuser()} on the command line"
    restored = wiring.promotion().rollback(Decision(approved=True, by=who, at=datetime.now(UTC)))
    terminal.say(
        f"Version {restored.version} ({restored.candidate}) is the champion again; the score DAG's next run uses it."
    )
