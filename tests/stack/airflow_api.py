"""Airflow's API as a person with an account uses it."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

import pytest

ENDED = ("success", "failed")
BOUND = 900
"""Seconds until a thing counts as never coming, on a machine however busy."""


def answer(url: str, method: str = "GET", body: Any = None, headers: dict[str, str] | None = None) -> tuple[int, str]:
    """Status and text of what the server says."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json", **(headers or {})}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, response.read().decode(errors="replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors="replace")


@dataclass(frozen=True)
class Account:
    """Who has logged in at the Airflow of this address.

    ``patience``: for how many seconds they go on asking a server that cannot answer. Only what changes nothing is asked
    again.
    """

    url: str
    token: str
    patience: float = 0

    @classmethod
    def log_in(cls, url: str, name: str, password: str, patience: float = 0) -> Account:
        status, text = answer(f"{url}/auth/token", "POST", {"username": name, "password": password})
        assert status == 201, text
        return cls(url, json.loads(text)["access_token"], patience)

    def try_to(self, method: str, path: str, body: Any = None) -> int:
        """The status of the answer."""
        return answer(self.url + path, method, body, {"Authorization": f"Bearer {self.token}"})[0]

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """What a question that must succeed is answered."""
        deadline = time.monotonic() + (self.patience if method == "GET" else 0)
        while True:
            try:
                status, text = answer(self.url + path, method, body, {"Authorization": f"Bearer {self.token}"})
            except OSError as error:
                status, text = 503, str(error)
            if status < 500 or time.monotonic() > deadline:
                break
            time.sleep(0.5)
        assert status < 300, f"{method} {path}: {status} {text}"
        return json.loads(text) if text else None

    def runs(self, dag: str) -> list[dict[str, Any]]:
        """The DAG's runs, the newest first."""
        return list(self.ask("GET", f"/api/v2/dags/{dag}/dagRuns?order_by=-id")["dag_runs"])

    def switch_on(self, dag: str) -> None:
        self.ask("PATCH", f"/api/v2/dags/{dag}", {"is_paused": False})

    def trigger(self, dag: str, conf: dict[str, Any]) -> str:
        """Start a run and give its id."""
        run = self.ask("POST", f"/api/v2/dags/{dag}/dagRuns", {"logical_date": None, "conf": conf})
        return str(run["dag_run_id"])

    def tasks(self, dag: str, run: str) -> list[dict[str, Any]]:
        """The run's task instances."""
        return list(self.ask("GET", f"/api/v2/dags/{dag}/dagRuns/{run}/taskInstances?limit=500")["task_instances"])

    def states(self, dag: str, run: str) -> dict[str, str]:
        """The state of each task instance, by its id, with its index where it is mapped."""
        return {
            one["task_id"] + ("" if one["map_index"] < 0 else f"[{one['map_index']}]"): one["state"]
            for one in self.tasks(dag, run)
        }

    def value(self, dag: str, run: str, task: str) -> Any:
        """What a task returned."""
        path = f"/api/v2/dags/{dag}/dagRuns/{run}/taskInstances/{task}/xcomEntries/return_value?deserialize=true"
        return self.ask("GET", path)["value"]

    def await_end(self, dag: str, run: str, seconds: float = BOUND) -> None:
        """Until the run has succeeded; fails, naming its tasks' states, if it does not."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            state = self.ask("GET", f"/api/v2/dags/{dag}/dagRuns/{run}")["state"]
            if state in ENDED:
                assert state == "success", f"{dag} {run}: {self.states(dag, run)}"
                return
            time.sleep(0.5)
        pytest.fail(f"{dag} {run} has not ended in {seconds} seconds: {self.states(dag, run)}")

    def await_state(self, dag: str, run: str, task: str, state: str, seconds: float = BOUND) -> bool:
        """Whether the task comes into this state before the run ends."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.states(dag, run).get(task) == state:
                return True
            if self.ask("GET", f"/api/v2/dags/{dag}/dagRuns/{run}")["state"] in ENDED:
                return False
            time.sleep(0.5)
        return pytest.fail(f"{dag}.{task} is not {state} in {seconds} seconds: {self.states(dag, run)}")

    def await_run_of(self, dag: str, seconds: float = BOUND) -> str:
        """The id of the first run of a DAG that another one starts."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            runs = self.runs(dag)
            if runs:
                return str(runs[-1]["dag_run_id"])
            time.sleep(0.5)
        return pytest.fail(f"no run of {dag} within {seconds} seconds")
