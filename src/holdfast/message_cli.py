"""The `holdfast message` commands: messages as they will look, before anyone gets one."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.panel import Panel
from rich.text import Text

from holdfast import terminal

app = typer.Typer(no_args_is_help=True, help="Look at messages before anyone gets one.")
_command = terminal.commands_of(app)


@_command("preview")
def preview(
    template: Annotated[str, typer.Argument(help="A folder of campaigns/templates.")],
    channel: Annotated[str, typer.Option(help="The channel that carries it: email, sms, push, care_desk.")] = "email",
    customer: Annotated[
        str | None,
        typer.Option(metavar="ID", help="As this customer would get it, by the latest scores; else invented ones."),
    ] = None,
) -> None:
    """Show a template filled in, in every language, and write it as a page to open in a browser. Nothing is sent."""
    from holdfast import wiring

    wiring.prepare()
    messages = wiring.preview_messages(template, channel, customer, wiring.now())
    for heading, envelope in messages.items():
        body = f"{envelope.subject}\n\n{envelope.text}" if envelope.subject else envelope.text
        terminal.show(Panel(Text(body.rstrip()), title=heading, title_align="left"))
    terminal.show(f"As a page: {wiring.write_message_page(template, messages)}")


@_command("source")
def source(
    template: Annotated[str, typer.Argument(help="A folder of campaigns/templates.")],
    locale: Annotated[str, typer.Option(help="The invented customer's locale.")] = "en",
) -> None:
    """Print the raw source of the e-mail that an invented customer would get. Nothing is sent."""
    from holdfast import wiring

    wiring.prepare()
    typer.echo(wiring.message_source(template, locale, wiring.now()), nl=False)
