"""The `holdfast privacy` commands: what is held about a customer, erasure, keys."""

from __future__ import annotations

import getpass
import json
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.table import Table

from holdfast import terminal

app = typer.Typer(no_args_is_help=True, help="Tell customers what is held about them, erase them, renew keys.")
_command = terminal.commands_of(app)

Customer = Annotated[str, typer.Argument(metavar="ID", help="The shop's id of the customer, or the pseudonym.")]


@_command("export")
def export(own_id: Customer) -> None:
    """Write all that is held about a customer, in every store, as JSON and as a text to read."""
    from holdfast import wiring

    wiring.prepare()
    path = wiring.export_person(own_id, datetime.now(UTC))
    terminal.show(f"{path}\n{path.with_suffix('.md')}\nDelete both when the customer has them.")


@_command("erase")
def erase(
    own_id: Customer,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before erasing.")] = False,
) -> None:
    """Erase a customer from every store, with a certificate in the audit log; nothing brings them back afterwards.

    Versions of lake tables that hold the customer's rows go too: a model trained on them can no longer be rebuilt.
    Run it while no DAG runs. Broken off, the same command finishes the work.
    """
    from holdfast import wiring

    wiring.prepare()
    if not yes:
        typer.confirm(f"Erase customer {own_id} for good?", abort=True)
    done = wiring.erase_person(own_id, getpass.getuser(), datetime.now(UTC))
    if done.certificate is None:
        terminal.show("Nothing left to erase: this customer was erased before.")
    else:
        terminal.show(json.dumps(done.certificate, indent=2))
    for name, count in done.left_to_shop.items():
        terminal.show(
            f"{name}: {count:,} rows are the shop's own. They will not be taken in again; delete them at their source, "
            "or leave them to `holdfast privacy retention`."
        )


@_command("pseudonym")
def pseudonym(own_id: Customer) -> None:
    """Print what Holdfast calls a customer, for whoever asks Feast or a table for them."""
    from holdfast import wiring

    typer.echo(wiring.customer_id(own_id))


@_command("who")
def who(
    customer_id: Annotated[str, typer.Argument(metavar="PSEUDONYM", help="As a report or a table names the customer.")],
) -> None:
    """Print the shop's own id of a customer."""
    from holdfast import wiring

    wiring.prepare()
    typer.echo(wiring.own_id_of(customer_id))


@_command("rotate")
def rotate() -> None:
    """Wrap every customer's data key with the newest of HOLDFAST_VAULT_KEYS; then the older ones can be removed."""
    from holdfast import wiring

    wiring.prepare()
    terminal.show(f"{wiring.vault().rotate():,} data keys are now under the newest key; older keys open nothing.")


@_command("retention")
def retention(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would be deleted.")] = False,
) -> None:
    """Delete what the rules keep no longer (retention: …), as the DAG of this name does every night."""
    from holdfast import wiring

    wiring.prepare()
    table = Table("what", "kept for days", "would be deleted" if dry_run else "deleted", box=None)
    for one in wiring.retention(datetime.now(UTC), dry=dry_run):
        table.add_row(one["name"], f"{one['days']:,}", f"{one['count']:,}")
    terminal.show(table)
