"""The commands that the production stack's services start with, as their containers start them."""

from __future__ import annotations

import os
import signal
import smtplib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

HOLDFAST = str(Path(sys.executable).parent / "holdfast")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return dict(os.environ) | {"HOLDFAST_HOME": str(tmp_path / "home")}


def run(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([HOLDFAST, *arguments], env=environment, capture_output=True, text=True, check=False)


def test_exec_becomes_the_program_with_the_deployments_variables(environment: dict[str, str]) -> None:
    told = run(environment, "exec", "sh", "-c", 'echo "$AIRFLOW_HOME $0 --help"', "--help")
    assert told.stdout == f"{environment['HOLDFAST_HOME']}/airflow --help --help\n"
    assert run(environment, "exec", "sh", "-c", "exit 7").returncode == 7


def test_exec_leaves_alone_what_the_deployment_says_of_the_presets(environment: dict[str, str]) -> None:
    shown = ("exec", "sh", "-c", "echo $AIRFLOW__CORE__PARALLELISM $AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION")
    said = {"AIRFLOW__CORE__PARALLELISM": "16", "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True"}
    assert run({k: v for k, v in environment.items() if k not in said}, *shown).stdout == "2 False\n"
    assert run(environment | said, *shown).stdout == "16 True\n"


def test_exec_of_no_program_says_so(environment: dict[str, str]) -> None:
    told = run(environment, "exec", "no-such-program")
    assert told.returncode == 1
    assert told.stderr == "SettingsError: no-such-program cannot be run: No such file or directory\n"


def test_an_empty_variable_is_one_that_is_not_set(environment: dict[str, str]) -> None:
    """docker-compose.yml passes what the .env leaves out as empty."""
    empty = {"HOLDFAST_MLFLOW_URL": "", "HOLDFAST_RULES": ""}
    told = run(environment | empty, "exec", "sh", "-c", "echo $MLFLOW_TRACKING_URI")
    assert told.stdout.startswith("sqlite:///")


def test_init_says_which_variable_is_missing(environment: dict[str, str]) -> None:
    told = run(environment, "deploy", "init")
    assert told.returncode == 1
    assert told.stderr.startswith("SettingsError: AIRFLOW_ADMIN_USERNAME is not set")


@pytest.fixture
def mailbox(environment: dict[str, str]) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    child = subprocess.Popen([HOLDFAST, "mailbox"], env=environment | {"HOLDFAST_SMTP_PORT": str(port)})
    yield child, port
    child.kill()
    child.wait()


def test_mailbox_keeps_mail_until_it_is_told_to_stop(
    mailbox: tuple[subprocess.Popen[bytes], int], environment: dict[str, str]
) -> None:
    child, port = mailbox
    deadline = time.monotonic() + 60
    while True:
        try:
            with smtplib.SMTP("127.0.0.1", port) as client:
                client.sendmail("care@shop.example", "anna@shop.example", "Subject: kept\r\n\r\nHello")
            break
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    assert len(list((Path(environment["HOLDFAST_HOME"]) / "mail" / "new").iterdir())) == 1
    child.send_signal(signal.SIGTERM)
    assert child.wait(30) == 0
