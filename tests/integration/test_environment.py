from pathlib import Path

import pytest

from holdfast.adapters.environment import activate
from holdfast.errors import SettingsError
from holdfast.settings import Settings


def test_a_home_that_cannot_be_made_is_told_with_the_setting_to_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (
        "AIRFLOW_HOME",
        "FEAST_ONLINE_PATH",
        "FEAST_REGISTRY_URL",
        "MLFLOW_TRACKING_URI",
        "MLFLOW_REGISTRY_URI",
    ):
        monkeypatch.setenv(name, "")  # so that the session's values come back
    occupied = tmp_path / "file"
    occupied.write_text("")
    monkeypatch.setenv("HOLDFAST_HOME", str(occupied))
    with pytest.raises(SettingsError, match="HOLDFAST_HOME"):
        activate(Settings())
