"""The `holdfast campaign` commands: what a campaign would do, what its runs did, and the way to stop one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from holdfast import terminal

if TYPE_CHECKING:
    from holdfast.pipelines.accounting import Account
    from holdfast.pipelines.planning import Plan, Preview
    from holdfast.pipelines.rehearse_campaign import Foreseen

app = typer.Typer(no_args_is_help=True, help="Plan campaigns, see what became of them, stop one.")
_command = terminal.commands_of(app)


@_command("plan")
def plan(
    name: Annotated[str, typer.Argument(help="A file of campaigns/, without .yaml.")],
    cutoff: Annotated[
        str | None, typer.Option(metavar="DATE", help="The scores to plan on. Default: the latest possible.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and write nothing.")] = False,
    first: Annotated[int, typer.Option(min=0, help="How many customers a dry run lists.")] = 10,
) -> None:
    """Plan a campaign: who is treated how, who is control, who is skipped and why. A planned run never changes."""
    from holdfast import wiring

    wiring.prepare()
    on, now = cutoff or wiring.latest_cutoff().isoformat(), wiring.now()
    use_case, campaign = wiring.planning(), wiring.campaign(name)
    if not dry_run:
        terminal.show(_planned(use_case.plan(campaign, on, now)))
        return
    preview = use_case.preview(campaign, on, now, first)
    terminal.show(_planned(preview.plan), _listed(preview), "[dim]Nothing was written.[/]")


@_command("rehearse")
def rehearse(
    name: Annotated[str, typer.Argument(help="A file of campaigns/, without .yaml.")],
    cutoff: Annotated[
        str | None, typer.Option(metavar="DATE", help="The scores to plan on. Default: the latest possible.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="How customers are assumed to respond. Default: config/simulator.yaml.")
    ] = None,
) -> None:
    """Simulate a campaign before it starts, on a shop with the rhythm and baskets of this one. Writes nothing."""
    from holdfast import wiring

    wiring.prepare()
    found = wiring.rehearse_campaign(name, cutoff or wiring.latest_cutoff().isoformat(), config)
    table = Table("arm", "customers", "coupons used", "cost", "customers kept", title="SIMULATED", box=None)
    for one in found.arms:
        figures = (
            f"{each.value:,.0f} ({each.low:,.0f} to {each.high:,.0f})" for each in (one.redemptions, one.cost, one.kept)
        )
        table.add_row(escape(one.arm), f"{one.customers:,}", *figures)
    shown = "would" if abs(found.effect) >= found.detectable else "would probably not"
    alike = found.shop.months_alike
    terminal.show(
        table,
        *(_rests_on(one) for one in found.arms),
        f"Of {found.shop.config.name}. Rhythm, weekdays and baskets are this shop's. "
        f"{'Months are, too' if alike is None else f'Months are taken to be alike: {alike}'}. How customers waver and "
        "respond is ASSUMED (leaving and responses of the simulator's configuration), but for what finished campaigns "
        "measured, as told by arm. In brackets: where 95 of 100 such campaigns would end, if that held.",
        f"Mean probability of churn {found.risk[0]:.2f}, simulated {found.risk[1]:.2f}. The expected effect is "
        f"{100 * found.effect:+.1f} points of retention within {found.days} days; the smallest that the campaign shows "
        f"with a power of 80 % is {100 * found.detectable:.1f}: it {shown} be seen.",
    )


def _rests_on(one: Foreseen) -> str:
    """An arm's effect, and what it rests on."""
    found, known = [], one.evidence
    if known.own:
        found.append(f"{known.own} measured {'run' if known.own == 1 else 'runs'} of it")
    if known.others:
        measured = f"{known.others} other measured {'arm' if known.others == 1 else 'arms'}"
        found.append(f"the assumption × {known.scale:.2f}, after {measured}")
    return (
        f"{escape(one.arm)}: {100 * one.effect:+.1f} points of retention (assumed {100 * one.assumed:+.1f}), by "
        f"{' and '.join(found) or 'assumption alone'}."
    )


@_command("show")
def show(
    run: Annotated[str | None, typer.Argument(metavar="[RUN]", help="A run, such as win_back@2017-11-26.")] = None,
) -> None:
    """Show what became of a campaign run, or list all runs."""
    from holdfast import wiring

    wiring.prepare()
    if run is not None:
        [account] = wiring.campaign_accounts([run])
        terminal.show(_planned(account), _came_of(account))
        return
    with wiring.operations().reading() as tx:
        runs = tx.run_ids()
    table = Table("run", "audience", "control", "treated", "sent", "waiting", "unknown", box=None)
    for one in wiring.campaign_accounts(runs):
        figures = (one["audience"], one["control"], one["treated"], one["sent"], one["waiting"], one["unknown"])
        table.add_row(one["campaign_id"], *(f"{figure:,}" for figure in figures))
    terminal.show(table if runs else "No campaign was planned yet.")


@_command("stop")
def stop(
    run: Annotated[str, typer.Argument(help="A run, such as win_back@2017-11-26.")],
    by: Annotated[str, typer.Option(help="Who stops it, for the audit log.")],
) -> None:
    """Stop a campaign run: no further message of it is sent. Those already sent stay; this cannot be undone."""
    from holdfast import wiring

    wiring.prepare()
    with wiring.operations().writing() as tx:
        waiting = tx.stop(run, by, wiring.now())
    terminal.say(f"{run} is stopped; {waiting:,} messages were still planned and will be skipped.")


def _planned(plan: Plan) -> Table:
    table = Table("", "customers", title=plan["campaign_id"], title_justify="left", box=None)
    table.columns[1].justify = "right"
    table.add_row("scored", f"{plan['scored']:,}")
    table.add_row("audience", f"{plan['audience']:,}")
    for reason, count in sorted(plan["skipped"].items(), key=lambda one: -one[1]):
        table.add_row(f"  skipped: {reason}", f"{count:,}")
    table.add_row("  control", f"{plan['control']:,}")
    for arm, count in plan["arms"].items():
        table.add_row(f"  arm {escape(arm)}", f"{count:,}")
    table.add_row("expected cost", f"{plan['expected_cost']:,.2f}")
    notes = [f"chosen by {escape(plan['chosen_by'])}"] if plan["chosen_by"] else []
    if plan["passed_over"]:
        notes.insert(0, f"{plan['passed_over']}: nobody is planned outside the campaign's days")
    table.caption, table.caption_justify = "\n".join(notes) or None, "left"
    return table


def _listed(preview: Preview) -> Table:
    table = Table("customer", "tier", "probability", "value", "arm", "cost", title="the first", box=None)
    for row in preview.first.itertuples(index=False):
        figures = f"{row.probability:.3f}", f"{row.value:,.2f}", str(row.arm), f"{row.cost:,.2f}"
        table.add_row(escape(str(row.customer_id)), str(row.tier), *figures)
    table.caption = f"assumed to save {preview.expected_saved:,.2f}; coupons can take off {preview.liability:,.2f}"
    table.caption_justify = "left"
    return table


def _came_of(account: Account) -> Table:
    table = Table("messages", "", box=None)
    table.columns[1].justify = "right"
    states = {
        "planned": account["planned"],
        "  sent": account["sent"],
        "  failed": account["failed"],
        "  unknown": account["unknown"],
        "  waiting": account["waiting"],
        **{f"  skipped: {reason}": count for reason, count in account["send_skips"].items()},
        **{f"coupons {state}": count for state, count in account["offers"].items()},
    }
    for state, count in states.items():
        table.add_row(state, f"{count:,}")
    return table
