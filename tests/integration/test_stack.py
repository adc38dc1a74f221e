"""`holdfast up` as a person starts it: real Airflow, MLflow and Feast on free ports, in a home of their own."""

from __future__ import annotations

import json
import os
import re
import signal
import smtplib
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from holdfast.adapters import processes, stack
from holdfast.errors import HoldfastError, SettingsError
from holdfast.settings import Settings
from tests.browser.chromium import Watch, chromium
from tests.integration.running_stack import (
    HOLDFAST,
    PORTS,
    Up,
    alive,
    answer,
    api,
    environment,
    free_ports,
    log_in,
    log_in_as_admin,
    start,
    until,
)

DAGS = {
    "ingest": "0 5 * * *",
    "features": "holdfast_lake",
    "train": "0 7 * * 1",
    "score": "holdfast_features",
    "intervene": "holdfast_scores",
    "report": "holdfast_outreach",
    "deliver": "0:10:00",
    "alert": "0 8 * * *",
    "measure": "holdfast_lake",
    "learn": "0 8 * * 1",
    "retention": "0 0 * * *",
}
REPORT = (
    "<!doctype html><title>r</title><h1>Who is lapsing</h1><a href='effect/programme.html'>Measured effects</a>"
    "<script>document.write('it ran')</script>"
)


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    up = start(tmp_path_factory.mktemp("stack") / "home", free_ports())
    yield up
    up.process.send_signal(signal.SIGTERM)
    up.process.wait(processes.STOP_SECONDS + 100)


@pytest.fixture(scope="module")
def token(up: Up) -> str:
    return log_in_as_admin(up)


def test_every_part_of_airflow_is_healthy_when_the_addresses_are_printed(up: Up) -> None:
    _, text, _ = answer(up.url("AIRFLOW", "/api/v2/monitor/health"))
    parts = json.loads(text)
    assert {part: parts[part]["status"] for part in ("scheduler", "triggerer", "dag_processor", "metadatabase")} == {
        "scheduler": "healthy",
        "triggerer": "healthy",
        "dag_processor": "healthy",
        "metadatabase": "healthy",
    }


def test_the_dags_are_there_documented_scheduled_and_without_import_errors(up: Up, token: str) -> None:
    until(lambda: api(up, token, "/dags")["total_entries"] == len(DAGS), 60, "all DAGs")
    assert api(up, token, "/importErrors")["total_entries"] == 0
    for dag, schedule in DAGS.items():
        told = api(up, token, f"/dags/{dag}/details")
        assert told["doc_md"].startswith("### ")
        assert "**A re-run is safe.**" in told["doc_md"]
        assert not told["is_paused"]
        assert schedule in f"{told['timetable_summary']} {told['asset_expression']}"


def test_the_scheduler_carries_a_dag_through_by_itself(up: Up, token: str) -> None:
    """Ingest is due as soon as it is known; with nothing landed it ends well, and the skipped rest emits no event."""

    def ended() -> Any:
        runs = api(up, token, "/dags/ingest/dagRuns")["dag_runs"]
        return [run["state"] for run in runs if run["state"] in ("success", "failed")]

    assert until(ended, 90, "a scheduled run of ingest") == ["success"]
    assert api(up, token, "/assets/events")["total_entries"] == 0


@pytest.mark.parametrize(
    "path", ["/api/v2/dags", "/api/v2/connections", "/holdfast/", "/holdfast/effect/programme.html"]
)
def test_who_has_not_logged_in_is_refused(up: Up, path: str) -> None:
    assert answer(up.url("AIRFLOW", path))[0] == 401


@pytest.mark.parametrize(
    "forge",
    [lambda token: token[:-2], lambda token: "", lambda token: token.split(".")[0] + ".."],
    ids=["cut", "empty", "unsigned"],
)
def test_a_forged_token_is_refused_by_the_page(up: Up, token: str, forge: Callable[[str], str]) -> None:
    assert answer(up.url("AIRFLOW", "/holdfast/"), {"Cookie": f"_token={forge(token)}"})[0] in (401, 403)


