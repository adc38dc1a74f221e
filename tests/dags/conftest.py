"""The whole loop, run once a session on a slice of the real data: what the tests of this folder look at."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from typer.testing import CliRunner

from holdfast import wiring
from holdfast.adapters.sink import mail_sink
from holdfast.cli import app
from holdfast.settings import Settings
from tests.fakes import canary

if TYPE_CHECKING:
    from holdfast.adapters.airflow.embedded import DagEnd, EmbeddedAirflow
    from holdfast.loop import Stage

CUTOFF = "2017-11-26"
SHARE = 0.12
"""Of the sample's households: about 300."""
LIKE = "2210"
"""A household whose every deed the canary does too: at risk at the cutoff, and written to."""


@dataclass(frozen=True)
class Loop:
    """A home through which the loop has gone once, and the embedded Airflow to run more DAGs on it."""

    settings: Settings
    airflow: "EmbeddedAirflow"
    stages: "dict[str, Stage]"


def run(loop: Loop, dag: str) -> "DagEnd":
    """Run a DAG once more for the cutoff; it must succeed."""
    return loop.airflow.run(dag, {} if dag == "ingest" else {"cutoff": CUTOFF}).raise_on_failure()


def told_by(capfd: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    """What a command that ends with this code prints, as one line."""
    ended = CliRunner().invoke(app, list(arguments))
    shown = capfd.readouterr()
    told = " ".join((ended.output + shown.out + shown.err).split())
    assert ended.exit_code == code, told
    return told


@pytest.fixture(scope="session")
def mail_port(settings: Settings) -> Iterator[int]:
    """A local SMTP server that keeps every message in the session's mailbox."""
    with mail_sink(settings.mailbox, settings.loopback, 0) as port:
        os.environ["HOLDFAST_SMTP_PORT"] = str(port)
        yield port


@pytest.fixture(scope="session")
def loop(mail_port: int) -> Iterator[Loop]:
    """Land the slice, with a canary among its customers, and run every stage.

    The sample's contacts are e-mail addresses alone; the canary's other details go straight to the vault.
    """
    settings = wiring.prepare()
    wiring.land_sample(date.fromisoformat(CUTOFF), SHARE)
    canary.plant(settings.landing, LIKE)
    from holdfast import loop
    from holdfast.adapters.airflow.embedded import EmbeddedAirflow

    with ExitStack() as opened:
        airflow = opened.enter_context(EmbeddedAirflow(settings, settings.logs / "tests.log", lambda end: None))
        stages = {}
        for stage in loop.STAGES:
            stages[stage] = loop.run(airflow, stage, CUTOFF)
            if stage == "ingest":
                details = {"customer_id": wiring.customer_id(canary.OWN_ID), "batch": "canary", **canary.DETAILS}
                wiring.vault().append("contacts", pd.DataFrame([details]), ["canary"])
        yield Loop(settings, airflow, stages)
