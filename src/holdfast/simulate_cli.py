"""The `holdfast simulate` command: landing files of a shop that does not exist, with a known truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from holdfast import terminal


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
