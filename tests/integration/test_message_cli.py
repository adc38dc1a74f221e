"""`holdfast message preview` and `holdfast preferences key`, as typed."""

from email import message_from_string, policy
from pathlib import Path

import pytest
from typer.testing import CliRunner

from holdfast.campaign.signing import key_of
from holdfast.cli import app


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOLDFAST_HOME", str(tmp_path))
    return tmp_path


def test_a_template_is_shown_in_both_languages_and_written_as_a_page(home: Path) -> None:
    result = CliRunner().invoke(app, ["message", "preview", "win_back"])
    assert result.exit_code == 0, result.output
    page = (home / "reports" / "messages" / "win_back.html").read_text(encoding="utf-8")
    for said in ("We would love to see you again", "期待您再次光临", "7KQ2-M0XD-9RTA", "Green tea"):
        assert said in page
    assert page.count("<iframe") == 4
    assert "http://127.0.0.1:8090/preferences/" in page


@pytest.mark.parametrize(
    ("arguments", "told"),
    [(["loose_template"], "template loose_template does not exist"), (["win_back", "--customer", "7"], "scores")],
)
def test_what_cannot_be_shown_is_told_in_one_message(
    home: Path, capfd: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    result = CliRunner().invoke(app, ["message", "preview", *arguments])
    assert result.exit_code == 1
    shown = capfd.readouterr()
    assert told in " ".join((shown.out + shown.err + result.output).split())


def test_a_key_is_printed_once_and_kept_nowhere(home: Path) -> None:
    result = CliRunner().invoke(app, ["preferences", "key"])
    assert len(key_of(result.output.strip())) == 32
    assert list(home.iterdir()) == []


def test_the_raw_source_is_a_mail_with_both_bodies_and_a_one_click_way_out(home: Path) -> None:
    result = CliRunner().invoke(app, ["message", "source", "win_back", "--locale", "zh"])
    mail = message_from_string(result.output, policy=policy.default)
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert "优惠码" in mail.get_body(("plain",)).get_content()
    assert "优惠码" in mail.get_body(("html",)).get_content()
