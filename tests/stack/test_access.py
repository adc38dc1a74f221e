"""Who gets in: nobody without a log-in, and with one each role as far as it is declared."""

from __future__ import annotations

import base64
import urllib.error
import urllib.request
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from holdfast.adapters.production.roles import MARKETER, OPERATOR, VIEWER
from tests.stack.airflow_api import answer
from tests.stack.conftest import PEOPLE, Stack

pytestmark = pytest.mark.stack

HEALTH, LOG_IN, STATIC = "health", "log-in and log-out", "files of the program, and the shell of its pages"
DOCS = "describes the API of the program, which anybody can download; no data"
AWAY = "sends everybody away who is not permitted, without doing anything"
NOTHING = "nothing is there"

AIRFLOW_OPEN = {
    ("GET", "/api/v2/monitor/health"): HEALTH,
    ("GET", "/api/v2/version"): HEALTH,
    ("GET", "/execution/health"): HEALTH,
    ("GET", "/execution/health/ping"): HEALTH,
    ("GET", "/auth/login/"): LOG_IN,
    ("POST", "/auth/token"): LOG_IN,
    ("POST", "/auth/token/cli"): LOG_IN,
    ("POST", "/auth/api/v1/security/login"): LOG_IN,
    ("GET", "/static/{}"): STATIC,
    ("GET", "/{}"): STATIC,
    ("GET", "/auth/static/{}"): STATIC,
    ("GET", "/auth/static/appbuilder/{}"): STATIC,
    ("GET", "/openapi.json"): DOCS,
    ("GET", "/auth/docs"): DOCS,
    ("GET", "/auth/docs/oauth2-redirect"): DOCS,
    ("GET", "/auth/openapi.json"): DOCS,
    ("GET", "/auth/redoc"): DOCS,
    ("GET", "/execution/changelog"): DOCS,
    ("GET", "/execution/docs"): DOCS,
    ("GET", "/execution/docs/oauth2-redirect"): DOCS,
    ("GET", "/execution/redoc"): DOCS,
    ("GET", "/execution/openapi.json"): NOTHING,
    ("GET", "/api/v1/{}"): NOTHING,
    ("GET", "/api/{}"): NOTHING,
    ("GET", "/health"): NOTHING,
    ("GET", "/auth/"): AWAY,
    ("GET", "/auth/back"): AWAY,
    ("GET", "/auth/logout/"): LOG_IN,
    ("GET", "/api/v2/auth/logout"): LOG_IN,
    ("GET", "/auth/actions/action/{}/{}"): AWAY,
    ("GET", "/auth/permissions/action/{}/{}"): AWAY,
    ("GET", "/auth/resources/action/{}/{}"): AWAY,
    ("GET", "/auth/roles/action/{}/{}"): AWAY,
    ("GET", "/auth/users/action/{}/{}"): AWAY,
}
"""Routes of Airflow that answer without a log-in, each with the reason why it may."""

MLFLOW_OPEN = {
    ("GET", "/static-files/{}"): STATIC,
    ("GET", "/health"): HEALTH,
    ("GET", "/api/3.0/mlflow/server-info"): "tells a client how to log in; no data",
    ("GET", "/ajax-api/3.0/mlflow/server-info"): "tells a client how to log in; no data",
}


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


def refused(url: str, method: str) -> str | None:
    """None if the server refuses a stranger, else what it did: the status, and where it sends to."""
    body = b"{}" if method in ("POST", "PUT", "PATCH") else None
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.build_opener(_Stay).open(request, timeout=60) as response:
            return str(response.status)
    except urllib.error.HTTPError as error:
        told = error.read().decode(errors="replace")
        to_log_in = "/auth/login" in error.headers.get("Location", "")
        if error.code in (401, 403) or to_log_in or (error.code == 400 and "CSRF" in told):
            return None
        return f"{error.code} {error.headers.get('Location', '')}".strip()


def open_routes(base: str, table: list[list[str]]) -> Mapping[tuple[str, str], str]:
    """The routes that answer a stranger with anything but a refusal, and how."""
    asked = [(method, path) for method, path in table if method not in ("HEAD", "OPTIONS")]
    assert len(asked) > 250, "the table is not whole"
    with ThreadPoolExecutor(8) as several:
        told = several.map(lambda route: refused(base + route[1].replace("{}", "1"), route[0]), asked)
    return {route: how for route, how in zip(asked, told, strict=True) if how is not None}


WALK = "from tests.stack import route_table as t; import json; print(json.dumps(sorted(t.{of}())))"


def test_airflow_lets_no_stranger_in_but_by_the_routes_named_here(stack: Stack) -> None:
    found = open_routes(stack.airflow, stack.inside("api-server", WALK.format(of="airflow")))
    assert {route: how for route, how in found.items() if route not in AIRFLOW_OPEN} == {}
    assert set(AIRFLOW_OPEN) - set(found) == set()


def test_mlflow_lets_no_stranger_in_but_by_the_routes_named_here(stack: Stack) -> None:
    found = open_routes(stack.mlflow, stack.inside("mlflow", WALK.format(of="mlflow")))
    assert {route: how for route, how in found.items() if route not in MLFLOW_OPEN} == {}
    assert set(MLFLOW_OPEN) - set(found) == set()


