"""The `holdfast effect` commands: what campaigns achieved, what one can show, and the log of decisions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from holdfast import terminal

if TYPE_CHECKING:
    from holdfast.effect.readout import Reading, Readout

app = typer.Typer(no_args_is_help=True, help="What campaigns achieved, measured against their controls.")
_command = terminal.commands_of(app)

_LEVELS = {"well": "[green]✓[/]", "warn": "[yellow]![/]", "stop": "[red]✗[/]"}


@_command("show")
def show(
    run: Annotated[str, typer.Argument(help="A run, such as win_back@2017-11-26, or an imported campaign's id.")],
    days: Annotated[
        int | None, typer.Option(min=1, help="Days of outcomes from the cutoff on. Default: the label's horizon.")
    ] = None,
) -> None:
    """Read a campaign's effect from its assignments and the orders known now; nothing is written."""
    from holdfast import wiring

    wiring.prepare()
    found = wiring.measuring().readout(run, days)
    terminal.show(f"[bold]{escape(found.claim)}.[/]")
    for reading in found.readings:
        terminal.show(_effects(reading))
    terminal.show(_groups(found), _checks(found))


@_command("power")
def power(
    *,
    campaign: Annotated[
        str | None, typer.Option(help="A file of campaigns/, without .yaml: its audience on the latest scores.")
    ] = None,
    customers: Annotated[int | None, typer.Option(min=1, help="Customers of one run, control included.")] = None,
    control: Annotated[float | None, typer.Option(help="The control's share, such as 0.1.")] = None,
    retained: Annotated[float | None, typer.Option(help="Share expected to order anyway, such as 0.5.")] = None,
    effect: Annotated[float | None, typer.Option(help="An effect to plan for, in points, such as 3.")] = None,
    every: Annotated[int, typer.Option(min=1, help="Days between two runs.")] = 7,
) -> None:
    """Before a campaign starts: the smallest effect that it can show, and how many runs and days another takes."""
    from holdfast import wiring
    from holdfast.effect.power import POWER, Design, detectable, needed, told
    from holdfast.errors import CampaignError

    own = (customers, control, retained)
    if campaign is not None and own == (None, None, None):
        wiring.prepare()
        design = wiring.campaign_design(campaign, wiring.latest_cutoff().isoformat(), wiring.now())
    elif campaign is None and customers is not None and control is not None and retained is not None:
        design = Design(customers, control, retained)
    else:
        raise CampaignError("either name a --campaign, or give --customers, --control and --retained")
    least = detectable(design.customers, design.control_share, design.retained)
    sentence = told(design.customers, design.control_share, least)
    terminal.say(f"{sentence[0].upper()}{sentence[1:]} (at 95 % confidence, found {POWER:.0%} of the time).")
    terminal.say(f"Without treatment {design.retained:.1%} are expected to order.")
    if effect is not None:
        horizon = wiring.rules().label.horizon_days
        plan = needed(effect / 100, design, days_between_runs=every, horizon_days=horizon)
        terminal.say(
            f"An effect of {effect:g} points takes {plan.customers:,} customers: {plan.runs:,} runs, one every "
            f"{every} days, and {plan.days:,} days until the last one's outcomes are known."
        )


@_command("programme")
def programme() -> None:
    """Show the effect of all campaigns together, quarter by quarter, from the global holdout."""
    from holdfast import wiring

    wiring.prepare()
    use_case = wiring.programme()
    found, unread = use_case.measure(), use_case.unread()
    for one in found:
        terminal.show(f"[bold]{one.campaign_id.partition('@')[2]}[/]  {escape(one.claim)}.", _groups(one), _checks(one))
    for quarter, why in unread.items():
        terminal.show(f"[bold]{quarter}[/]  Not read: {escape(why)}.")
    if not found:
        terminal.say(
            "No quarter can be read yet: it takes scores, and a global holdout (outreach.holdout in the rules) whose "
            "name and share stay the same for a quarter."
        )


@_command("export")
def export(
    file: Annotated[Path, typer.Argument(help="Where to write: a name ending on .csv or .parquet.", dir_okay=False)],
    run: Annotated[list[str] | None, typer.Option(help="A run; may be given several times. Default: all runs.")] = None,
) -> None:
    """Write the log of decisions: arm, probability, score, cost and, once known, outcome of every customer."""
    from holdfast import wiring

    wiring.prepare()
    terminal.say(f"{wiring.export_decisions(file, run or []):,} decisions in {file}")


def _effects(reading: Reading) -> Table:
    title = f"{reading.arm}: {reading.customers:,} customers against {reading.controls:,} in control"
    table = Table("per customer", "control", "treated", "difference", "interval", "relative", "variance cut", box=None)
    table.title, table.title_justify = escape(title), "left"
    for one in reading.effects:
        table.add_row(
            one.outcome,
            f"{one.control:.4g}",
            f"{one.treated:.4g}",
            f"{one.difference:+.3g}",
            f"{one.low:+.3g} to {one.high:+.3g}",
            "–" if one.relative is None else f"{one.relative:+.1%}",
            f"{one.variance_cut:.0%}" if one.adjusted else "–",
        )
    return table


def _groups(found: Readout) -> Table:
    table = Table("group", "customers", "sent", "retained", "revenue", "retained before", box=None)
    for one in found.groups:
        shares = (f"{one.retained:.1%}", f"{one.revenue:.2f}", f"{one.retained_before:.1%}")
        table.add_row(escape(one.arm), f"{one.customers:,}", f"{one.exposed:,}", *shares)
    return table


def _checks(found: Readout) -> Table:
    table = Table.grid(padding=(0, 2))
    for check in found.checks:
        table.add_row(_LEVELS[check.level], check.name, escape(check.text))
    return table
