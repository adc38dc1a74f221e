"""The product's clock is the real one, except in a rehearsal's own home."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from holdfast import wiring
from holdfast.adapters import clock
from holdfast.errors import SettingsError

THEN = datetime(2024, 7, 15, 3, tzinfo=UTC)
SOON = timedelta(minutes=1)


def test_a_home_without_a_rehearsal_lives_in_real_time(tmp_path: Path) -> None:
    assert abs(clock.now(tmp_path) - datetime.now(UTC)) < SOON
    assert not clock.is_rehearsal(tmp_path)


def test_a_rehearsal_lives_on_the_simulated_day_and_time_flows_there(tmp_path: Path) -> None:
    clock.begin_rehearsal(tmp_path / "home", THEN)
    first = clock.now(tmp_path / "home")
    assert timedelta(0) <= first - THEN < SOON
    assert clock.now(tmp_path / "home") > first
    clock.advance(tmp_path / "home", THEN + timedelta(days=3))
    assert timedelta(days=3) <= clock.now(tmp_path / "home") - THEN < timedelta(days=3) + SOON


def test_a_home_in_use_cannot_become_a_rehearsals(tmp_path: Path) -> None:
    (tmp_path / "operations.db").write_bytes(b"real")
    with pytest.raises(SettingsError, match="is not empty: a rehearsal has a clock of its own"):
        clock.begin_rehearsal(tmp_path, THEN)
    with pytest.raises(SettingsError, match="its clock is the real one and cannot be set"):
        clock.advance(tmp_path, THEN)
    assert abs(clock.now(tmp_path) - datetime.now(UTC)) < SOON


def test_a_rehearsals_clock_never_goes_back(tmp_path: Path) -> None:
    clock.begin_rehearsal(tmp_path / "home", THEN)
    clock.advance(tmp_path / "home", THEN - timedelta(days=1))
    assert clock.now(tmp_path / "home") >= THEN


def test_a_rehearsals_mail_cannot_leave_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HOLDFAST_SMTP_HOST", "mail.shop.example")
    wiring.mail_channel()
    clock.begin_rehearsal(tmp_path / "home", THEN)
    with pytest.raises(SettingsError, match=r"its mail stays on this machine and cannot go to mail\.shop\.example"):
        wiring.mail_channel()


def test_a_rehearsal_calls_no_webhook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    channels = tmp_path / "channels.yaml"
    channels.write_text("channels:\n  sms: {kind: webhook, url: 'https://sms.gateway.example', secret: sms}\n")
    monkeypatch.setenv("HOLDFAST_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HOLDFAST_CHANNELS", str(channels))
    clock.begin_rehearsal(tmp_path / "home", THEN)
    with pytest.raises(SettingsError, match=r"sends by webhook \(sms\)"):
        wiring.channels()
