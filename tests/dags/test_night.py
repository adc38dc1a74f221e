"""What runs by the clock alone: the nightly deletion of what is too old, and the morning's digest."""

import email
import email.policy
import mailbox
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from holdfast import wiring
from tests.dags.conftest import CUTOFF, Loop, run, told_by


@pytest.fixture
def kept(loop: Loop) -> Iterator[dict[str, Path]]:
    """A log of ours, a log of Airflow's and an export, each once a day too old and once a day too young to go."""
    here, now = loop.settings, wiring.now()
    days = wiring.rules().retention
    folders = {"ours": (here.logs, days.logs), "tasks": (here.airflow_home / "logs", days.logs)}
    folders["export"] = (here.exports / "someone", days.exports)
    files = {}
    for name, (folder, period) in folders.items():
        folder.mkdir(parents=True, exist_ok=True)
        for age, shift in (("old", 1), ("young", -1)):
            file = files[f"{name} {age}"] = folder / f"test_night {age}.log"
            file.write_text("x")
            written = (now - timedelta(days=period + shift)).timestamp()
            os.utime(file, (written, written))
    yield files
    for file in files.values():
        file.unlink(missing_ok=True)


def test_the_night_deletes_what_a_dry_run_has_counted_and_nothing_younger(
    loop: Loop, kept: dict[str, Path], capfd: pytest.CaptureFixture[str]
) -> None:
    told = told_by(capfd, "privacy", "retention", "--dry-run")
    assert "would be deleted" in told
    assert "logs 90 2" in told
    assert "exports 30 1" in told
    assert all(file.exists() for file in kept.values())
    deleted = {one["name"]: one["count"] for one in run(loop, "retention").value("delete")}
    assert deleted == {"quarantine": 0, "messages": 0, "work": 0, "logs": 2, "exports": 1}
    assert {name for name, file in kept.items() if file.exists()} == {"ours young", "tasks young", "export young"}


def test_the_morning_tells_who_is_on_call_by_one_mail(loop: Loop) -> None:
    folder = mailbox.Maildir(loop.settings.mailbox)
    before = set(folder.keys())
    subject = run(loop, "alert").value("digest")
    [key] = set(folder.keys()) - before
    received = email.message_from_bytes(folder.get_bytes(key), policy=email.policy.default)
    folder.remove(key)  # other tests count the mail to customers
    assert (received["To"], received["Subject"]) == ("on-call@shop.example", subject)
    assert subject.startswith(f"Complete Journey, {CUTOFF}: ")
    [account] = loop.stages["intervene"].end.value("account")
    assert f"win_back@{CUTOFF}: {account['sent']} sent" in received.get_body(("plain",)).get_content()
