"""The `holdfast lookup` commands: the look-up API and its keys."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from holdfast import terminal
from holdfast.access import Scope

app = typer.Typer(no_args_is_help=True, help="The look-up API for other services, and its keys.")
keys = typer.Typer(no_args_is_help=True, help="Keys of the look-up API.")
app.add_typer(keys, name="key")
_command = terminal.commands_of(app)
_key_command = terminal.commands_of(keys)

_By = Annotated[str, typer.Option(help="Who does it, for the audit log.", default_factory=getpass.getuser)]


@_command("serve")
def serve() -> None:
    """Serve the look-up API, until Ctrl-C."""
    from holdfast import wiring

    wiring.prepare()
    wiring.serve_lookup()


@_key_command("new")
def new(
    name: Annotated[str, typer.Argument(help="Who will use it, such as till or web-shop.")],
    by: _By,
    scope: Annotated[list[Scope], typer.Option(help="What it may read; repeat for several.")],
    *,
    rate: Annotated[float, typer.Option(min=0.01, help="Requests a second, on average.")] = 100,
    burst: Annotated[int, typer.Option(min=1, help="Requests at once.")] = 200,
    days: Annotated[int, typer.Option(min=1, max=3650, help="For how many days it is valid.")] = 365,
) -> None:
    """Make a key and print it: now, and never again. A name may have two valid keys, to change from one to the next."""
    from holdfast import wiring
    from holdfast.access import new_key

    wiring.prepare()
    now = datetime.now(UTC)
    text, key = new_key(name, scope, rate=rate, burst=burst, valid_for=timedelta(days=days), at=now)
    wiring.api_keys().add(key, by)
    typer.echo(text)
    typer.echo(
        f"id {key.id}, valid until {key.expires_at:%Y-%m-%d %H:%M} UTC, known to the API within seconds. "
        "It is shown only here: Holdfast keeps its digest alone.",
        err=True,
    )


@_key_command("list")
def list_() -> None:
    """Show every key that was made: its id, who uses it, what it may read, and until when."""
    from holdfast import wiring

    wiring.prepare()
    now = datetime.now(UTC)
    table = Table("id", "name", "scopes", "rate", "burst", "made", "until", "", box=None, pad_edge=False)
    for key in wiring.api_keys().all():
        state = "valid" if key.valid(now) else "revoked" if key.revoked_at else "expired"
        table.add_row(
            key.id,
            escape(key.name),
            ", ".join(sorted(key.scopes)),
            f"{key.rate:g}/s",
            str(key.burst),
            f"{key.created_at:%Y-%m-%d}",
            f"{key.revoked_at or key.expires_at:%Y-%m-%d}",
            state,
        )
    terminal.show(table)


@_key_command("revoke")
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="Of `holdfast lookup key list`.")], by: _By
) -> None:
    """End a key; the API refuses it within seconds."""
    from holdfast import wiring

    wiring.prepare()
    key = wiring.api_keys().revoke(key_id, by, datetime.now(UTC))
    terminal.say(f"{key.id} of {key.name} is revoked")
