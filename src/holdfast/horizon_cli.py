"""The `holdfast horizon` command: how long to wait before a silent customer counts as churned."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from holdfast import terminal

DAYS = "7,14,21,28,42,60,90,120,180"


def _horizons(text: str) -> str:
    try:
        days = [int(one) for one in text.split(",")]
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no list of days; write it as 14,28,60") from error
    if min(days) < 1:
        raise typer.BadParameter(f"{min(days)} is no horizon; a horizon has at least 1 day")
    return ",".join(map(str, sorted(set(days))))


def horizon(
    days: Annotated[
        str, typer.Option(parser=_horizons, metavar="DAYS", help="The horizons to judge, in days, with commas.")
    ] = DAYS,
) -> None:
    """Draw, for this shop, how many customers called churned come back, and recommend the shortest honest horizon."""
    from holdfast import wiring
    from holdfast.horizon import advice

    study, label = wiring.horizon_study([int(one) for one in days.split(",")]), wiring.rules().label
    table = Table("horizon", "cutoffs", "customers", "churned", "rate", "regret", "silent longer", box=None)
    for column in table.columns:
        column.justify = "right"
    for one in study.regrets:
        table.add_row(
            f"{one.horizon_days} days",
            f"{one.cutoffs}",
            f"{one.customers:,}",
            f"{one.churned:,}",
            f"{one.churn_rate:.3f}",
            f"{one.share:.3f}",
            f"{one.silent:.3f}",
        )
    terminal.show(table)
    for line in advice(study, label):
        terminal.say(line)
    terminal.say(f"Drawn in {wiring.draw_horizon(study)}")
