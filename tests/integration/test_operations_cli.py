"""The commands for campaigns, messages, coupons and the audit log, on a real database with a real SMTP server."""

import json
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from holdfast import outbox_cli, wiring
from holdfast.adapters.lake import DeltaLake
from holdfast.adapters.operations import database
from holdfast.adapters.sink import mail_sink
from holdfast.cli import app
from tests.fakes.operations import CUTOFF, KEYRING, NOON, reachable

RUN = f"win_back@{CUTOFF}"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home with forty scored customers who may be contacted, and a mail server to send by."""
    monkeypatch.setenv("HOLDFAST_HOME", str(tmp_path))
    monkeypatch.setenv("HOLDFAST_VAULT_KEYS", json.dumps(KEYRING.keys))
    here = wiring.settings()
    database.upgrade(here.operations)
    customers = [str(i) for i in range(40)]
    reachable(database.connect(here.operations), customers)
    scores = pd.DataFrame(
        {"customer_id": customers, "cutoff": CUTOFF, "probability": 0.6, "tier": "high", "value": 50.0}
    )
    DeltaLake(here.lake).replace("scores", scores.assign(reasons="[]"), where={"cutoff": [CUTOFF]})
    with mail_sink(here.mailbox, "127.0.0.1", 0) as port:
        monkeypatch.setenv("HOLDFAST_SMTP_PORT", str(port))
        yield tmp_path


def call(*arguments: str) -> Result:
    environment = dict(os.environ)
    try:
        return CliRunner().invoke(app, list(arguments))
    finally:
        os.environ.clear()
        os.environ.update(environment)


def printed(capfd: pytest.CaptureFixture[str], *arguments: str) -> str:
    result = call(*arguments)
    shown = capfd.readouterr()
    assert result.exit_code == 0, shown.err + str(result.exception)
    return shown.out + result.output


def test_a_campaign_is_planned_sent_redeemed_and_reconciled(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    dry = printed(capfd, "campaign", "plan", "win_back", "--cutoff", CUTOFF, "--dry-run", "--first", "2")
    assert "Nothing was written." in dry
    assert "No campaign was planned yet." in printed(capfd, "campaign", "show")
    assert "arm coupon" in printed(capfd, "campaign", "plan", "win_back", "--cutoff", CUTOFF)
    [account] = wiring.campaign_accounts([RUN])
    assert f"email: {account['planned']} sent" in printed(capfd, "outbox", "work")
    assert len(list((home / "mail" / "new").iterdir())) == account["planned"]
    assert "still planned: none" in printed(capfd, "outbox", "show", "--state", "sent", "--limit", "3")
    used = home / "used.csv"
    with wiring.operations().reading() as tx:
        code = next(record.code for c in map(str, range(40)) for record in tx.history(c) if record.code)
    used.write_text(f"redemption_id,code,redeemed_at,basket,discount\n1,{code},2099-01-01T00:00:00Z,30,5\n")
    assert "expired: 1" in printed(capfd, "coupons", "redeem", str(used))
    assert f"{account['planned']}" in printed(capfd, "coupons", "reconcile")
    assert "is stopped; 0 messages" in printed(capfd, "campaign", "stop", RUN, "--by", "anna")
    assert "2 entries, an unbroken chain" in printed(capfd, "audit", "chain")


def test_a_campaign_that_is_over_is_passed_over_in_one_clear_word(
    home: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, project: Path
) -> None:
    monkeypatch.setenv("HOLDFAST_CAMPAIGNS", str(home / "campaigns"))
    shutil.copytree(project / "campaigns", home / "campaigns")
    with (home / "campaigns" / "win_back.yaml").open("a") as file:
        file.write("  last_day: 2020-02-01\n")
    for dry in ([], ["--dry-run"]):
        told = printed(capfd, "campaign", "plan", "win_back", "--cutoff", CUTOFF, *dry)
        assert "over since 2020-02-02: nobody is planned" in told
    assert "No campaign was planned yet." in printed(capfd, "campaign", "show")


def test_a_doubt_is_shown_and_settled(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    printed(capfd, "campaign", "plan", "win_back", "--cutoff", CUTOFF)
    with database.writing(database.connect(wiring.settings().operations)) as connection:
        connection.exec_driver_sql("UPDATE outbox SET state = 'unknown', detail = 'who knows' WHERE id = 1")
        reference = connection.exec_driver_sql("SELECT reference FROM outbox WHERE id = 1").scalar()
    assert "who knows" in printed(capfd, "outbox", "show", "--state", "unknown")
    printed(capfd, "outbox", "resolve", str(reference), "not-delivered", "--by", "anna")
    [account] = wiring.campaign_accounts([RUN])
    assert (account["failed"], account["unknown"], account["offers"]["void"]) == (1, 0, 1)


def test_codes_are_imported_from_a_file_and_a_broken_file_is_told_by_place(
    home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    codes = home / "codes.txt"
    codes.write_text("SPRING-1\nSPRING-2\n\n")
    assert "2 new codes in pool spring" in printed(capfd, "coupons", "import", "spring", str(codes), "--by", "anna")
    codes.write_text("SPRING-3\nSPRING 4\n")
    refused = call("coupons", "import", "spring", str(codes), "--by", "anna")
    assert (refused.exit_code, "code 2" in refused.output) == (1, True)
    used = home / "used.csv"
    used.write_text("redemption_id,code,redeemed_at,basket,discount\n1,X,2017-11-26T10:00:00,30,5\n")
    refused = call("coupons", "redeem", str(used))
    assert refused.exit_code == 1
    assert "used.csv, row 2: redeemed_at '2017-11-26T10:00:00' has no zone" in refused.output


def test_what_became_of_a_run_is_told_customer_by_customer_and_message_by_message(
    home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    printed(capfd, "campaign", "plan", "win_back", "--cutoff", CUTOFF)
    printed(capfd, "outbox", "work")
    [account] = wiring.campaign_accounts([RUN])
    sent = account["sent"]
    assert 0 < sent < account["audience"] == 40, "some are control or left out"
    told = " ".join(printed(capfd, "campaign", "show", RUN).split())
    for line in (
        f"{RUN} customers scored 40 audience 40",
        f"control {account['control']} arm coupon {account['treated']} expected cost",
        f"planned {sent} sent {sent} failed 0 unknown 0 waiting 0",
        f"coupons issued {sent}",
    ):
        assert line in told
    listed = " ".join(printed(capfd, "campaign", "show").split())
    figures = 40, account["control"], account["treated"], sent, 0, 0
    assert listed == f"run audience control treated sent waiting unknown {RUN} {' '.join(map(str, figures))}"


def test_a_run_that_was_never_planned_is_told_with_the_nearest(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    printed(capfd, "campaign", "plan", "win_back", "--cutoff", CUTOFF)
    refused = call("campaign", "show", f"winback@{CUTOFF}")
    assert refused.exit_code == 1
    assert f"campaign run 'winback@{CUTOFF}' was never planned" in refused.output
    assert RUN in refused.output


def test_a_worker_of_one_channel_sends_nothing_by_another(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    printed(capfd, "campaign", "plan", "win_back", "--cutoff", CUTOFF)
    printed(capfd, "outbox", "work", "--channel", "care_desk")
    [account] = wiring.campaign_accounts([RUN])
    assert (account["sent"], account["waiting"]) == (0, account["planned"])
    assert f"email: {account['planned']} sent" in printed(capfd, "outbox", "work", "--channel", "email")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("work", "--channel", "pigeon"), "'pigeon' is no channel; there are alert, care_desk, email"),
        (("work", "--channel", "pigeon", "--every", "1"), "'pigeon' is no channel"),
        (("show", "--state", "lost"), "'lost' is no state; there are planned, claimed, sent, failed, unknown, skipped"),
    ],
)
def test_a_word_that_is_no_channel_or_state_is_refused_with_those_there_are(
    home: Path, arguments: tuple[str, ...], told: str
) -> None:
    refused = call("outbox", *arguments)
    assert refused.exit_code == 2
    assert told in " ".join(refused.output.replace("│", " ").split())


def test_a_worker_that_goes_on_outlives_a_mail_server_that_is_down(
    home: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    printed(capfd, "campaign", "plan", "win_back", "--cutoff", CUTOFF)
    there, waits = os.environ["HOLDFAST_SMTP_PORT"], []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        monkeypatch.setenv("HOLDFAST_SMTP_PORT", there)
        if len(waits) == 2:
            raise KeyboardInterrupt

    with socket.create_server(("127.0.0.1", 0)) as nobody:
        monkeypatch.setenv("HOLDFAST_SMTP_PORT", str(nobody.getsockname()[1]))
    refused = call("outbox", "work")
    assert refused.exit_code == 1
    assert "ChannelUnavailableError" in refused.output
    monkeypatch.setattr(outbox_cli, "time", SimpleNamespace(sleep=wait))
    assert call("outbox", "work", "--every", "7").exit_code == 130, "Ctrl-C ends it"
    [account] = wiring.campaign_accounts([RUN])
    assert account["sent"] == account["planned"] > 0
    first, second = [line for line in capfd.readouterr().out.splitlines() if line.startswith("email: ")]
    assert "127.0.0.1" in first
    assert second == f"email: {account['planned']} sent"
    assert waits == [7, 7]


def test_an_audit_log_that_was_changed_outside_is_told_by_the_entry(
    home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with wiring.operations().writing() as tx:
        for who in ("anna", "bert", "carl"):
            tx.log(NOON, who, "test", RUN, {})
    assert "✓ 3 entries, an unbroken chain" in printed(capfd, "audit", "chain")
    with database.writing(database.connect(wiring.settings().operations)) as connection:
        connection.exec_driver_sql("DROP TRIGGER audit_no_update")
        connection.exec_driver_sql("UPDATE audit SET actor = 'eve' WHERE seq = 2")
    broken = call("audit", "chain")
    assert broken.exit_code == 1
    assert capfd.readouterr().out == (
        "✗ the audit log does not hold from entry 2 on: it was changed outside Holdfast\n"
    )
