"""The `holdfast deploy` commands: what the stack of docker-compose.yml needs before it starts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from holdfast import terminal
from holdfast.errors import SettingsError

app = typer.Typer(no_args_is_help=True, help="Prepare the production stack of docker-compose.yml.")
_command = terminal.commands_of(app)


@_command("secrets")
def secrets(
    file: Annotated[Path, typer.Option(help="Where to write them; Compose reads .env in its folder.")] = Path(".env"),
) -> None:
    """Write a .env with fresh secrets for every service, readable by this user alone. Overwrites nothing."""
    from holdfast.adapters.production import env_file

    env_file.write(file)
    terminal.say(f"{file} has fresh secrets. Name the mail server in it, then: docker compose up --detach")


@_command("init")
def init() -> None:
    """Bring every schema up to date; declare pools, roles and accounts. Safe to repeat; the init service does it."""
    first = _given("AIRFLOW_ADMIN_USERNAME"), _given("AIRFLOW_ADMIN_PASSWORD")
    admin = _given("MLFLOW_ADMIN_USERNAME"), _given("MLFLOW_ADMIN_PASSWORD")
    service = _given("MLFLOW_TRACKING_USERNAME"), _given("MLFLOW_TRACKING_PASSWORD")
    from holdfast import wiring

    settings = wiring.prepare()
    from holdfast.adapters.production import first_start

    first_start.prepare_airflow(*first)
    terminal.say("Airflow: schema, pools, roles and first account are in place.")
    wiring.feature_store().apply()
    terminal.say("Feast: the registry agrees with feature_repo/.")
    first_start.prepare_mlflow(settings.mlflow, admin, service)
    terminal.say("MLflow: the DAGs' account is in place.")


def _given(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise SettingsError(
            f"{name} is not set: docker-compose.yml passes it from the .env of `holdfast deploy secrets`"
        )
    return value
