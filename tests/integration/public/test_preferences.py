"""The preference page over HTTP, on a real operations database: GET shows, POST acts, a wrong link tells nothing."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from holdfast.adapters.operations.models import ConsentRow, SuppressionRow
from holdfast.adapters.operations.replies import RepliesDatabase
from holdfast.adapters.operations.vault import SqlVault
from holdfast.campaign.feedback import SuppressionReason
from holdfast.campaign.replies import Choice
from holdfast.pipelines.replies import Preferences
from holdfast.public.app import LARGEST_FORM, create_app
from tests.fakes.correspondence import rows, sent
from tests.fakes.operations import LINKS, NOON, contact, decide, reachable

ONE_CLICK = {"List-Unsubscribe": "One-Click"}


@pytest.fixture
def engine(engine: Engine) -> Engine:
    reachable(engine, ["7", "8"])
    return engine


@pytest.fixture
def client(engine: Engine) -> Iterator[TestClient]:
    ticks = iter(NOON + timedelta(seconds=n) for n in range(1_000))
    app = create_app("A Shop", Preferences(LINKS, RepliesDatabase(engine)), {}, lambda: next(ticks))
    with TestClient(app, follow_redirects=False) as client:
        yield client


@pytest.fixture
def token(engine: Engine) -> str:
    return LINKS.way_out(sent(engine, "7")).page.rpartition("/")[2]


def decisions(engine: Engine) -> list[tuple]:
    """What customer 7 decided since the message was sent."""
    found = rows(engine, ConsentRow, "customer_id", "channel", "status", "recorded_at", "source")
    return [(channel, status, source) for who, channel, status, at, source in found if who == "7" and at >= NOON]


def suppressed(engine: Engine) -> list[tuple]:
    return list(rows(engine, SuppressionRow, "customer_id", "channel", "reason"))


def allows_email(client: TestClient, token: str) -> bool:
    return 'value="email" checked' in client.get(f"/preferences/{token}").text


@pytest.mark.parametrize("path", ["preferences", "unsubscribe"])
def test_getting_a_link_shows_the_page_and_changes_nothing(
    client: TestClient, engine: Engine, token: str, path: str
) -> None:
    for _ in range(3):
        answer = client.get(f"/{path}/{token}")
        assert answer.status_code == 200
        assert "What you receive from A Shop" in answer.text
    assert allows_email(client, token)
    assert decisions(engine) == []
    assert suppressed(engine) == []


@pytest.mark.parametrize("form", [{"data": ONE_CLICK}, {"files": {"List-Unsubscribe": (None, "One-Click")}}])
def test_one_click_stops_the_channel_whatever_the_forms_encoding(
    client: TestClient, engine: Engine, token: str, form: dict
) -> None:
    answer = client.post(f"/unsubscribe/{token}", **form)
    assert (answer.status_code, answer.text) == (200, "unsubscribed")
    assert decisions(engine) == [("email", "withdrawn", "one_click")]
    assert suppressed(engine) == [("7", "email", "unsubscribed")]
    assert not allows_email(client, token)


def test_one_click_again_is_fine_and_records_nothing_more(client: TestClient, engine: Engine, token: str) -> None:
    for _ in range(3):
        assert client.post(f"/unsubscribe/{token}", data=ONE_CLICK).status_code == 200
    assert len(decisions(engine)) == len(suppressed(engine)) == 1


def test_a_post_that_is_no_one_click_changes_nothing(client: TestClient, engine: Engine, token: str) -> None:
    assert client.post(f"/unsubscribe/{token}", data={"something": "else"}).status_code == 404
    assert suppressed(engine) == []


def test_a_consent_that_a_later_import_brings_along_does_not_open_a_stopped_channel(
    client: TestClient, engine: Engine, token: str
) -> None:
    client.post(f"/unsubscribe/{token}", data=ONE_CLICK)
    decide(engine, ["7"], "given", NOON + timedelta(days=1))
    assert not allows_email(client, token)


def test_saving_sends_back_to_a_page_that_confirms(client: TestClient, engine: Engine, token: str) -> None:
    answer = client.post(f"/preferences/{token}", data={"stop": "all"})
    assert (answer.status_code, answer.headers["location"]) == (303, f"{token}?saved")
    after = client.get(f"/preferences/{token}?saved").text
    assert "Your choice is saved" in after
    assert "You receive no offers from A Shop" in after
    assert decisions(engine) == [("all", "withdrawn", "preference_page"), ("email", "withdrawn", "preference_page")]


def profiled(client: TestClient, token: str) -> bool:
    return 'name="profiling" value="yes" checked' in client.get(f"/preferences/{token}").text


def test_a_customer_can_object_to_profiling_and_stay_on_the_list(
    client: TestClient, engine: Engine, token: str
) -> None:
    assert profiled(client, token)
    client.post(f"/preferences/{token}", data={"channel": "email", "asked": "profiling"})
    assert not profiled(client, token)
    assert allows_email(client, token)
    assert SqlVault(engine).objectors() == {"7"}
    client.post(f"/preferences/{token}", data={"channel": "email", "asked": "profiling", "profiling": "yes"})
    assert profiled(client, token)
    assert SqlVault(engine).objectors() == frozenset()


def test_whoever_stops_all_offers_is_profiled_no_more_until_they_choose_a_channel_again(
    client: TestClient, engine: Engine, token: str
) -> None:
    client.post(f"/preferences/{token}", data={"stop": "all", "asked": "profiling", "profiling": "yes"})
    assert not profiled(client, token)
    assert SqlVault(engine).objectors() == {"7"}
    client.post(f"/preferences/{token}", data={"channel": "email"})
    assert profiled(client, token)


def test_a_customer_can_come_back(client: TestClient, engine: Engine, token: str) -> None:
    client.post(f"/unsubscribe/{token}", data=ONE_CLICK)
    client.post(f"/preferences/{token}", data={"channel": "email"})
    assert allows_email(client, token)
    assert suppressed(engine) == []
    assert sorted(decisions(engine)) == [("email", "given", "preference_page"), ("email", "withdrawn", "one_click")]


def test_saving_what_holds_already_records_nothing(client: TestClient, engine: Engine, token: str) -> None:
    client.post(f"/preferences/{token}", data={"channel": ["email", "fax", "all"]})
    assert decisions(engine) == []


def test_an_address_that_bounced_cannot_be_chosen(client: TestClient, engine: Engine, token: str) -> None:
    with RepliesDatabase(engine).writing() as tx:
        tx.suppress("7", "email", SuppressionReason.BOUNCED, "test", NOON)
    assert "We cannot reach you this way" in client.get(f"/preferences/{token}").text
    client.post(f"/preferences/{token}", data={"channel": "email"})
    assert suppressed(engine) == [("7", "email", "bounced")]
    assert not allows_email(client, token)


def test_one_customers_link_moves_nobody_else(client: TestClient, engine: Engine, token: str) -> None:
    other = LINKS.way_out(sent(engine, "8", run="other@2017-11-26")).page.rpartition("/")[2]
    client.post(f"/unsubscribe/{token}", data=ONE_CLICK)
    assert allows_email(client, other)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("path", ["preferences", "unsubscribe"])
def test_every_wrong_link_gets_the_same_page_and_no_hint(
    client: TestClient, engine: Engine, token: str, method: str, path: str
) -> None:
    never_sent = LINKS.way_out("f" * 32).page.rpartition("/")[2]
    other_key = LINKS.__class__(LINKS.base, ("another key",)).way_out("f" * 32).page.rpartition("/")[2]
    answers = [
        client.request(method, f"/{path}/{wrong}", data=ONE_CLICK if method == "POST" else None)
        for wrong in (token[:-1], token + "A", token.swapcase(), never_sent, other_key, "x", "%00", "../../etc")
    ]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.text for answer in answers}) == 1
    assert suppressed(engine) == []


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 200), st.sampled_from("AZaz09-_"))
def test_no_altered_token_acts(client: TestClient, engine: Engine, token: str, place: int, sign: str) -> None:
    place %= len(token)
    altered = token[:place] + sign + token[place + 1 :]
    if altered != token:
        assert client.post(f"/unsubscribe/{altered}", data=ONE_CLICK).status_code == 404
    assert suppressed(engine) == []


def test_the_page_speaks_the_customers_language_or_the_one_asked_for(client: TestClient, engine: Engine) -> None:
    chinese = LINKS.way_out(sent(engine, "8", locale="zh-CN")).page.rpartition("/")[2]
    assert "您从 A Shop 收到的消息" in client.get(f"/preferences/{chinese}").text
    assert "What you receive" in client.get(f"/preferences/{chinese}?lang=en").text
    asked = client.post(f"/preferences/{chinese}?lang=en", data={"channel": "email"})
    assert asked.headers["location"] == f"{chinese}?saved&lang=en"
    assert "页面不存在" in client.get("/preferences/x", headers={"Accept-Language": "zh-CN,zh;q=0.9"}).text


def test_every_channel_with_an_address_is_offered(engine: Engine) -> None:
    contact(engine, "9", email="9@shop.example", phone="+12025550143")
    with RepliesDatabase(engine).reading() as tx:
        assert tx.choices("9") == [Choice("email", allowed=False), Choice("sms", allowed=False)]
        assert tx.choices("7") == [Choice("email", allowed=True)]
        assert tx.choices("nobody") == []


def test_answers_are_kept_by_nobody_and_leak_their_address_to_nobody(client: TestClient, token: str) -> None:
    for answer in (client.get(f"/preferences/{token}"), client.get("/preferences/x")):
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_an_endless_body_is_refused(client: TestClient, engine: Engine, token: str) -> None:
    answer = client.post(f"/unsubscribe/{token}", content=b"x" * (LARGEST_FORM + 1))
    assert answer.status_code == 413
    assert suppressed(engine) == []


def test_only_health_and_the_described_routes_are_there(client: TestClient) -> None:
    assert client.get("/health").text == "ok"
    for path in ("/docs", "/openapi.json", "/redoc", "/", "/hooks/email", "/preferences"):
        assert client.get(path).status_code in (404, 405)
