"""Keys at the door of the look-up API: scopes, pace, expiry, rotation, revocation within seconds."""

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from holdfast.access import ApiKey, Scope
from holdfast.adapters.operations.access import KeyDatabase
from holdfast.adapters.operations.repository import OperationsDatabase
from holdfast.errors import AccessError, StoreUnavailableError
from holdfast.lookup import app as lookup
from holdfast.lookup.door import TRUSTED_SECONDS
from tests.fakes.lookup import NOW, add_key, bearer, lookup_app
from tests.fakes.operations import operations_engine
from tests.integration.running_stack import until


@pytest.fixture
def plain(tmp_path: Path) -> Engine:
    return operations_engine(tmp_path)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer hf_000000000000_" + "A" * 43},
        {"Authorization": "Basic dXNlcjpwYXNz"},
        {"X-API-Key": "KEY"},
        {"Authorization": "KEY"},
        {"Authorization": "Bearer KEYx"},
    ],
)
def test_without_a_valid_key_it_is_401_and_says_how_to_come_in(plain: Engine, headers: dict[str, str]) -> None:
    key = add_key(plain, Scope.SCORES)
    with TestClient(lookup_app(plain)) as client:
        answer = client.get("/v1/customers/7", headers={name: one.replace("KEY", key) for name, one in headers.items()})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("scope", "path"),
    [
        (Scope.FEATURES, "/v1/customers/7"),
        (Scope.OFFERS, "/v1/customers/7"),
        (Scope.SCORES, "/v1/customers/7/features"),
        (Scope.SCORES, "/v1/features"),
        (Scope.FEATURES, "/metrics"),
    ],
)
def test_a_key_of_another_scope_is_403(plain: Engine, scope: Scope, path: str) -> None:
    with TestClient(lookup_app(plain), headers=bearer(add_key(plain, scope))) as client:
        answer = client.get(path)
    assert answer.status_code == 403
    assert "scope" in answer.json()["detail"]


