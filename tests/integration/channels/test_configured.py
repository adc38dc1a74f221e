"""Channels as a file describes them: what ships works, nonsense and leaks are refused by name."""

import base64
from pathlib import Path

import pytest
import yaml
from pydantic import SecretStr

from holdfast.adapters.channels.configured import Channels, build
from holdfast.adapters.yaml_files import load
from holdfast.campaign.envelope import Envelope
from holdfast.campaign.signing import is_signed
from holdfast.errors import SettingsError
from tests.fakes.channel import FakeChannel
from tests.fakes.operations import NOON
from tests.fakes.scripted_server import answering, headers_and_body, scripted_server, status

SMS = {"kind": "webhook", "url": "https://sms.example/v1", "secret": "sms"}
SECRETS = {"sms": SecretStr("whsec_" + "a2V5" * 8)}
GATEWAY_KEY = b"the key of the gateway, which is its own"


def channels(folder: Path, **sections: object) -> Channels:
    file = folder / "channels.yaml"
    file.write_text(yaml.safe_dump({"channels": sections}), encoding="utf-8")
    return load(file, Channels)


def test_what_ships_sends_tickets_and_alerts_to_their_own_mailboxes(project: Path) -> None:
    mail = FakeChannel()
    shipped = build(load(project / "config" / "channels.yaml", Channels), mail, {}, lambda: NOON)
    for name, recipient in {"email": "anna@shop.example", "care_desk": "7", "alert": "team"}.items():
        with shipped[name].connect() as connection:
            connection.prepare(Envelope(name, recipient, f"key:{name}", at=NOON, text="Hello"))()
    assert mail.recipients == ["anna@shop.example", "care-desk@shop.example", "on-call@shop.example"]


def test_a_webhook_signs_with_the_secret_that_it_names(tmp_path: Path) -> None:
    secrets = SECRETS | {"gateway": SecretStr("whsec_" + base64.b64encode(GATEWAY_KEY).decode())}
    with scripted_server(answering(status("202 Accepted"))) as server:
        sms = {"url": f"http://127.0.0.1:{server.port}/v1", "allow": ["127.0.0.0/8"], "secret": "gateway"}
        built = build(channels(tmp_path, sms=SMS | sms), FakeChannel(), secrets, lambda: NOON)
        with built["sms"].connect() as connection:
            connection.send(Envelope("sms", "+12025550143", "key:sms", at=NOON, text="Hello"))
    [(headers, body)] = map(headers_and_body, server.heard)
    assert is_signed([GATEWAY_KEY], headers, body, NOON)


def test_a_secret_that_is_not_set_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"channel sms .*'sms'.*HOLDFAST_WEBHOOK_SECRETS"):
        build(channels(tmp_path, sms=SMS), FakeChannel(), {}, lambda: NOON)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"url": "http://sms.example/v1"}, "must be https"),
        ({"url": "https://user:hunter2@sms.example/"}, "leave it out"),
        ({"url": "sms.example"}, "must be https"),
        ({"allow": ["everything"]}, "no network"),
        ({"deadline_seconds": 0}, "greater than 0"),
        ({"secret": "whsec_a2V5"}, "secret.*should match|should match.*secret|secret"),
        ({"retries": 3}, "unknown key"),
        ({"kind": "pigeon"}, "'email', 'mailbox', 'webhook'"),
    ],
)
def test_nonsense_is_refused_where_it_stands(tmp_path: Path, changes: dict[str, object], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        channels(tmp_path, sms=SMS | changes)


def test_plain_http_is_for_a_network_that_is_allowed(tmp_path: Path) -> None:
    inside = SMS | {"url": "http://gateway.internal/v1", "allow": ["10.20.0.0/16"]}
    assert str(channels(tmp_path, sms=inside).channels["sms"].networks[0]) == "10.20.0.0/16"


def test_a_ticket_goes_to_exactly_one_address(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="not one plain"):
        channels(tmp_path, care_desk={"kind": "mailbox", "to": "a@shop.example, b@shop.example"})
