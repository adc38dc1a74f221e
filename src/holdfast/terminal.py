"""What the `holdfast` command shows on the terminal."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console, RenderableType
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from holdfast.errors import HoldfastError

if TYPE_CHECKING:
    from holdfast.adapters.airflow.embedded import TaskEnd
    from holdfast.adapters.stack import Address
    from holdfast.doctor import Check
    from holdfast.loop import Closing
    from holdfast.pipelines.customer import CustomerCard

_CHECK_MARKS = {"well": "[green]✓[/]", "absent": "[yellow]–[/]", "broken": "[red]✗[/]"}
_TIER_STYLES = {"high": "bold red", "medium": "yellow", "low": "green"}


def _console() -> Console:
    """A console on a copy of standard output, so that it still shows while the tasks' own output goes to a log."""
    return Console(file=os.fdopen(os.dup(1), "w"), highlight=False, soft_wrap=True)


def say(text: str) -> None:
    _console().print(escape(text))


def show(*parts: RenderableType) -> None:
    """Print texts (with Rich's markup) and tables, one below the other."""
    console = _console()
    for part in parts:
        console.print(part)


def tell_error(error: HoldfastError) -> None:
    """On standard error: what a command prints may be piped on."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(
        f"[bold red]{type(error).__name__}[/]: {escape(str(error))}"
    )


def commands_of(app: typer.Typer) -> Callable[[str], Callable[[Callable[..., None]], Callable[..., None]]]:
    """A decorator for commands of ``app`` that end with one clear message, not a traceback, on a HoldfastError."""

    def named(name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
        def command(function: Callable[..., None]) -> Callable[..., None]:
            @app.command(name=name)
            @functools.wraps(function)
            def told(*args: Any, **kwargs: Any) -> None:
                try:
                    function(*args, **kwargs)
                except HoldfastError as error:
                    tell_error(error)
                    raise typer.Exit(1) from error

            return told

        return command

    return named


class Telling:
    """Progress of a run: a line for each finished task and stage, with rows and seconds, and a clock between them."""

    def __init__(self) -> None:
        self._console = _console()
        self._started = self._stage_started = time.monotonic()
        self._clock = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._current = self._clock.add_task("", total=None)

    def __enter__(self) -> Telling:
        self._clock.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._clock.stop()

    def begin(self, stage: str) -> None:
        """A stage has begun."""
        self._stage_started = time.monotonic()
        self._clock.update(self._current, description=stage)
        self._console.print(f"[bold]{stage}[/]")

    def task(self, end: TaskEnd) -> None:
        """A task of the stage has ended."""
        mark = {"success": "[green]✓[/]", "skipped": "[dim]–[/]"}.get(end.state, "[red]✗[/]")
        name = end.task if end.index is None else f"{end.task} {end.index + 1}"
        self._console.print(f"  {mark} {name:<24}{_size(end.value):>20}{end.seconds:9.1f} s")

    def end(self, summary: str) -> None:
        """The stage has ended."""
        now = time.monotonic()
        took = f"[dim]({now - self._stage_started:.1f} s, {now - self._started:.0f} s since the start)[/]"
        self._console.print(f"  {escape(summary)} {took}")


def _size(value: object) -> str:
    """How much a task has dealt with, where its result says so."""
    if isinstance(value, Mapping):
        for unit in ("rows", "accepted", "customers", "sent"):
            if unit in value:
                return f"{value[unit]:,} {unit}"
    return ""


def close(closing: Closing) -> None:
    """The closing summary of a run: the model table, and where to look."""
    console = _console()
    table = Table("candidate", *closing.figures, box=None, pad_edge=False, title=closing.title, title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    for name, values in closing.models.items():
        table.add_row(name, *values)
    console.print()
    console.print(table)
    console.print()
    places = Table.grid(padding=(0, 2))
    for what, where in closing.places.items():
        places.add_row(f"[bold]{what}[/]", escape(where))
    console.print(places)


def show_card(card: CustomerCard) -> None:
    """One customer: score and reasons, features by family, campaigns."""
    console = _console()
    if card.tier is None:
        console.print(f"[bold]{escape(card.customer_id)}[/]  not scored: not active at the latest cutoff")
    else:
        style = _TIER_STYLES.get(card.tier, "bold")
        console.print(
            f"[bold]{escape(card.customer_id)}[/]  [{style}]{card.tier}[/] risk, probability {card.probability:.3f} "
            f"(model version {card.model_version})"
        )
    if card.persona is not None:
        console.print(f"  {escape(card.persona)}")
    for reason in card.reasons:
        console.print(f"  • {escape(reason)}")
    for family, values in card.features.items():
        table = Table(family, "", box=None, pad_edge=False)
        table.columns[1].justify = "right"
        for name, value in values.items():
            table.add_row(f"  {name}", "–" if value is None else f"{value:,.4g}")
        console.print(table)
    campaigns = Table("campaign", "arm", "coupon", "message", "why", box=None, pad_edge=False)
    for one in card.campaigns:
        coupon = f"{one.code}, until {one.valid_until:%Y-%m-%d}" if one.code and one.valid_until else "–"
        why = one.detail or one.skipped or "–"
        campaigns.add_row(one.campaign_id, one.arm or "skipped", coupon, one.message or "–", escape(why))
    console.print(campaigns if card.campaigns else "no campaign has met this customer")


def show_checks(checks: Sequence[Check]) -> None:
    """The doctor's findings, a line each."""
    table = Table.grid(padding=(0, 2))
    for check in checks:
        table.add_row(_CHECK_MARKS[check.state], f"[bold]{check.what}[/]", escape(check.found))
    _console().print(table)


def show_addresses(addresses: Sequence[Address]) -> None:
    """The running services, and how to stop them."""
    console = _console()
    table = Table.grid(padding=(0, 2))
    for address in addresses:
        table.add_row(f"[bold]{address.name}[/]", address.url, escape(address.note))
    console.print(table)
    console.print("Ctrl-C stops all of them.")