def test_a_key_asks_as_fast_as_it_may_and_is_told_when_to_come_back(plain: Engine) -> None:
    slow = add_key(plain, Scope.SCORES, name="slow", rate=0.1, burst=3)
    quick = add_key(plain, Scope.SCORES, name="quick")
    with TestClient(lookup_app(plain)) as client:
        answers = [client.get("/v1/customers/7", headers=bearer(slow)) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 10
        assert client.get("/v1/customers/7", headers=bearer(quick)).status_code == 200


def test_a_batch_counts_by_the_hundred(plain: Engine) -> None:
    key = add_key(plain, Scope.SCORES, rate=0.1, burst=4)
    with TestClient(lookup_app(plain), headers=bearer(key)) as client:

        def ask(customers: int) -> int:
            return client.post("/v1/customers:batch", json={"customer_ids": ["7"] * customers}).status_code

        assert [ask(100), ask(101), ask(100), ask(1)] == [200, 200, 200, 429]


def test_a_revoked_key_is_refused_and_a_new_one_known_within_seconds(engine: Engine) -> None:
    old = add_key(engine, Scope.SCORES, name="till")
    with TestClient(lookup_app(engine)) as client:

        def status(key: str) -> int:
            return client.get("/v1/customers/7", headers=bearer(key)).status_code

        assert status(old) == 200
        new = add_key(engine, Scope.SCORES, name="till")
        until(lambda: status(new) == 200, 4 * lookup.KEYS_SECONDS, "the new key opens")
        assert status(old) == 200
        KeyDatabase(engine).revoke(old[3:15], "anna", NOW)
        until(lambda: status(old) == 401, 4 * lookup.KEYS_SECONDS, "the revoked key is refused")
        assert status(new) == 200


def test_what_is_done_to_keys_is_in_the_audit_log_and_no_key_is(engine: Engine) -> None:
    keys = KeyDatabase(engine)
    text = add_key(engine, Scope.SCORES, Scope.OFFERS, name="till")
    keys.revoke(text[3:15], "anna", NOW)
    keys.revoke(text[3:15], "bert", NOW)
    with OperationsDatabase(engine).reading() as tx:
        entries = list(tx.audited())
    assert [(one.action, one.actor, one.subject) for one in entries] == [
        ("key.new", "test", text[3:15]),
        ("key.revoke", "anna", text[3:15]),
    ]
    assert entries[0].details["scopes"] == ["offers", "scores"]
    assert text not in repr(entries)
    assert text not in repr(keys.all())


def test_a_third_valid_key_of_a_name_is_refused_until_one_is_revoked(engine: Engine) -> None:
    first = add_key(engine, Scope.SCORES, name="till")
    add_key(engine, Scope.SCORES, name="till")
    with pytest.raises(AccessError, match="2 valid keys"):
        add_key(engine, Scope.SCORES, name="till")
    KeyDatabase(engine).revoke(first[3:15], "anna", NOW)
    add_key(engine, Scope.SCORES, name="till")
    assert len(KeyDatabase(engine).all()) == 3


def test_a_key_that_does_not_exist_cannot_be_revoked(engine: Engine) -> None:
    with pytest.raises(AccessError, match=r"no key 'abc'.*key list"):
        KeyDatabase(engine).revoke("abc", "anna", NOW)


class Fading:
    """Keys that can be read until they cannot."""

    def __init__(self, keys: KeyDatabase) -> None:
        self._keys = keys
        self.gone = False

    def all(self) -> list[ApiKey]:
        if self.gone:
            raise StoreUnavailableError("the operations database cannot be read")
        return self._keys.all()

    def add(self, key: ApiKey, actor: str) -> None: ...

    def revoke(self, key_id: str, actor: str, at: object) -> ApiKey: ...  # type: ignore[empty-body]


def test_keys_that_cannot_be_read_anew_hold_for_seconds_and_then_nobody_comes_in(plain: Engine) -> None:
    steady, keys = [0.0], Fading(KeyDatabase(plain))
    key = add_key(plain, Scope.SCORES)
    app = lookup_app(plain, keys=keys)
    door = app.state.door
    door._steady = lambda: steady[0]
    with TestClient(app, headers=bearer(key)) as client:
        keys.gone = True
        steady[0] = TRUSTED_SECONDS - 0.1
        assert client.get("/v1/customers/7").status_code == 200
        steady[0] = TRUSTED_SECONDS
        answer = client.get("/v1/customers/7")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert client.get("/readyz").json()["waiting_for"] == ["keys"]


def test_a_key_past_its_day_is_refused(plain: Engine) -> None:
    key = add_key(plain, Scope.SCORES, at=NOW - timedelta(days=1))
    with TestClient(lookup_app(plain), headers=bearer(key)) as client:
        assert client.get("/v1/customers/7").status_code == 401


def holdfast(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "holdfast"), "lookup", "key", *arguments]
    environment = {"HOLDFAST_HOME": str(home), "PATH": "/usr/bin:/bin", "COLUMNS": "200", "USER": "anna"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_the_command_makes_lists_and_revokes_keys_and_shows_each_once(tmp_path: Path) -> None:
    made = holdfast(tmp_path, "new", "web-shop", "--scope", "scores", "--scope", "offers", "--by", "anna")
    assert made.returncode == 0, made.stderr
    key = made.stdout.strip()
    listed = holdfast(tmp_path, "list").stdout
    assert all(word in listed for word in (key[3:15], "web-shop", "offers, scores", "100/s", "valid"))
    assert key not in listed
    assert "is revoked" in holdfast(tmp_path, "revoke", key[3:15], "--by", "anna").stdout
    assert "revoked" in holdfast(tmp_path, "list").stdout
    refused = holdfast(tmp_path, "revoke", "nothing", "--by", "anna")
    assert (refused.returncode, "no key 'nothing'" in refused.stderr) == (1, True)
    stored = (tmp_path / "operations.db").read_bytes()
    assert key[16:].encode() not in stored
