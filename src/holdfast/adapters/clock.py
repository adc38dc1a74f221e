"""The product's clock: real time, except in the home of a rehearsal, whose simulated day a file inside it tells.

No setting can move the clock of a home that holds real data: only an empty home becomes a rehearsal's, for good.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from holdfast.adapters.atomic import write_bytes
from holdfast.errors import SettingsError

FILE = "SIMULATED-rehearsal-clock.json"


def now(home: Path) -> datetime:
    """The time in UTC by which the product acts.

    In a rehearsal it flows from the moment last set, as fast as real time: waits and leases end as they should.
    """
    try:
        told = json.loads((home / FILE).read_text())
    except FileNotFoundError:
        return datetime.now(UTC)
    return datetime.fromisoformat(told["simulated"]) + (datetime.now(UTC) - datetime.fromisoformat(told["set_at"]))


def is_rehearsal(home: Path) -> bool:
    return (home / FILE).exists()


def begin_rehearsal(home: Path, at: datetime) -> None:
    """Make this home a rehearsal's. Raises SettingsError when it holds anything already."""
    if home.exists() and any(home.iterdir()):
        raise SettingsError(
            f"{home} is not empty: a rehearsal has a clock of its own and must not touch a home in "
            "use. Name a new folder."
        )
    home.mkdir(parents=True, exist_ok=True)
    _write(home, at)


def advance(home: Path, at: datetime) -> None:
    """Move a rehearsal's clock on to ``at``, unless that has passed; it never goes back.

    Raises SettingsError in any other home.
    """
    if not is_rehearsal(home):
        raise SettingsError(f"{home} is no rehearsal's home: its clock is the real one and cannot be set")
    if at > now(home):
        _write(home, at)


def _write(home: Path, at: datetime) -> None:
    told = {"simulated": at.astimezone(UTC).isoformat(), "set_at": datetime.now(UTC).isoformat()}
    write_bytes(home / FILE, json.dumps(told, indent=2).encode())
