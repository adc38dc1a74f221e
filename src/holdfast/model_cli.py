"""The `holdfast model` commands: which model scores, and taking a promotion back."""

from __future__ import annotations

import getpass
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from holdfast import terminal

app = typer.Typer(
    no_args_is_help=True, help="Which model scores; take a promotion back; make a model again from its record."
)
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


@_command("rebuild")
def rebuild(
    version: Annotated[str | None, typer.Argument(help="A registered version. Default: the champion.")] = None,
) -> None:
    """Make a registered model again from its record, and compare; ends with code 1 if it predicts otherwise.

    The record names the lake's versions, the rules with the seed, the cutoff and the features. Nothing is changed.
    """
    from holdfast import wiring

    made = wiring.rebuild().again(wiring.model_version(version))
    where = f"{made.rows:,} customers of its latest training cutoff"
    if made.identical:
        terminal.say(f"Version {made.version.version} was made again: the same files, to the last byte.")
    else:
        terminal.say(
            f"Version {made.version.version} was made again with other files; over the {where} the greatest difference "
            f"in probability is {made.difference:.2g}."
        )
    if made.other_code:
        terminal.say("Features are computed by other code now than then: check out the version that made it.")
    if made.difference > 0:
        raise typer.Exit(1)


@_command("rollback")
def rollback() -> None:
    """Put the previous champion back in its place, in one step; the same command takes that back.

    Scoring uses it from its next run on.
    """
    from holdfast import wiring
    from holdfast.model.approval import Approval

    who = f"{getpass.getuser()} on the command line"
    restored = wiring.promotion().rollback(Approval(approved=True, by=who, at=wiring.now()))
    terminal.say(
        f"Version {restored.version} ({restored.candidate}) is the champion again; the score DAG's next run uses it."
    )
