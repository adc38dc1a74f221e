"""A person approves a model in Airflow's own pages, on a stack started as a person starts it."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from holdfast.adapters import processes
from tests.browser.chromium import chromium
from tests.dags.conftest import Loop
from tests.integration.running_stack import Up, answer, api, free_ports, log_in_as_admin, start, until

COPIED = ("lake", "feast", "features", "operations.db", "secrets")


@pytest.fixture
def up(loop: Loop, tmp_path: Path) -> Iterator[Up]:
    """A stack on the loop's data and features, with no model yet."""
    home = tmp_path / "home"
    home.mkdir()
    for name in COPIED:
        source = loop.settings.home / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, home / name)
    (home / "secrets" / "pseudonyms").write_text(os.environ["HOLDFAST_PSEUDONYM_KEY"])  # no variable of ours goes along
    up = start(home, free_ports())
    yield up
    up.process.send_signal(signal.SIGTERM)
    up.process.wait(processes.STOP_SECONDS + 20)


def first_run(up: Up, token: str) -> str | None:
    """The id of the run that is due as soon as the DAG is known."""
    status, text, _ = answer(up.url("AIRFLOW", "/api/v2/dags/train/dagRuns"), {"Authorization": f"Bearer {token}"})
    runs = json.loads(text)["dag_runs"] if status == 200 else []
    return runs[0]["dag_run_id"] if runs else None


def test_a_model_that_passes_the_gate_waits_for_a_person_and_is_champion_once_approved(up: Up) -> None:
    token = log_in_as_admin(up)
    run = until(lambda: first_run(up, token), 60, "the scheduled run of train")

    def state(task: str) -> Any:
        tasks = api(up, token, f"/dags/train/dagRuns/{quote(run)}/taskInstances")["task_instances"]
        return next((one["state"] for one in tasks if one["task_id"] == task), None)

    until(lambda: state("approve") in ("awaiting_input", "failed", "upstream_failed", "skipped"), 240, "the question")
    assert state("approve") == "awaiting_input"
    # An answer that comes before the scheduler has seen the task's process end is lost, and asked for again.
    scheduler = up.home / "logs" / "airflow-scheduler.log"
    until(lambda: "TaskInstance Finished: dag_id=train, task_id=approve" in scheduler.read_text(), 60, "its process")
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        page.goto(up.url("AIRFLOW", "/"))
        page.fill("input[name=username]", "admin")
        page.fill("input[name=password]", up.password)
        page.click("button[type=submit]")
        page.get_by_role("link", name="Retention").wait_for()
        page.goto(up.url("AIRFLOW", f"/dags/train/runs/{quote(run)}/tasks/approve/required_actions"))
        page.get_by_text("passes the gate, as the first champion").wait_for()
        page.screenshot(path=up.home / "approval.png")
        page.get_by_role("button", name="Approve").click()
        until(lambda: state("promote") == "success", 120, "the promotion")
    versions = answer(
        up.url("MLFLOW", "/api/2.0/mlflow/registered-models/alias?name=holdfast-churn&alias=champion"),
    )[1]
    assert "approved by admin at" in versions
