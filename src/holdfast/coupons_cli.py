"""The `holdfast coupons` commands: import the shop's codes, take in redemptions, reconcile the ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from holdfast import terminal

app = typer.Typer(no_args_is_help=True, help="The coupon ledger: codes in, redemptions in, what is still owed.")
_command = terminal.commands_of(app)


@_command("import")
def import_(
    pool: Annotated[str, typer.Argument(help="The pool that campaigns name (offer.codes).")],
    file: Annotated[Path, typer.Argument(help="The shop's own codes, one a line.", exists=True, dir_okay=False)],
    by: Annotated[str, typer.Option(help="Who imports them, for the audit log.")],
) -> None:
    """Put the shop's own coupon codes into a pool. A code that is known already is left where it is."""
    from holdfast import wiring
    from holdfast.pipelines.redeem import codes_of, import_codes

    wiring.prepare()
    codes = codes_of(file.read_text(encoding="utf-8"), file.name)
    new = import_codes(wiring.operations(), pool, codes, by, wiring.now())
    terminal.say(f"{new:,} new codes in pool {pool}; {len(codes) - new:,} were known")


@_command("redeem")
def redeem(
    file: Annotated[
        Path,
        typer.Argument(
            help="CSV with redemption_id, code, redeemed_at, basket, discount and order_id.",
            exists=True,
            dir_okay=False,
        ),
    ],
) -> None:
    """Take in the redemptions of a file. The same file twice changes nothing."""
    from holdfast import wiring
    from holdfast.pipelines.redeem import counted

    wiring.prepare()
    for answer, count in counted(wiring.redeem_file(file, wiring.now())).items():
        terminal.say(f"{answer}: {count:,}")


@_command("reconcile")
def reconcile() -> None:
    """Show what became of every campaign run's coupons, and what is still owed."""
    from holdfast import wiring
    from holdfast.pipelines.redeem import reconcile as _reconcile

    wiring.prepare()
    found = _reconcile(wiring.operations(), wiring.now())
    table = Table(
        "run", "issued", "redeemed", "void", "expired", "open", "still owed", "taken off", "beyond", "untold", box=None
    )
    for one in found.balances:
        counts = (f"{count:,}" for count in (one.issued, one.redeemed, one.void, one.expired, one.open))
        money = (f"{one.liability:,.2f}", f"{one.discount:,.2f}")
        table.add_row(escape(one.campaign_id), *counts, *money, f"{one.beyond:,}", f"{one.untold:,}")
    refused = ", ".join(f"{count:,} {reason}" for reason, count in found.refused.items()) or "none"
    terminal.show(
        table if found.balances else "No coupon was issued yet.",
        f"liability {found.liability:,.2f}; redemptions refused: {refused}",
    )
