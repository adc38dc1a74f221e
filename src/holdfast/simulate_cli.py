"""The commands `holdfast simulate` and `holdfast rehearse`: a shop that does not exist, with a known truth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from holdfast import terminal
from holdfast.settings import Settings

if TYPE_CHECKING:
    from holdfast.rehearsal import Rehearsed


def simulate(
    *,
    out: Annotated[Path, typer.Argument(help="An empty or new folder: landing/ and truth/ are made in it.")],
    customers: Annotated[int, typer.Option(min=1, max=100_000_000, help="How many customers.")] = 1_000,
    days: Annotated[int, typer.Option(min=1, help="How many days, from the configuration's first.")] = 30,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same shop.")] = 1,
    config: Annotated[Path | None, typer.Option(help="What the shop is like. Default: config/simulator.yaml.")] = None,
    truth_days: Annotated[
        int, typer.Option(min=0, help="For how many further days to write what each treatment would do; 0: none.")
    ] = 28,
) -> None:
    """Simulate a shop's customers day by day into landing files, and their hidden truth into a folder beside them."""
    from holdfast import wiring

    done = wiring.simulate(out, config=config, customers=customers, days=days, seed=seed, truth_days=truth_days)
    terminal.say(
        f"Simulated: {done.days:,} days of {customers:,} customers, {done.files:,} landing files with {done.rows:,} "
        f"rows in {out / 'landing'}; the truth is in {out / 'truth'}."
    )


def rehearse(
    *,
    home: Annotated[Path, typer.Argument(help="A new folder: all that the rehearsal writes is below it.")],
    customers: Annotated[int, typer.Option(min=50, help="How many customers.")] = 1_500,
    history: Annotated[int, typer.Option(min=60, help="Days of history before the first campaign.")] = 182,
    campaigns: Annotated[int, typer.Option(min=1, help="How many campaigns.")] = 3,
    every: Annotated[int, typer.Option(min=1, help="Days from one campaign to the next.")] = 28,
    ingest_days: Annotated[int, typer.Option(min=1, help="How many days' files are ingested together.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same shop.")] = 1,
    config: Annotated[Path | None, typer.Option(help="What the shop is like. Default: config/simulator.yaml.")] = None,
    rules: Annotated[Path | None, typer.Option(help="Its rules. Default: config/simulated.yaml.")] = None,
    campaign: Annotated[
        Path | None, typer.Option(help="Its campaign. Default: campaigns/simulated/rehearsal.yaml.")
    ] = None,
) -> None:
    """Run the whole product on a simulated shop, day by day, and hold what it measured against the hidden truth.

    Mail goes to a local mailbox in the new folder and nowhere else.
    """
    from holdfast import rehearsal

    project = Settings().project
    script = rehearsal.Script(customers, seed, history, campaigns, every, ingest_days)
    own_rules = rules or project / "config" / "simulated.yaml"
    own_campaign = campaign or project / "campaigns" / "simulated" / "rehearsal.yaml"
    with rehearsal.prepared(home.absolute(), script, config, own_rules.absolute(), own_campaign) as shop:
        ended = rehearsal.rehearse(shop, script, terminal.say, lambda end: None)
    _show(ended)


def _show(ended: Rehearsed) -> None:
    effects = Table("campaign", "arm", "effect on", "measured", "95 % interval", "true", box=None)
    for one in ended.compared:
        interval = f"{one.low:+.3f} to {one.high:+.3f}"
        effects.add_row(one.campaign_id, one.arm, one.outcome, f"{one.measured:+.3f}", interval, f"{one.true:+.3f}")
    policies = list(dict.fromkeys(one.policy for one in ended.plans))
    plans = Table("net margin brought, in truth", "treated", *policies, box=None)
    for act in ended.acts:
        terminal.say(f"{act.campaign_id}: {act.chosen_by or f'not sent, since {act.not_sent}'}")
        if act.campaign_id in ended.claims:
            terminal.say(f"  {ended.claims[act.campaign_id]}")
        own = {one.policy: one for one in ended.plans if one.campaign_id == act.campaign_id}
        if own:
            treated = f"{own[policies[0]].treated:,.0f}"
            plans.add_row(act.campaign_id, treated, *(f"{own[policy].net:+,.0f}" for policy in policies))
    terminal.show(effects if ended.compared else "No campaign was large enough for a claim.")
    terminal.show(plans)
    terminal.say(f"Simulated from beginning to end. Drawn in {ended.picture}")
