"""The `holdfast outbox` commands: send outside Airflow, look at messages, settle doubts."""

from __future__ import annotations

import time
from enum import StrEnum
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from holdfast import terminal
from holdfast.errors import TemporaryChannelError

app = typer.Typer(no_args_is_help=True, help="Send planned messages, look at them, settle those in doubt.")
_command = terminal.commands_of(app)


class Found(StrEnum):
    """What a person found at the channel."""

    DELIVERED = "delivered"
    NOT_DELIVERED = "not-delivered"


@_command("work")
def work(
    channel: Annotated[str | None, typer.Option(help="Send by this channel alone.")] = None,
    every: Annotated[
        int | None, typer.Option(min=1, metavar="SECONDS", help="Go on for ever, looking for due messages this often.")
    ] = None,
) -> None:
    """Send whatever is due, as the DAGs do; any number of workers may run beside each other and beside Airflow."""
    from holdfast import wiring

    wiring.prepare()
    if channel is not None and channel not in (known := wiring.channels()):
        raise typer.BadParameter(f"{channel!r} is no channel; there are {', '.join(sorted(known))}")
    while True:
        for name in [channel] if channel else list(wiring.channels()):
            try:
                done = wiring.send({"channel": name})
            except TemporaryChannelError as error:
                if every is None:
                    raise
                terminal.say(f"{name}: {error}")
            else:
                told = ", ".join(f"{count:,} {what}" for what, count in done.items() if count)
                if told:
                    terminal.say(f"{name}: {told}")
        if every is None:
            return
        time.sleep(every)


@_command("show")
def show(
    state: Annotated[
        str | None, typer.Option(help="planned, claimed, sent, failed, unknown or skipped; all if left out.")
    ] = None,
    run: Annotated[str | None, typer.Option(help="Of this campaign run alone.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many messages to show.")] = 20,
) -> None:
    """Show messages, with why each failed, waits, was skipped or is in doubt. It shows no address and no code."""
    from holdfast import wiring
    from holdfast.campaign.outbox import State

    if state is not None and state not in list(State):
        raise typer.BadParameter(f"{state!r} is no state; there are {', '.join(State)}")
    wiring.prepare()
    with wiring.operations().reading() as tx:
        found = tx.outbox.entries(State(state) if state else None, run, limit)
        waiting = tx.outbox.waiting()
    table = Table("reference", "run", "customer", "channel", "state", "due", "tries", "why", box=None)
    for one in found:
        due = f"{one.due_at:%Y-%m-%d %H:%M}"
        texts = (one.reference, one.campaign_id, one.customer_id, one.channel, one.state, due, str(one.attempts))
        table.add_row(*map(escape, texts), escape(one.why or ""))
    told = ", ".join(f"{count:,} by {channel}" for channel, count in waiting.items()) or "none"
    terminal.show(table if found else "No such message.", f"[dim]still planned: {told}[/]")


@_command("resolve")
def resolve(
    reference: Annotated[str, typer.Argument(help="The message's reference, as `outbox show --state unknown` tells.")],
    found: Annotated[Found, typer.Argument(help="What you found at the channel (its log, the recipient).")],
    by: Annotated[str, typer.Option(help="Who settles it, for the audit log.")],
) -> None:
    """Settle a message in doubt. One that was not delivered counts as failed, its coupon is void; it is not sent."""
    from holdfast import wiring

    wiring.prepare()
    with wiring.operations().writing() as tx:
        tx.outbox.resolve(reference, found is Found.DELIVERED, by, wiring.now())
    terminal.say(f"{reference}: {found}")