EVERYBODY, RUNS, ANSWERS, NOBODY = {VIEWER, MARKETER, OPERATOR}, {OPERATOR}, {MARKETER}, set()
QUESTION = "/api/v2/dags/train/dagRuns/nothing/taskInstances/approve/-1/hitlDetails"
MAY = (
    ("GET", "/api/v2/dags", None, EVERYBODY),
    ("GET", "/api/v2/dags/train/dagRuns", None, EVERYBODY),
    ("GET", "/holdfast/", None, EVERYBODY),
    ("PATCH", QUESTION, {"chosen_options": ["Approve"], "params_input": {}}, ANSWERS),
    ("POST", "/api/v2/dags/alert/dagRuns", {"logical_date": None, "conf": {}}, RUNS),
    ("PATCH", "/api/v2/dags/alert", {"is_paused": True}, RUNS),
    ("PATCH", "/api/v2/dags/train", {"is_paused": True}, RUNS | ANSWERS),
    ("POST", "/api/v2/dags/train/dagRuns", {"logical_date": "no date"}, RUNS),
    ("POST", "/api/v2/dags/train/clearTaskInstances", {"dag_run_id": "nothing", "dry_run": False}, RUNS),
    ("GET", "/api/v2/dags/train/dagRuns/nothing/taskInstances/fit/logs/1", None, RUNS),
    ("GET", "/api/v2/dags/train/dagRuns/nothing/taskInstances/fit/xcomEntries/return_value", None, RUNS),
    ("GET", "/api/v2/dagSources/train", None, RUNS),
    ("GET", "/api/v2/importErrors", None, RUNS),
    ("GET", "/api/v2/pools", None, RUNS),
    ("DELETE", "/api/v2/pools/nothing", None, NOBODY),
    ("DELETE", "/api/v2/dags/alert", None, NOBODY),
    ("GET", "/api/v2/connections", None, NOBODY),
    ("GET", "/api/v2/variables", None, NOBODY),
    ("POST", "/api/v2/variables", {"key": "k", "value": "v"}, NOBODY),
    ("GET", "/api/v2/eventLogs", None, NOBODY),
    ("GET", "/auth/fab/v1/users", None, NOBODY),
    ("GET", "/auth/fab/v1/roles", None, NOBODY),
)
"""What each of our roles may do; the admin may do all of it. What does not exist is not found, once one may look."""


def test_each_role_may_do_what_is_declared_and_no_more(stack: Stack) -> None:
    people = {role: stack.person(name) for name, role in PEOPLE.items()}
    may = {
        (role, method, path): person.try_to(method, path, body) not in (401, 403)
        for method, path, body, _ in MAY
        for role, person in people.items()
    }
    assert may == {(role, method, path): role in roles for method, path, _, roles in MAY for role in people}


def test_the_admin_may_do_all_of_it(stack: Stack) -> None:
    admin = stack.admin()
    refusals = [
        path for method, path, body, _ in MAY if method == "GET" and admin.try_to(method, path, body) in (401, 403)
    ]
    assert refusals == []


def test_a_wrong_password_gives_no_token(stack: Stack) -> None:
    for password in ("admin", "airflow", ""):
        status, _ = answer(f"{stack.airflow}/auth/token", "POST", {"username": "admin", "password": password})
        assert status in (400, 401, 422)


def mlflow(stack: Stack, method: str, path: str, who: tuple[str, str], body: object = None) -> tuple[int, str]:
    basic = base64.b64encode(":".join(who).encode()).decode()
    return answer(stack.mlflow + path, method, body, {"Authorization": f"Basic {basic}"})


def test_who_has_an_account_in_mlflow_sees_nothing_of_others_and_the_dags_account_rules_nobody(stack: Stack) -> None:
    secrets = stack.secrets
    service = secrets["MLFLOW_SERVICE_USERNAME"], secrets["MLFLOW_SERVICE_PASSWORD"]
    admin = secrets["MLFLOW_ADMIN_USERNAME"], secrets["MLFLOW_ADMIN_PASSWORD"]
    guest = "guest", "a password of some length"
    create, experiments = "/api/2.0/mlflow/users/create", "/api/2.0/mlflow/experiments"
    person = {"username": guest[0], "password": guest[1]}
    assert mlflow(stack, "POST", create, service, person)[0] == 403
    assert mlflow(stack, "POST", create, admin, person)[0] == 200
    assert mlflow(stack, "POST", f"{experiments}/create", service, {"name": "of the service"})[0] == 200
    by_name = f"{experiments}/get-by-name?experiment_name=of%20the%20service"
    assert mlflow(stack, "GET", by_name, service)[0] == 200
    assert mlflow(stack, "GET", by_name, guest)[0] == 403
    assert mlflow(stack, "GET", by_name, ("admin", "password1234"))[0] == 401


def test_no_service_opens_a_port_beyond_loopback_unasked(stack: Stack) -> None:
    """0.0.0.0 in the file's commands means loopback in these tests (what is published, test_compose_file.py looks at);
    a port that a program opens without being told to would be found here.
    """
    listening = {
        connection.laddr.ip
        for child in stack.processes.children
        for process in (psutil.Process(child.process.pid), *psutil.Process(child.process.pid).children(recursive=True))
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1"}


def test_no_secret_stands_in_a_command_line(stack: Stack) -> None:
    """Whoever may list a machine's processes sees these."""
    secret = [value for name, value in stack.secrets.items() if name.endswith(("PASSWORD", "_KEY", "_SECRET"))]
    commands = [" ".join(child.process.args) for child in stack.processes.children]
    assert [value for value in secret if any(value in command for command in commands)] == []
