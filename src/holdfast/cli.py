"""The `holdfast` command."""

from __future__ import annotations

import functools
import json
import logging
import os
import shlex
import signal
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from holdfast import (
    audit_cli,
    backtest_cli,
    campaign_cli,
    coupons_cli,
    deploy_cli,
    effect_cli,
    horizon_cli,
    lake_cli,
    lookup_cli,
    message_cli,
    model_cli,
    outbox_cli,
    preferences_cli,
    privacy_cli,
    quarantine_cli,
    simulate_cli,
    source_cli,
    terminal,
    uplift_cli,
)
from holdfast.errors import HoldfastError, MissingDataError, SettingsError

if TYPE_CHECKING:
    from pydantic import ValidationError

    from holdfast.settings import Settings

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Finds the customers a shop is about to lose, acts within a budget, and proves what it kept.",
)


app.add_typer(campaign_cli.app, name="campaign")
app.add_typer(outbox_cli.app, name="outbox")
app.add_typer(coupons_cli.app, name="coupons")
app.add_typer(effect_cli.app, name="effect")
app.add_typer(source_cli.app, name="source")
app.add_typer(audit_cli.app, name="audit")
app.add_typer(quarantine_cli.app, name="quarantine")
app.add_typer(lake_cli.app, name="lake")
app.add_typer(model_cli.app, name="model")
app.add_typer(uplift_cli.app, name="uplift")
app.add_typer(message_cli.app, name="message")
app.add_typer(preferences_cli.app, name="preferences")
app.add_typer(deploy_cli.app, name="deploy")
app.add_typer(lookup_cli.app, name="lookup")
app.add_typer(privacy_cli.app, name="privacy")


class Sample(StrEnum):
    """Data that can be landed for a first look."""

    COMPLETE_JOURNEY = "complete-journey"


