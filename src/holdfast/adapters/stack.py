"""The services behind `holdfast up` as child processes, and a mailbox, all on loopback."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import socket
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from holdfast.adapters.atomic import write_bytes
from holdfast.adapters.environment import for_child
from holdfast.adapters.processes import Child, Service, supervised
from holdfast.adapters.sink import mail_sink
from holdfast.errors import SettingsError
from holdfast.settings import Settings


@dataclass(frozen=True)
class Address:
    """A running service for the person at the keyboard."""

    name: str
    url: str
    note: str


@dataclass(frozen=True)
class Running:
    """The stack once every service answers."""

    addresses: Sequence[Address]
    children: Sequence[Child]


def _program(name: str) -> str:
    return str(Path(sys.executable).parent / name)


def services(settings: Settings) -> list[Service]:
    """What runs, in starting order."""
    host = settings.loopback
    airflow, mlflow, feast = _program("airflow"), _program("mlflow"), _program("feast")

    def at(port: int, path: str) -> str:
        return f"http://{host}:{port}{path}"

    airflow_health = at(settings.airflow_port, "/api/v2/monitor/health")
    return [
        Service(
            "airflow-api-server",
            (airflow, "api-server", "--host", host, "--port", str(settings.airflow_port), "--workers", "1"),
            airflow_health,
            port=settings.airflow_port,
        ),
        Service("airflow-scheduler", (airflow, "scheduler", "--skip-serve-logs"), airflow_health, part="scheduler"),
        Service("airflow-dag-processor", (airflow, "dag-processor"), airflow_health, part="dag_processor"),
        Service("airflow-triggerer", (airflow, "triggerer", "--skip-serve-logs"), airflow_health, part="triggerer"),
        Service(
            "mlflow",
            (
                *(mlflow, "server", "--host", host, "--port", str(settings.mlflow_port), "--workers", "1"),
                *("--backend-store-uri", settings.mlflow),
                *("--artifacts-destination", str(settings.mlflow_artifacts)),
            ),
            at(settings.mlflow_port, "/health"),
            port=settings.mlflow_port,
        ),
        Service(
            "feast",
            (
                *(feast, "--chdir", str(settings.feast_repo), "serve"),
                *("--host", host, "--port", str(settings.feast_port), "--no-access-log"),
            ),
            at(settings.feast_port, "/health"),
            port=settings.feast_port,
        ),
        Service(
            "preferences",
            (_program("holdfast"), "preferences", "serve"),
            at(settings.preferences_port, "/health"),
            port=settings.preferences_port,
        ),
        Service(
            "lookup",
            (_program("holdfast"), "lookup", "serve"),
            at(settings.lookup_port, "/healthz"),
            port=settings.lookup_port,
        ),
    ]


def _airflow_variables(settings: Settings) -> dict[str, str]:
    url = f"http://{settings.loopback}:{settings.airflow_port}"
    return {
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(_passwords(settings)),
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_urlsafe(64),
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "30",
    }


def _passwords(settings: Settings) -> Path:
    return settings.airflow_home / "passwords.json"


def _admin_password(settings: Settings) -> str:
    """The Airflow log-in's password, made on first use and kept in a file only this user can read."""
    path = _passwords(settings)
    if not path.exists():
        previous = os.umask(0o077)
        try:
            write_bytes(path, json.dumps({"admin": secrets.token_urlsafe(12)}).encode())
        finally:
            os.umask(previous)
    password: str = json.loads(path.read_text())["admin"]
    return password


def require_free_ports(settings: Settings) -> None:
    """Raise SettingsError for the first port we need that something else listens on."""
    for service in services(settings):
        if service.port is not None:
            _require_free(settings.loopback, service.port, service.name)
    if mail_stays_here(settings):
        _require_free(settings.loopback, settings.smtp_port, "smtp mailbox")


def mail_stays_here(settings: Settings) -> bool:
    """Whether the mail server that the settings name is the local mailbox, which runs only while the stack does."""
    return settings.smtp_host in (settings.loopback, "localhost")


@contextlib.contextmanager
def running(settings: Settings) -> Iterator[Running]:
    """Start every service, wait until each answers, and stop all of them on the way out, whatever happened.

    The mailbox is opened unless the settings name a mail server elsewhere. Raises SettingsError when a port is taken,
    HoldfastError when a service does not come up.
    """
    require_free_ports(settings)
    password = _admin_password(settings)
    environment = for_child(settings, _airflow_variables(settings))
    mailbox = mail_sink(settings.mailbox, settings.loopback, settings.smtp_port)
    with (
        mailbox if mail_stays_here(settings) else contextlib.nullcontext(),
        supervised(settings.logs, environment) as stack,
    ):
        children = stack.start(*services(settings))
        stack.await_healthy(children)
        yield Running(_addresses(settings, password), children)


def _addresses(settings: Settings, password: str) -> list[Address]:
    def url(port: int) -> str:
        return f"http://{settings.loopback}:{port}"

    return [
        Address("Airflow", url(settings.airflow_port), f"log in as admin, password {password}"),
        Address("MLflow", url(settings.mlflow_port), "no log-in; loopback only"),
        Address("Feast", url(settings.feast_port), "POST /get-online-features; loopback only"),
        Address("Preferences", url(settings.preferences_port), "unsubscribe links of messages lead there"),
        Address("Look-up", settings.lookup_url, "GET /v1/customers/ID; `holdfast lookup key new` makes a key"),
        Address(
            "Mail",
            f"smtp://{settings.smtp_host}:{settings.smtp_port}",
            f"a local mailbox, kept in {settings.mailbox}"
            if mail_stays_here(settings)
            else "the configured server: campaigns reach real people",
        ),
    ]


def _require_free(host: str, port: int, name: str) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            variable = f"HOLDFAST_{re.split('[- ]', name)[0].upper()}_PORT"
            raise SettingsError(
                f"{name} cannot listen on {host}:{port}: {error.strerror}. "
                f"Stop what listens there, or set {variable} to a free port."
            ) from error
