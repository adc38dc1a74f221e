"""The services of docker-compose.yml as processes of this machine.

Docker Compose's own reader gives the file's model, with variables filled in. What is left to do is what an engine does:
names of services become addresses on loopback, volumes become folders, configs become files, and the images of
PostgreSQL and Redis become the system's programs. Commands, environment, health checks and order stay the file's own.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg

from holdfast.adapters.processes import Child, Service, Supervised, supervised
from tests.fakes.postgres_server import binaries, server_user

START = 600
"""Seconds until a service counts as never starting, on a machine however busy."""
BIN = Path(sys.executable).parent
PROJECT = "/opt/holdfast"
"""The checkout's place in our image."""

Model = Mapping[str, Any]
"""What ``docker compose config --format json`` says."""


def model(project: Path, env_file: Path, **instead: str) -> Model:
    """The file as Docker Compose reads it; ``instead`` are variables that go before those of ``env_file``."""
    command = [BIN / "docker-compose", "-f", project / "docker-compose.yml", "--env-file", env_file]
    told = subprocess.run(
        [*command, "--profile", "*", "config", "--format", "json"],
        env={"PATH": os.environ["PATH"], **instead},
        capture_output=True,
        text=True,
        check=False,
    )
    if told.returncode:
        raise ValueError(told.stderr)
    read: Model = json.loads(told.stdout.replace("$$", "$"))
    return read


@dataclass(frozen=True)
class Place:
    """Where on this machine a stack lives: its folder, its checkout, and a port for each (service, port)."""

    home: Path
    project: Path
    ports: Mapping[tuple[str, int], int]

    def url(self, service: str, port: int, path: str = "") -> str:
        return f"http://127.0.0.1:{self.ports[service, port]}{path}"


def place(of: Model, home: Path, project: Path) -> Place:
    """A place with free ports."""
    wanted = [(name, int(port)) for name, one in of["services"].items() for port in one.get("expose", [])]
    with ExitStack() as held:
        sockets = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in wanted]
        return Place(home, project, {want: one.getsockname()[1] for want, one in zip(wanted, sockets, strict=True)})


def services(of: Model, at: Place) -> list[Service]:
    """Every service of the model, a service with replicas as often as it has them."""
    made = []
    for name, one in of["services"].items():
        replicas = one.get("deploy", {}).get("replicas", 1)
        for number in range(1, replicas + 1):
            made.append(_service(of, at, name, f"{name}-{number}" if replicas > 1 else name))
    return made


def _service(of: Model, at: Place, name: str, hostname: str) -> Service:
    one = of["services"][name]
    here = partial(_here, of, at, name)
    for config in one.get("configs", []):
        file = Path(here(config["target"]))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(here(of["configs"][config["source"]]["content"]))
        file.chmod(0o600)
    for volume in one.get("volumes", []):
        if volume["type"] == "volume":
            Path(here(volume["target"])).mkdir(parents=True, exist_ok=True)
    enter = (str(BIN / "holdfast"), "exec") if "build" in one else ()
    kind, *test = one.get("healthcheck", {}).get("test", ["CMD", "true"])
    checked = ("sh", "-c", *test) if kind == "CMD-SHELL" else tuple(test)
    environment = {variable: here(value) for variable, value in one.get("environment", {}).items()}
    return Service(
        name=hostname,
        command=(*enter, *(here(part) for part in one["command"])),
        health=(*enter, *(here(part) for part in checked)),
        environment=environment | {"HOSTNAME": hostname, "HOLDFAST_PROJECT": str(at.project)},
    )


def _here(of: Model, at: Place, name: str, text: str) -> str:
    """What the text means outside a container."""
    for volume in of["services"][name].get("volumes", []):
        if volume["type"] == "volume":
            text = text.replace(volume["target"], str(at.home / volume["source"]))
    text = text.replace(PROJECT, str(at.project)).replace("/etc/holdfast", str(at.home / "etc" / name))
    for (service, port), local in at.ports.items():
        text = re.sub(rf"\b{service}:{port}\b", f"127.0.0.1:{local}", text)
        if service == name:
            text = re.sub(rf"(?<![\w-]){port}\b", str(local), text)
    return text.replace("0.0.0.0", "127.0.0.1")  # noqa: S104 - the opposite: nothing listens beyond this machine


def environment() -> dict[str, str]:
    """What a container would find of this machine: its programs."""
    programs = [str(BIN), *([str(found)] if (found := binaries()) else []), os.environ["PATH"]]
    return {"PATH": os.pathsep.join(programs), "HOME": os.environ["HOME"], "LANG": "C.UTF-8"}


@contextmanager
def running(of: Model, at: Place) -> Iterator[Supervised]:
    """Start every service in the order that the file's dependencies ask for, and stop all of them at the end."""
    known = {one.name: one for one in services(of, at)}
    with (
        TemporaryDirectory(prefix="holdfast-pg-") as data,  # PostgreSQL's user must be able to enter it
        supervised(at.home / "logs", environment()) as stack,
    ):
        postgres = _postgres(known.pop("postgres"), Path(data), at)
        stack.await_healthy(stack.start(postgres), START)
        _databases(postgres, at)
        for names in (["redis"], ["mlflow"]):
            stack.await_healthy(stack.start(*(known.pop(name) for name in names)), START)
        stack.run(known.pop("init"))
        stack.await_healthy(stack.start(*known.values()), START)
        yield stack


def child(stack: Supervised, name: str) -> Child:
    return next(one for one in stack.children if one.service.name == name)


def _postgres(service: Service, data: Path, at: Place) -> Service:
    """What the image's entry point does before it starts the server, and where this machine's server shall be."""
    password = data / "password"
    password.write_text(service.environment["POSTGRES_PASSWORD"])
    user = server_user()
    if user is not None:
        for path in (data, password):
            shutil.chown(path, user)
    found = binaries()
    assert found is not None
    initdb: Sequence[str | Path] = (
        *(found / "initdb", "--pgdata", data / "data", "--username=postgres", "--no-sync", "--encoding=UTF8"),
        *(f"--pwfile={password}", "--auth-local=scram-sha-256"),
        *service.environment["POSTGRES_INITDB_ARGS"].split(),
    )
    subprocess.run(initdb, check=True, capture_output=True, user=user, cwd=data)
    flags = {
        "listen_addresses": "127.0.0.1",
        "port": str(at.ports["postgres", 5432]),
        "unix_socket_directories": str(data),
    }
    return Service(
        name=service.name,
        command=(*service.command, "-D", str(data / "data"), *(f"--{name}={value}" for name, value in flags.items())),
        health=service.health,
        environment=service.environment,
        user=user,
    )


def _databases(postgres: Service, at: Place) -> None:
    """The image runs the script on its first start."""
    subprocess.run(
        [at.project / "deploy" / "databases.sh"],
        check=True,
        env=environment()
        | dict(postgres.environment)
        | {"PGHOST": "127.0.0.1", "PGPORT": str(at.ports["postgres", 5432])}
        | {"PGPASSWORD": postgres.environment["POSTGRES_PASSWORD"]},
    )


def database(of: Model, at: Place, role: str, name: str | None = None) -> psycopg.Connection[Any]:
    """A connection to a role's own database, or to another one of this name."""
    password = of["services"]["postgres"]["environment"][f"{role.upper()}_DATABASE_PASSWORD"]
    server = {"host": "127.0.0.1", "port": at.ports["postgres", 5432]}
    return psycopg.connect(**server, user=role, password=password, dbname=name or role, autocommit=True)