def _a_date(text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no date; write it as YYYY-MM-DD") from error


Cutoff = Annotated[
    str | None,
    typer.Option(
        parser=_a_date,
        metavar="DATE",
        help="The day that separates known from predicted. Default: the latest possible.",
    ),
]


def _told(function: Callable[..., None]) -> Callable[..., None]:
    """Ending with one clear message, not a traceback, when Holdfast itself says what is wrong."""

    @functools.wraps(function)
    def told(*args: Any, **kwargs: Any) -> None:
        from pydantic import ValidationError

        logging.captureWarnings(True)  # the platforms' deprecations are no news to the person at the keyboard
        try:
            function(*args, **kwargs)
        except HoldfastError as error:
            terminal.tell_error(error)
            raise typer.Exit(1) from error
        except ValidationError as error:  # of the settings; everything else that is validated says so itself
            terminal.tell_error(_settings_error(error))
            raise typer.Exit(1) from error

    return told


def _command(function: Callable[..., None]) -> Callable[..., None]:
    """A command by the function's own name."""
    return app.command(name=function.__name__)(_told(function))


def _settings_error(error: ValidationError) -> SettingsError:
    """Pydantic's findings, by the names of the environment variables."""
    faults = [f"HOLDFAST_{str(one['loc'][0]).upper()}={one['input']}: {one['msg']}" for one in error.errors()]
    return SettingsError("; ".join(faults) + ". Set it right, or unset it for the default.")


@_command
def run(
    cutoff: Cutoff = None,
    sample: Annotated[
        Sample | None, typer.Option(help="First land this sample's history up to the cutoff: real data of a shop.")
    ] = None,
    share: Annotated[
        float, typer.Option(min=0.001, max=1.0, help="Share of the sample's customers to land, chosen by hash.")
    ] = 1.0,
) -> None:
    """Run the whole loop once: ingest, features, train, score, intervene, measure, report.

    The DAGs run in this process, on an SQLite Airflow of their own. Messages go to the configured SMTP server; with
    --sample, to a local mailbox.
    """
    if sample is not None and cutoff is None:
        raise typer.BadParameter(
            "--sample needs --cutoff, the day up to which its history is landed: for instance --cutoff 2017-11-26"
        )
    from holdfast import wiring

    settings = wiring.prepare()
    if settings.approval == "ask":
        raise SettingsError(
            "`holdfast run` has no page where a person could approve a model. Set HOLDFAST_APPROVAL=auto, so that one "
            "that passes the gate becomes champion unasked, or use `holdfast up`."
        )
    if sample is None:
        _require_data(settings)
    from holdfast import loop
    from holdfast.adapters.airflow.embedded import EmbeddedAirflow

    with ExitStack() as opened:
        telling = opened.enter_context(terminal.Telling())
        log = settings.logs / f"run-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.log"
        telling.begin("airflow")
        airflow = opened.enter_context(EmbeddedAirflow(settings, log, telling.task))
        telling.end(f"tasks write to {log}")
        if sample is not None:
            telling.begin("land")
            landed = wiring.land_sample(date.fromisoformat(cutoff or ""), share)
            telling.end(f"{landed.files:,} new files with {landed.rows:,} rows, up to {cutoff}")
            opened.enter_context(_local_mailbox())
        stages = {}
        for stage in loop.STAGES:
            telling.begin(stage)
            stages[stage] = loop.run(airflow, stage, cutoff)
            telling.end(stages[stage].summary)
    terminal.close(loop.closing(stages, settings))


def _require_data(settings: Settings) -> None:
    """Say how to begin, where nothing has landed yet."""
    if not settings.lake.exists() and not any(path.is_file() for path in settings.landing.rglob("*")):
        raise MissingDataError(
            f"no landing file in {settings.landing}. Put the shop's files there, where its mapping looks for them, or "
            "see the loop on real data first: holdfast run --sample complete-journey --cutoff 2017-11-26"
        )


def _local_mailbox() -> ExitStack:
    """An SMTP server that keeps all mail in the local mailbox; from here on, mail goes there and nowhere else."""
    from holdfast import wiring
    from holdfast.adapters.sink import mail_sink

    here, opened = wiring.settings(), ExitStack()
    port = opened.enter_context(mail_sink(here.mailbox, here.loopback, 0))
    os.environ.update(HOLDFAST_SMTP_HOST=here.loopback, HOLDFAST_SMTP_PORT=str(port), HOLDFAST_SMTP_STARTTLS="false")
    os.environ.pop("HOLDFAST_SMTP_USER", None)
    return opened


_command(horizon_cli.horizon)
_command(backtest_cli.backtest)
_command(simulate_cli.simulate)
_command(simulate_cli.rehearse)


@_command
def customer(
    customer_id: Annotated[str, typer.Argument(metavar="ID", help="The shop's id of the customer.")],
    locale: Annotated[str | None, typer.Option(help="Tell the reasons for this locale, such as zh-CN.")] = None,
) -> None:
    """Show a customer as other services see them: score, tier, reasons, features, campaigns."""
    from holdfast import wiring
    from holdfast.language import language_of

    wiring.prepare()
    terminal.show_card(wiring.customer_card(customer_id, language_of(locale) if locale else None))


@_command
def report(cutoff: Cutoff = None) -> None:
    """Write the report of a cutoff anew and say where it is."""
    from holdfast import wiring

    wiring.prepare()
    typer.echo(wiring.reporting().write(cutoff or wiring.latest_cutoff().isoformat(), wiring.now()))


@_command
def up() -> None:
    """Start Airflow, MLflow, Feast, the look-up API, the preference page and a mailbox on loopback, until Ctrl-C."""
    from holdfast import wiring

    settings = wiring.prepare()
    from holdfast.adapters import processes, stack

    stack.require_free_ports(settings)  # before the slow part, and again before the start
    from airflow.utils.db import initdb

    from holdfast.adapters.airflow.embedded import home_lock, printing_to
    from holdfast.adapters.airflow.pools import create_pools

    # Ctrl-C, also where a shell started us in the background; a service manager; a closed terminal.
    for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(one, _interrupt)
    try:
        with ExitStack() as opened:
            opened.enter_context(home_lock(settings.airflow_home))
            terminal.say("Starting Airflow, MLflow and Feast …")
            with printing_to(settings.logs / "up.log"):
                initdb()
                create_pools()
                wiring.feature_store().apply()
            running = opened.enter_context(stack.running(settings))
            terminal.show_addresses(running.addresses)
            processes.watch(running.children)
    except KeyboardInterrupt:
        terminal.say("All stopped.")


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


@_command
def doctor() -> None:
    """Check versions, paths, and that every store can be reached; ends with code 1 if one cannot."""
    from holdfast.doctor import State, examine

    checks = examine()
    terminal.show_checks(checks)
    if any(check.state is State.BROKEN for check in checks):
        raise typer.Exit(1)


@_command
def env(as_json: Annotated[bool, typer.Option("--json", help="As JSON instead of shell exports.")] = False) -> None:
    """Print the variables for Airflow's, Feast's and MLflow's own commands: eval "$(holdfast env)"."""
    from holdfast.adapters.environment import activate, variables
    from holdfast.settings import Settings

    settings = Settings()
    activate(settings)  # the three expect their folders to be there
    needed = variables(settings)
    if as_json:
        typer.echo(json.dumps(needed, indent=2))
    else:
        typer.echo("\n".join(f"export {name}={shlex.quote(value)}" for name, value in needed.items()))


@app.command(name="exec", context_settings={"allow_extra_args": True, "allow_interspersed_args": False})
@_told
def execute(
    context: typer.Context,
    program: Annotated[str, typer.Argument(metavar="PROGRAM", help="All that follows it is the program's own.")],
) -> None:
    """Become another program, with the variables of `holdfast env`: holdfast exec airflow dags list."""
    from holdfast.adapters.environment import activate
    from holdfast.settings import Settings

    activate(Settings())
    try:
        os.execvp(program, [program, *context.args])  # noqa: S606 - what the person at the keyboard has named
    except OSError as error:
        raise SettingsError(f"{program} cannot be run: {error.strerror}") from error


@_command
def mailbox() -> None:
    """Keep all mail in the local mailbox, and send none on, until Ctrl-C: for trials of the production stack."""
    from holdfast.adapters.sink import mail_sink
    from holdfast.settings import Settings

    settings = Settings()
    signal.signal(signal.SIGTERM, _interrupt)
    with suppress(KeyboardInterrupt), mail_sink(settings.mailbox, settings.listens_on, settings.smtp_port) as port:
        terminal.say(f"Mail to {settings.listens_on}:{port} is kept in {settings.mailbox}.")
        threading.Event().wait()


@_command
def generate() -> None:
    """Write anew what is derived from declarations: the Great Expectations suites and the reference pages of docs/."""
    from holdfast import reference, wiring

    for path in [*wiring.write_suites(), *wiring.write_reference(reference.pages())]:
        typer.echo(path)