def test_a_wrong_password_gives_no_token(up: Up) -> None:
    assert log_in(up, "admin")[0] == 401


def test_the_password_is_kept_for_this_user_alone(up: Up) -> None:
    kept = up.home / "airflow" / "passwords.json"
    assert json.loads(kept.read_text()) == {"admin": up.password}
    assert kept.stat().st_mode & 0o077 == 0


def test_without_a_report_the_page_says_who_writes_it(up: Up, token: str) -> None:
    status, text, _ = answer(up.url("AIRFLOW", "/holdfast/"), {"Authorization": f"Bearer {token}"})
    assert status == 404
    assert "No report yet" in text


@pytest.fixture
def report(up: Up) -> Iterator[str]:
    """An older and a newer report."""
    reports = up.home / "reports"
    reports.mkdir(exist_ok=True)
    (reports / "2017-10-29.html").write_text("the older one")
    (reports / "2017-11-26.html").write_text(REPORT)
    (reports / "effect").mkdir(exist_ok=True)
    (reports / "effect" / "programme.html").write_text("<h1>What campaigns achieved</h1>")
    yield REPORT
    for path in reports.rglob("*.html"):
        path.unlink()


@pytest.mark.parametrize("header", [("Authorization", "Bearer {}"), ("Cookie", "_token={}")], ids=["token", "cookie"])
def test_who_has_logged_in_sees_the_latest_report(up: Up, token: str, report: str, header: tuple[str, str]) -> None:
    name, value = header
    status, text, headers = answer(up.url("AIRFLOW", "/holdfast/"), {name: value.format(token)})
    assert (status, text) == (200, report)
    assert headers["Content-Type"].startswith("text/html")
    assert "sandbox" in headers["Content-Security-Policy"]


def test_only_pages_of_effects_are_served_by_name(up: Up, token: str, report: str) -> None:
    def status(name: str) -> int:
        return answer(up.url("AIRFLOW", f"/holdfast/effect/{name}"), {"Authorization": f"Bearer {token}"})[0]

    assert status("programme.html") == 200
    assert status("autumn.html") == status("..%2F2017-11-26.html") == 404


def test_the_retention_page_is_in_the_navigation_and_nothing_in_it_runs(up: Up, report: str) -> None:
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        watch = Watch(page)
        page.goto(up.url("AIRFLOW", "/"))
        page.fill("input[name=username]", "admin")
        page.fill("input[name=password]", up.password)
        page.click("button[type=submit]")
        page.get_by_role("link", name="Retention").click()
        inside = page.frame_locator("iframe")
        inside.get_by_role("heading", name="Who is lapsing").wait_for()
        assert inside.get_by_text("it ran").count() == 0
        inside.get_by_role("link", name="Measured effects").click()
        inside.get_by_role("heading", name="What campaigns achieved").wait_for()
        elsewhere = [url for url in watch.requests if not url.startswith((up.url("AIRFLOW", "/"), "data:", "blob:"))]
        assert elsewhere == []


def test_mlflow_shows_the_registry_of_this_home(up: Up) -> None:
    assert answer(up.url("MLFLOW", "/health"))[:2] == (200, "OK")
    status, _, _ = answer(up.url("MLFLOW", "/api/2.0/mlflow/registered-models/create"), body={"name": "of_this_home"})
    assert status == 200
    with sqlite3.connect(up.home / "mlflow" / "mlflow.db") as database:
        assert ("of_this_home",) in database.execute("SELECT name FROM registered_models").fetchall()


def test_feast_answers_for_the_registered_service_and_knows_nobody_yet(up: Up) -> None:
    assert answer(up.url("FEAST", "/health"))[0] == 200
    asked = {"feature_service": "customer_card_v1", "entities": {"customer_id": ["nobody"]}}
    status, text, _ = answer(up.url("FEAST", "/get-online-features"), body=asked)
    told = json.loads(text)
    names = told["metadata"]["feature_names"]
    assert status == 200
    assert {"customer_id", "days_since_order", "probability", "reasons"} <= set(names)
    assert told["results"][names.index("probability")]["values"] == [None]


