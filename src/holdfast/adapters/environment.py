"""The environment variables that Airflow, Feast and MLflow read, derived from one ``Settings``."""

from __future__ import annotations

import os
from collections.abc import Mapping

from holdfast.adapters.online.configured import feast_config
from holdfast.errors import SettingsError
from holdfast.settings import Settings

_PRESETS = {
    "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
    "AIRFLOW__CORE__PARALLELISM": "2",
}
"""What a checkout on one machine wants; a deployment may say otherwise in its environment."""


def variables(settings: Settings) -> dict[str, str]:
    """Every variable a process of this deployment needs; ``holdfast env`` prints them as shell exports."""
    return {
        **{name: os.environ.get(name, value) for name, value in _PRESETS.items()},
        "HOLDFAST_PROJECT": str(settings.project),
        "HOLDFAST_HOME": str(settings.home),
        "FEAST_REGISTRY_URL": settings.feast_registry,
        "FEAST_ONLINE_STORE": feast_config(settings.feast_online),
        "FEAST_USAGE": "False",
        "AIRFLOW_HOME": str(settings.airflow_home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(settings.project / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(settings.project / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "MLFLOW_TRACKING_URI": settings.mlflow,
        "MLFLOW_REGISTRY_URI": settings.mlflow,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_LOGGING_LEVEL": "WARNING",
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "GX_ANALYTICS_ENABLED": "false",
        "OMP_NUM_THREADS": "1",  # two libraries' thread pools on two cores are slower than one thread each
    }


def activate(settings: Settings) -> None:
    """Set the variables in this process, before Airflow, Feast or MLflow is imported, and make the folders.

    Raises SettingsError when the home cannot be written.
    """
    os.environ.update(variables(settings))
    try:
        for folder in (settings.home, settings.airflow_home, settings.feast_offline, settings.mlflow_artifacts):
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(
            f"{error.filename} cannot be made ({error.strerror}). Point HOLDFAST_HOME at a folder that can be written."
        ) from error


def for_child(settings: Settings, extra: Mapping[str, str]) -> dict[str, str]:
    """This process's environment with the variables and ``extra`` on top, for a child process."""
    return {**os.environ, **variables(settings), **extra}
