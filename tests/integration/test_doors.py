"""Every route of every app of ours refuses who has no key, unless it is listed here with the reason."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.routing import BaseRoute, Mount, Route

from holdfast.adapters import stack
from holdfast.adapters.operations.replies import RepliesDatabase
from holdfast.pipelines.replies import Preferences
from holdfast.public.app import Inbound, create_app
from holdfast.settings import Settings
from tests.fakes.correspondence import sent
from tests.fakes.lookup import lookup_app
from tests.fakes.operations import LINKS, NOON, operations_engine, reachable

OPEN = {
    ("lookup", "GET", "/healthz"): "health: says only that the process answers",
    ("lookup", "GET", "/readyz"): "health: names the kind of store it waits for, nothing in it",
    ("public", "GET", "/health"): "health: says only that the process answers",
}
"""Routes that answer anybody."""

BY_TOKEN = {
    ("public", "GET", "/preferences/{token}"): "the signed token in the path is the key: customers have no log-in",
    ("public", "GET", "/unsubscribe/{token}"): "the same page: mail programs open it",
    ("public", "POST", "/preferences/{token}"): "the signed token in the path is the key",
    ("public", "POST", "/unsubscribe/{token}"): "RFC 8058: mail providers post here, without a log-in",
}
"""Routes that take a token in the path for a key: whoever has none gets the page that tells nothing."""

FILLED_IN = {"token": "forged", "customer_id": "7", "name:path": "redemptions", "name": "effect"}
"""What is put in the place of a path's parameters."""

Apps = dict[str, FastAPI]


@pytest.fixture
def apps(tmp_path: Path) -> Apps:
    import holdfast_retention  # what Airflow loads from plugins/

    engine = operations_engine(tmp_path)
    preferences = Preferences(LINKS, RepliesDatabase(engine))
    hooks = {"redemptions": Inbound((b"k" * 32,), lambda body, name, at: None)}
    return {
        "lookup": lookup_app(engine),
        "public": create_app("A Shop", preferences, hooks, lambda: NOON),
        "retention": holdfast_retention.app,
    }


@pytest.fixture(autouse=True)
def _plugins(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(project / "plugins"))


def walk(routes: list[BaseRoute], above: str = "") -> Iterator[tuple[str, str]]:
    """Method and path of every route, those of mounted apps too. A route of another kind fails the walk."""
    for route in routes:
        if isinstance(route, Mount):
            yield from walk(route.routes, above + route.path)
        else:
            assert isinstance(route, Route), f"{route!r} is no kind of route that this test knows how to try"
            for method in sorted(route.methods or {"GET", "POST", "PUT", "DELETE"}):
                yield method, above + route.path


def refused(app: FastAPI, method: str, path: str) -> int:
    """What somebody without a key is answered."""
    with TestClient(app, raise_server_exceptions=False) as client:
        plain = path
        for parameter, value in FILLED_IN.items():
            plain = plain.replace(f"{{{parameter}}}", value)
        assert "{" not in plain, f"{path} has a parameter that this test does not fill in yet"
        return client.request(method, plain, follow_redirects=False).status_code


def every(apps: Apps) -> list[tuple[str, str, str]]:
    return [(name, method, path) for name, app in apps.items() for method, path in walk(app.routes)]


def test_every_route_refuses_the_anonymous_unless_it_is_listed_with_a_reason(apps: Apps) -> None:
    told = {one: refused(apps[one[0]], *one[1:]) for one in every(apps)}
    closed = {one: status for one, status in told.items() if one not in OPEN and one[1] != "HEAD"}
    assert {one: status for one, status in closed.items() if status not in (401, 403, 404)} == {}
    assert {one for one, status in closed.items() if status == 404} == set(BY_TOKEN)
    assert len(closed) >= 10


def test_the_list_of_open_routes_names_only_routes_that_there_are(apps: Apps) -> None:
    assert set(OPEN) | set(BY_TOKEN) <= set(every(apps))


