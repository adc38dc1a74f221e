"""The `holdfast` command as a person meets it: a child process, mostly in a home where nothing has happened yet."""

from __future__ import annotations

import json
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer

from holdfast.adapters.airflow.embedded import home_lock
from holdfast.adapters.operations import database
from holdfast.adapters.operations.sealing import Keyring
from holdfast.adapters.operations.vault import SqlVault
from holdfast.adapters.sink import mail_sink
from holdfast.cli import app
from holdfast.pseudonyms import Pseudonyms
from tests.fakes.operations import operations_url
from tests.machine import new_terminal

BIN = Path(sys.executable).parent
HOLDFAST = str(BIN / "holdfast")


def commands(of: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command and group below a group, by the words that call it."""
    for name, command in getattr(of, "commands", {}).items():
        yield (*path, name), command
        yield from commands(command, (*path, name))


COMMANDS = dict(commands(typer.main.get_command(app)))


def plain(home: Path) -> dict[str, str]:
    """What a newly opened terminal would have, the home to use, and nobody to ask about models."""
    return new_terminal() | {"HOLDFAST_HOME": str(home), "HOLDFAST_APPROVAL": "auto", "COLUMNS": "100"}


def holdfast(
    home: Path, *arguments: str, variables: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    environment = plain(home) | dict(variables or {})
    return subprocess.run([HOLDFAST, *arguments], capture_output=True, text=True, env=environment, check=False)


def one_line(text: str) -> str:
    """``text`` as one line, without the frames that Typer draws."""
    return " ".join(text.replace("│", " ").split())


@pytest.mark.parametrize("group", [(), ("campaign",)], ids=["holdfast", "campaign"])
def test_the_help_names_every_command_and_touches_nothing(tmp_path: Path, group: tuple[str, ...]) -> None:
    told = holdfast(tmp_path, *group, "--help")
    assert told.returncode == 0
    for name in [path[-1] for path in COMMANDS if path[:-1] == group]:
        (line,) = [line for line in told.stdout.splitlines() if line.startswith(f"│ {name} ")]
        assert len(line.strip("│ ").split()) > 3
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_explains_itself_its_arguments_and_its_options(path: tuple[str, ...]) -> None:
    command = COMMANDS[path]
    assert not command.hidden
    assert len((command.help or "").split()) > 3
    parameters = {str(one.name): getattr(one, "help", None) or "" for one in command.params}
    assert not [name for name, told in parameters.items() if len(told.split()) < 3]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("run", "--sample", "complete-journey"), "--sample needs --cutoff, the day up to which its history is landed"),
        (("run", "--cutoff", "nonsense"), "'nonsense' is no date; write it as YYYY-MM-DD"),
        (("run", "--cutoff", "2017-02-30"), "'2017-02-30' is no date; write it as YYYY-MM-DD"),
        (("run", "--sample", "another-shop", "--cutoff", "2017-11-26"), "complete-journey"),
        (("run", "--share", "2"), "less than or equal to 1"),
        (("customer",), "Missing argument 'ID'"),
        (("horizon", "--days", "14,soon"), "'14,soon' is no list of days; write it as 14,28,60"),
        (("horizon", "--days", "0,14"), "0 is no horizon; a horizon has at least 1 day"),
        (("riport",), "No such command 'riport'"),
    ],
)
def test_what_cannot_be_understood_is_told_with_the_remedy(
    tmp_path: Path, arguments: tuple[str, ...], told: str
) -> None:
    ended = holdfast(tmp_path, *arguments)
    assert ended.returncode == 2
    assert told in one_line(ended.stderr)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("run",), "MissingDataError: no landing file in {home}/landing. Put the shop's files there"),
        (("report",), "MissingDataError: no landing file has been accepted yet. Land files and run ingest first."),
        (("report", "--cutoff", "2017-11-26"), "MissingDataError: no landing file has been accepted yet."),
    ],
)
def test_without_data_there_is_one_clear_message_and_no_traceback(
    tmp_path: Path, arguments: tuple[str, ...], told: str
) -> None:
    ended = holdfast(tmp_path, *arguments)
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr.startswith(told.format(home=tmp_path))
    assert len(ended.stderr.splitlines()) == 1


def test_a_run_that_would_have_to_ask_a_person_says_so_before_it_begins(tmp_path: Path) -> None:
    ended = holdfast(tmp_path, "run", variables={"HOLDFAST_APPROVAL": "ask"})
    assert ended.returncode == 1
    assert ended.stderr.startswith("SettingsError: `holdfast run` has no page where a person could approve a model.")
    assert "Set HOLDFAST_APPROVAL=auto" in ended.stderr


def test_two_runs_at_once_on_one_home_cannot_happen_and_the_second_lands_nothing(tmp_path: Path) -> None:
    with home_lock(tmp_path / "airflow"):
        second = holdfast(tmp_path, "run", "--sample", "complete-journey", "--cutoff", "2017-11-26")
    assert second.returncode == 1
    assert "another Holdfast process" in second.stderr
    assert "set HOLDFAST_HOME to another folder" in second.stderr
    assert "Traceback" not in second.stderr
    assert not (tmp_path / "landing").exists()


def test_a_setting_that_cannot_be_is_told_by_its_variable_and_never_reaches_an_eval(tmp_path: Path) -> None:
    ended = holdfast(tmp_path, "env", variables={"HOLDFAST_AIRFLOW_PORT": "eighty", "HOLDFAST_SMTP_PORT": "0"})
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert "HOLDFAST_AIRFLOW_PORT=eighty: Input should be a valid integer" in ended.stderr
    assert "HOLDFAST_SMTP_PORT=0: Input should be greater than or equal to 1" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_the_exports_survive_a_shell_whatever_the_home_is_called(tmp_path: Path) -> None:
    home = tmp_path / 'anna\'s home; $(touch hacked) "quoted" …'
    script = f'eval "$({shlex.quote(HOLDFAST)} env)" && {shlex.quote(sys.executable)} -c {shlex.quote(_PRINT)}'
    seen = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, env=plain(home), cwd=tmp_path, check=True
    )
    wanted = json.loads(holdfast(home, "env", "--json").stdout)
    assert wanted["HOLDFAST_HOME"] == str(home)
    assert json.loads(seen.stdout).items() >= wanted.items()
    assert not (tmp_path / "hacked").exists()


_PRINT = "import json, os; print(json.dumps(dict(os.environ)))"


@dataclass
class Applied:
    """A home that `feast apply` has been called on with the exports, and what it said."""

    home: Path
    exports: dict[str, str]
    said: str


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory, project: Path) -> Applied:
    home = tmp_path_factory.mktemp("applied")
    exports = json.loads(holdfast(home, "env", "--json").stdout)
    return Applied(home, exports, platform(home, exports, project, "feast", "--chdir", "feature_repo", "apply"))


def platform(home: Path, exports: Mapping[str, str], project: Path, program: str, *arguments: str) -> str:
    """What a platform's own command prints, called in the checkout with the exports."""
    command = [str(BIN / program), *arguments]
    variables = plain(home) | dict(exports)
    return subprocess.run(command, capture_output=True, text=True, env=variables, cwd=project, check=True).stdout


def test_feast_itself_works_with_the_exports(applied: Applied) -> None:
    assert "Created feature view customer_rhythm" in applied.said
    assert (applied.home / "feast" / "registry.db").exists()


def test_airflow_itself_works_with_the_exports(applied: Applied, project: Path) -> None:
    told = platform(applied.home, applied.exports, project, "airflow", "config", "get-value", "core", "dags_folder")
    assert told.strip() == str(project / "dags")


def test_a_customer_whom_nobody_knows_is_told_with_what_may_be_wrong(applied: Applied) -> None:
    ended = holdfast(applied.home, "customer", "nobody")
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr.startswith("MissingDataError: the online store knows no customer 'nobody': the id is misspelt")
    assert len(ended.stderr.splitlines()) == 1


def test_the_doctor_finds_well_what_answers(applied: Applied) -> None:
    keys = seal_someone(applied.home)
    with mail_sink(applied.home / "mail", "127.0.0.1", 0) as port:
        found = one_line(holdfast(applied.home, "doctor", variables=keys | {"HOLDFAST_SMTP_PORT": str(port)}).stdout)
    assert "✓ feature store the online store serves" in found
    assert "✓ vault its key opens a sealed record, and the pseudonym key leads to it" in found
    assert f"✓ mail server 127.0.0.1:{port} answers" in found


def test_the_doctor_of_an_empty_home_names_what_is_missing_and_what_to_do(tmp_path: Path) -> None:
    closed = {"HOLDFAST_SMTP_PORT": str(closed_port()), "HOLDFAST_PREFERENCES_PORT": str(closed_port())}
    ended = holdfast(tmp_path, "doctor", variables=closed)
    found = one_line(ended.stdout)
    assert ended.returncode == 1
    for told in (
        "✓ versions holdfast",
        "✓ home /",
        "✓ business rules Complete Journey",
        "✗ lake no landing file has been accepted yet. Land files and run ingest first.",
        "✗ feature store Feast knows no service customer_card_v1. Run the features DAG first.",
        "– model registry no champion yet: the train DAG promotes one",
        "✗ operations database",
        "`holdfast run` and `holdfast up` create the tables",
        "– mail server no server is configured",  # a laptop without one is not broken
        "`holdfast up` and `holdfast run --sample` open one",
        "✓ channels alert, care_desk, email",
        "is closed: `holdfast up` and `holdfast preferences serve` open it",
    ):
        assert told in found
    assert "Traceback" not in ended.stdout + ended.stderr


def test_the_doctor_tells_a_home_that_cannot_be_written_and_a_mail_server_that_does_not_answer(tmp_path: Path) -> None:
    occupied = tmp_path / "a file"
    occupied.touch()
    # 127.0.0.2 stands for a server elsewhere: the local mailbox never listens there.
    elsewhere = {"HOLDFAST_SMTP_HOST": "127.0.0.2", "HOLDFAST_SMTP_PORT": str(closed_port())}
    ended = holdfast(occupied, "doctor", variables=elsewhere)
    found = one_line(ended.stdout)
    assert ended.returncode == 1
    assert "✗ home" in found
    assert "Point HOLDFAST_HOME at a folder that can be written" in found
    assert "✗ mail server no SMTP session with 127.0.0.2" in found
    assert "Check HOLDFAST_SMTP_HOST and _PORT" in found


def test_the_doctor_tells_what_is_configured_and_cannot_work(tmp_path: Path) -> None:
    """A webhook without its secret, a preference page that nobody reaches, keys that open or sign nothing."""
    keys = seal_someone(tmp_path)
    channels = tmp_path / "channels.yaml"
    webhook = "{kind: webhook, url: 'https://sms.gateway.example/v1', secret: sms}"
    channels.write_text(f"channels:\n  sms: {webhook}\n", encoding="utf-8")
    away = {
        "HOLDFAST_CHANNELS": str(channels),
        "HOLDFAST_PUBLIC_URL": f"https://127.0.0.1:{closed_port()}",
        "HOLDFAST_SMTP_PORT": str(closed_port()),
    }
    ended = holdfast(tmp_path, "doctor", variables=away | keys | {"HOLDFAST_VAULT_KEYS": '["a later key"]'})
    found = one_line(ended.stdout)
    assert ended.returncode == 1
    assert "✗ vault the vault holds values under the key" in found
    assert "Add it, and remove it only after `holdfast privacy rotate`" in found
    assert "✗ channels channel sms signs with the secret 'sms', which HOLDFAST_WEBHOOK_SECRETS does not have" in found
    assert "✗ preference page https://127.0.0.1" in found
    assert "`holdfast preferences serve` runs" in found
    (tmp_path / "dkim.pem").write_text("no key", encoding="utf-8")
    renamed = keys | {"HOLDFAST_PSEUDONYM_KEY": "another key", "HOLDFAST_PUBLIC_URL": "http://shop.example"}
    renamed |= {"HOLDFAST_DKIM_KEY": str(tmp_path / "dkim.pem")}
    found = one_line(holdfast(tmp_path, "doctor", variables=away | renamed).stdout)
    assert "give the https:// address at which customers reach the preference page" in found
    assert "✗ mail server the DKIM key cannot sign" in found
    assert "✗ vault the pseudonym key is not the one that this lake was filled with" in found


def seal_someone(home: Path) -> dict[str, str]:
    """Put a customer into the vault of this home; returns the variables with the keys that lead to them."""
    sealed = SqlVault(database.connect(operations_url(home)), Keyring(("a vault key",)))
    sealed.identify({Pseudonyms("a pseudonym key")("ann-4711"): "ann-4711"})
    return {"HOLDFAST_VAULT_KEYS": '["a vault key"]', "HOLDFAST_PSEUDONYM_KEY": "a pseudonym key"}


def closed_port() -> int:
    """A port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        port: int = held.getsockname()[1]
        return port
