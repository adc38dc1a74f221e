"""The `holdfast preferences` commands: the public preference page and the keys of signed hooks."""

from __future__ import annotations

import typer

from holdfast import terminal

app = typer.Typer(no_args_is_help=True, help="The customers' preference page, and hooks for channels and the shop.")
_command = terminal.commands_of(app)


@_command("serve")
def serve() -> None:
    """Serve the preference page, one-click unsubscribe and the signed hooks, until Ctrl-C."""
    from holdfast import wiring

    wiring.prepare()
    wiring.serve_public()


@_command("key")
def key() -> None:
    """Print a fresh secret for signing webhooks, ours or those we are sent; it is kept nowhere."""
    from holdfast.campaign.signing import new_secret

    typer.echo(new_secret())