def test_a_route_that_is_added_open_fails_the_walk(apps: Apps) -> None:
    inner = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    inner.add_api_route("/dump", lambda: "everything")
    apps["public"].mount("/inner", inner)
    found = [one for one in every(apps) if one not in OPEN and one not in BY_TOKEN]
    assert [one for one in found if refused(apps[one[0]], *one[1:]) == 200] == [("public", "GET", "/inner/dump")]


def test_a_guarded_route_cannot_be_made_without_saying_what_key_it_needs() -> None:
    from holdfast.lookup.door import Guarded

    with pytest.raises(KeyError, match="security"):
        Guarded("/v1/open", lambda request: None)


def test_no_app_describes_itself_to_anybody(apps: Apps) -> None:
    for app in apps.values():
        with TestClient(app, raise_server_exceptions=False) as client:
            for path in ("/docs", "/redoc", "/openapi.json"):
                assert client.get(path).status_code == 404


def test_no_server_listens_beyond_loopback_by_default() -> None:
    settings = Settings(home=Path("nowhere"))
    assert settings.loopback == "127.0.0.1"
    for service in stack.services(settings):
        told = " ".join(service.command)
        assert "0.0.0.0" not in told  # noqa: S104
        if "--host" in service.command:
            assert service.command[service.command.index("--host") + 1] == "127.0.0.1"
        assert service.health.startswith("http://127.0.0.1:")


@pytest.mark.parametrize("serve", ["serve_public", "serve_lookup"])
@pytest.mark.parametrize(
    ("variables", "address"),
    [
        ({}, "127.0.0.1"),
        ({"HOLDFAST_LOOPBACK": "127.0.0.2"}, "127.0.0.2"),
        ({"HOLDFAST_LOOPBACK": "127.0.0.2", "HOLDFAST_LISTEN": "127.0.0.3"}, "127.0.0.3"),
    ],
)
def test_our_own_servers_listen_where_the_settings_say(
    serve: str, variables: dict[str, str], address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import uvicorn

    from holdfast import wiring

    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    told: list[dict[str, object]] = []
    monkeypatch.setattr(uvicorn, "run", lambda *_, **options: told.append(options))
    getattr(wiring, serve)()
    assert told[0]["host"] == address
    assert told[0]["access_log"] is False


@pytest.fixture
def page(tmp_path: Path) -> Iterator[tuple[TestClient, str]]:
    engine = operations_engine(tmp_path)
    reachable(engine, ["7"])
    token = LINKS.way_out(sent(engine, "7")).page.rpartition("/")[2]
    app = create_app("A Shop", Preferences(LINKS, RepliesDatabase(engine)), {}, lambda: NOON)
    with TestClient(app, follow_redirects=False) as client:
        yield client, token


@pytest.mark.parametrize(
    ("site", "status"), [("cross-site", 403), ("same-site", 403), ("same-origin", 303), ("none", 303)]
)
def test_another_sites_form_does_not_choose_for_the_customer(
    page: tuple[TestClient, str], site: str, status: int
) -> None:
    client, token = page
    answer = client.post(f"/preferences/{token}", data={"stop": "all"}, headers={"Sec-Fetch-Site": site})
    assert answer.status_code == status
    assert ('value="email" checked' in client.get(f"/preferences/{token}").text) is (status == 403)


@pytest.mark.parametrize("site", ["cross-site", "none", None])
def test_one_click_works_from_wherever_a_mail_provider_sends_it(page: tuple[TestClient, str], site: str | None) -> None:
    client, token = page
    headers = {"Sec-Fetch-Site": site} if site else {}
    answer = client.post(f"/unsubscribe/{token}", data={"List-Unsubscribe": "One-Click"}, headers=headers)
    assert (answer.status_code, answer.text) == (200, "unsubscribed")


@pytest.mark.parametrize("path", ["/preferences/TOKEN", "/preferences/forged", "/health", "/nowhere", "/hooks/x"])
def test_every_answer_carries_the_headers_that_browsers_obey(page: tuple[TestClient, str], path: str) -> None:
    client, token = page
    headers = client.get(path.replace("TOKEN", token)).headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert (headers["cache-control"], headers["x-content-type-options"]) == ("no-store", "nosniff")
    assert (headers["referrer-policy"], headers["x-frame-options"]) == ("no-referrer", "DENY")