def test_the_preference_page_is_served_and_knows_no_forged_link(up: Up) -> None:
    status, text, _ = answer(up.url("PREFERENCES", "/preferences/forged"))
    assert status == 404
    assert "This page does not exist" in text


def test_the_look_up_api_is_there_and_opens_with_a_key_alone(up: Up) -> None:
    assert answer(up.url("LOOKUP", "/readyz"))[0] == 200
    assert answer(up.url("LOOKUP", "/v1/customers/7"))[0] == 401


def test_mail_handed_to_the_stack_is_kept_in_its_mailbox(up: Up) -> None:
    with smtplib.SMTP("127.0.0.1", up.ports["SMTP"]) as client:
        client.sendmail("care@shop.example", "anna@shop.example", "Subject: kept\r\n\r\nHello")
    (kept,) = (up.home / "mail" / "new").iterdir()
    assert "Subject: kept" in kept.read_text()


def test_only_the_printed_ports_are_open_and_on_loopback_alone(up: Up) -> None:
    listening = {
        (connection.laddr.ip, connection.laddr.port)
        for process in (psutil.Process(up.process.pid), *up.descendants())
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {("127.0.0.1", port) for port in up.ports.values()}


def test_a_second_holdfast_on_the_same_home_is_told_so(up: Up) -> None:
    (up.home / "landing" / "2017-01-01").mkdir(parents=True, exist_ok=True)
    (up.home / "landing" / "2017-01-01" / ".kept").touch()
    asked_nobody = environment(up.home, up.ports) | {"HOLDFAST_APPROVAL": "auto"}
    second = subprocess.run([HOLDFAST, "run"], capture_output=True, text=True, env=asked_nobody, check=False)
    assert second.returncode == 1
    assert re.fullmatch(r"SettingsError: another Holdfast process .* is using .*Stop it, or set .*\n", second.stderr)


def test_a_second_stack_on_the_same_ports_is_told_so_before_anything_starts(up: Up, tmp_path: Path) -> None:
    second = subprocess.run(
        [HOLDFAST, "up"], capture_output=True, text=True, env=environment(tmp_path, up.ports), check=False
    )
    assert second.returncode == 1
    assert f"airflow-api-server cannot listen on 127.0.0.1:{up.ports['AIRFLOW']}" in second.stderr
    assert "set HOLDFAST_AIRFLOW_PORT to a free port" in second.stderr
    assert not (tmp_path / "logs").exists()
    assert not (tmp_path / "airflow" / "airflow.db").exists()


@dataclass(frozen=True)
class Ended:
    """A stack after Ctrl-C, and those of its processes that live on."""

    up: Up
    left: list[psutil.Process]


@pytest.fixture(scope="module")
def ended(up: Up) -> Ended:
    """Below every test that asks for the running stack, since it stops it."""
    everything = up.descendants()
    up.process.send_signal(signal.SIGINT)
    up.process.wait(processes.STOP_SECONDS + 100)
    return Ended(up, [process for process in everything if alive(process)])


def test_ctrl_c_stops_everything_and_leaves_nothing_behind(ended: Ended) -> None:
    assert ended.up.process.returncode == 0
    assert ended.up.printed.rstrip().endswith("All stopped.")
    assert ended.left == []


def test_a_service_that_fails_ends_the_stack_with_one_message_and_the_rest_with_it(ended: Ended) -> None:
    up = ended.up
    variables = environment(up.home, up.ports) | {"HOLDFAST_MLFLOW_URL": "postgresql+nodriver://nowhere"}
    failing = subprocess.Popen(
        [HOLDFAST, "up"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=variables
    )
    started = until(lambda: psutil.Process(failing.pid).children(recursive=True), 60, "the first service")
    _, told = failing.communicate(timeout=120)
    assert failing.returncode == 1
    assert re.fullmatch(r"HoldfastError: mlflow ended with code 1, so everything was stopped\. .*mlflow\.log\n", told)
    assert [process for process in started if alive(process)] == []
    stack.require_free_ports(settings(up.home, **{f"{name.lower()}_port": port for name, port in up.ports.items()}))


# What a stack of our own making shows faster: services that misbehave.

STUBBORN = """
import http.server, signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
task = subprocess.Popen(["sleep", "600"], process_group=0)
print("task", task.pid, flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), http.server.SimpleHTTPRequestHandler).serve_forever()
"""


def settings(home: Path, **changes: Any) -> Settings:
    return Settings(home=home, **changes)


def made_of(monkeypatch: pytest.MonkeyPatch, *services: processes.Service) -> None:
    monkeypatch.setattr(stack, "services", lambda _: list(services))
    monkeypatch.setattr(processes, "STOP_SECONDS", 0.5)


def test_a_service_that_will_not_stop_is_killed_with_the_tasks_it_has_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_ports()["MLFLOW"]
    command = (sys.executable, "-c", STUBBORN, str(port))
    made_of(monkeypatch, processes.Service("mlflow", command, f"http://127.0.0.1:{port}/", port))
    with stack.running(settings(tmp_path, smtp_port=free_ports()["SMTP"])) as running:
        task = psutil.Process(int((tmp_path / "logs" / "mlflow.log").read_text().split()[1]))
        assert os.getpgid(task.pid) != os.getpgid(running.children[0].process.pid)
    assert running.children[0].process.returncode == -signal.SIGKILL
    assert not alive(task)


def test_a_second_ctrl_c_kills_at_once_what_will_not_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_ports()["MLFLOW"]
    command = (sys.executable, "-c", STUBBORN, str(port))
    made_of(monkeypatch, processes.Service("mlflow", command, f"http://127.0.0.1:{port}/", port))
    monkeypatch.setattr(processes, "STOP_SECONDS", 600)
    impatient = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    stopped = pytest.raises(KeyboardInterrupt)
    with stopped, stack.running(settings(tmp_path, smtp_port=free_ports()["SMTP"])) as running:
        impatient.start()
    assert running.children[0].process.returncode == -signal.SIGKILL


def test_a_service_that_dies_while_all_is_well_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_ports()["FEAST"]
    command = (sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port))
    made_of(monkeypatch, processes.Service("feast", command, f"http://127.0.0.1:{port}/", port))
    told = pytest.raises(HoldfastError, match=r"feast ended with code -9, so everything was stopped")
    with told, stack.running(settings(tmp_path, smtp_port=free_ports()["SMTP"])) as running:
        running.children[0].process.kill()
        processes.watch(running.children)


def test_a_service_that_does_not_come_up_is_told_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = (sys.executable, "-c", "raise SystemExit('no such database')")
    made_of(monkeypatch, processes.Service("mlflow", command, "http://127.0.0.1:9/"))
    told = pytest.raises(HoldfastError, match=r"mlflow ended with code 1, .*'no such database'; more in .*mlflow\.log")
    with told, stack.running(settings(tmp_path, smtp_port=free_ports()["SMTP"])):
        pass


@pytest.mark.parametrize("name", PORTS)
def test_a_port_that_is_taken_is_named_with_the_variable_to_set(tmp_path: Path, name: str) -> None:
    ports = free_ports()
    own = settings(tmp_path, **{f"{one.lower()}_port": port for one, port in ports.items()})
    stack.require_free_ports(own)
    told = pytest.raises(SettingsError, match=rf":{ports[name]}: .*set HOLDFAST_{name}_PORT to a free port")
    with socket.create_server(("127.0.0.1", ports[name])), told:
        stack.require_free_ports(own)


def test_no_mailbox_is_opened_beside_a_mail_server_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made_of(monkeypatch)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        elsewhere = settings(tmp_path, smtp_host="mail.shop.example", smtp_port=taken.getsockname()[1])
        with stack.running(elsewhere) as running:
            assert "reach real people" in running.addresses[-1].note
