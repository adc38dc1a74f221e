"""Webhook signatures: the published example, and nothing altered, old or unsigned."""

import base64
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.campaign.signing import TOLERANCE, is_signed, key_of, new_secret, sign
from holdfast.errors import SettingsError
from tests.fakes.operations import NOON

KEY = b"k" * 24
BODY = b'{"a": 1}'


def test_it_signs_as_the_specifications_example_does() -> None:
    key = key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    at = datetime.fromtimestamp(1614265330, UTC)
    headers = sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", at, b'{"test": 2432232314}')
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_a_signature_holds_for_its_own_key_body_id_and_time_alone() -> None:
    headers = sign(KEY, "7", NOON, BODY)
    assert is_signed([b"older" * 5, KEY], headers, BODY, NOON)
    assert not is_signed([b"other" * 5], headers, BODY, NOON)
    assert not is_signed([KEY], headers, BODY + b" ", NOON)
    assert not is_signed([KEY], headers | {"webhook-id": "8"}, BODY, NOON)
    assert not is_signed([KEY], headers | {"webhook-timestamp": str(int(NOON.timestamp()) + 1)}, BODY, NOON)


@pytest.mark.parametrize("age", [TOLERANCE + timedelta(seconds=1), -TOLERANCE - timedelta(seconds=1)])
def test_a_recording_is_no_message(age: timedelta) -> None:
    assert not is_signed([KEY], sign(KEY, "7", NOON, BODY), BODY, NOON + age)


def test_one_of_several_signatures_is_enough() -> None:
    headers = sign(KEY, "7", NOON, BODY)
    assert is_signed([KEY], headers | {"webhook-signature": f"v1,AAAA {headers['webhook-signature']}"}, BODY, NOON)


@given(st.dictionaries(st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature"]), st.text()))
def test_whatever_the_headers_hold_it_is_an_answer_and_no_error(headers: dict[str, str]) -> None:
    assert not is_signed([KEY], headers, BODY, NOON)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_short", "hunter2hunter2", "whsec_ä", "k" * 40])
def test_a_weak_or_malformed_secret_is_refused_without_repeating_it(secret: str) -> None:
    with pytest.raises(SettingsError, match="whsec_") as caught:
        key_of(secret)
    assert "hunter2" not in str(caught.value)


def test_a_secret_gives_back_its_key() -> None:
    assert key_of("whsec_" + base64.b64encode(KEY).decode()) == KEY
    assert len(key_of(new_secret())) == 32
    assert new_secret() != new_secret()
