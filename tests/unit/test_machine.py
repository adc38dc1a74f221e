"""A program that the machine lacks skips its tests on a newcomer's machine, and fails them in CI."""

from pathlib import Path

import pytest

from tests.machine import REQUIRE_ALL, lacking, new_terminal


def test_what_is_lacking_skips_and_fails_where_all_is_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(REQUIRE_ALL, raising=False)
    with pytest.raises(pytest.skip.Exception, match="no chromium"):
        lacking("no chromium")
    monkeypatch.setenv(REQUIRE_ALL, "1")
    with pytest.raises(pytest.fail.Exception, match="no chromium"):
        lacking("no chromium")


def test_ci_requires_all(project: Path) -> None:
    said = (project / ".ci" / "run").read_text()
    assert said.index(f"export {REQUIRE_ALL}=1") < said.index("make test")


def test_a_new_terminal_knows_of_no_home_and_keeps_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOLDFAST_HOME", "AIRFLOW_HOME", "MLFLOW_TRACKING_URI", "FEAST_USAGE", "GX_ANALYTICS_ENABLED", "TZ"):
        monkeypatch.setenv(name, "UTC")
    known = new_terminal()
    assert known["TZ"] == "UTC"
    assert not [name for name in known if name.startswith(("HOLDFAST", "AIRFLOW", "MLFLOW", "FEAST", "GX"))]
