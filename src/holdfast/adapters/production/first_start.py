"""What the init service does on every start of the stack: each step leaves alone what is as it should be."""

from __future__ import annotations

import os

from holdfast.adapters.airflow.pools import create_pools
from holdfast.adapters.production import roles
from holdfast.errors import SettingsError


def prepare_airflow(username: str, password: str) -> None:
    """Bring Airflow's database up to date; pools, roles, and the first account."""
    from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder
    from airflow.utils.db import initdb

    initdb()
    create_pools()
    with get_application_builder() as builder:
        builder.sm.sync_roles()  # FAB's own: every permission exists before ours are declared from them
        roles.declare(builder.sm)
        roles.first_account(builder.sm, username, password)


def prepare_mlflow(url: str, admin: tuple[str, str], service: tuple[str, str]) -> None:
    """The account that the DAGs use, at the MLflow server ``url``, made by its admin. Each is a (name, password).

    It has no rights but over what it makes itself. Raises SettingsError when the server refuses either log-in.
    """
    from mlflow.exceptions import MlflowException
    from mlflow.server import get_app_client

    name, password = service
    os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"] = admin
    try:
        client = get_app_client("basic-auth", tracking_uri=url)
        try:
            client.get_user(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            client.create_user(name, password)
    except MlflowException as error:
        raise SettingsError(
            f"MLflow at {url} does not let {admin[0]} in ({error}). MLFLOW_ADMIN_PASSWORD counts on its first start "
            "only"
        ) from error
    finally:
        os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"] = service
