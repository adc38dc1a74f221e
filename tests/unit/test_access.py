"""API keys and how fast each may ask."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.access import ApiKey, Bucket, Keyring, Scope, new_key, require_room
from holdfast.errors import AccessError

NOW = datetime(2017, 11, 26, 12, tzinfo=UTC)


def made(name: str = "till", at: datetime = NOW, days: int = 30, rate: float = 10) -> tuple[str, ApiKey]:
    return new_key(name, [Scope.SCORES], rate=rate, burst=20, valid_for=timedelta(days=days), at=at)


def ring(*keys: ApiKey) -> Keyring:
    found = Keyring()
    found.replace(keys, 0.0)
    return found


def test_a_key_opens_and_what_is_kept_does_not_tell_it() -> None:
    text, key = made()
    grant = ring(key).find(text.encode(), NOW)
    assert grant is not None
    assert grant.key == key
    assert text[16:] not in repr(key)
    assert text.startswith(f"hf_{key.id}_")


def test_two_keys_are_never_alike() -> None:
    assert len({made()[0] for _ in range(100)}) == 100


@pytest.mark.parametrize("change", [lambda t: t[:-1], lambda t: t + "A", lambda t: t.upper(), lambda t: f" {t}"])
def test_an_altered_key_does_not_open(change) -> None:  # type: ignore[no-untyped-def]
    text, key = made()
    assert ring(key).find(change(text).encode(), NOW) is None


@given(st.binary(max_size=80))
def test_no_bytes_at_all_open_but_the_key(presented: bytes) -> None:
    _, key = made()
    assert ring(key).find(presented, NOW) is None
    assert ring(key).find(f"hf_{key.id}_".encode() + presented, NOW) is None


def test_a_key_ends_at_its_expiry_and_when_it_is_revoked() -> None:
    text, key = made(days=1)
    day = timedelta(days=1)
    assert ring(key).find(text.encode(), NOW + day - timedelta(microseconds=1))
    assert ring(key).find(text.encode(), NOW + day) is None
    assert ring(replace(key, revoked_at=NOW)).find(text.encode(), NOW) is None


def test_two_keys_of_a_name_may_be_valid_at_once_and_no_third() -> None:
    first, second = made()[1], made()[1]
    require_room([first], "till", NOW)
    with pytest.raises(AccessError, match=rf"2 valid keys already \({first.id}, {second.id}\).*revoke"):
        require_room([first, second], "till", NOW)
    require_room([first, second], "web-shop", NOW)
    require_room([first, replace(second, revoked_at=NOW)], "till", NOW)
    require_room([first, second], "till", NOW + timedelta(days=30))


@pytest.mark.parametrize("name", ["", "x" * 61, "till\n"])
def test_a_name_that_a_list_could_not_show_is_refused(name: str) -> None:
    with pytest.raises(AccessError, match="no name for a key"):
        made(name)


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    bucket = Bucket(rate=10, burst=3, at=0)
    assert [bucket.take(1, 0) for _ in range(4)] == [0, 0, 0, pytest.approx(0.1)]
    assert bucket.take(1, 0.1) == 0
    assert bucket.take(1, 0.1) > 0
    assert [bucket.take(1, 100) for _ in range(4)][2:] == [0, pytest.approx(0.1)]


def test_more_than_a_burst_is_given_when_the_bucket_is_full_and_paid_for_later() -> None:
    bucket = Bucket(rate=10, burst=3, at=0)
    assert bucket.take(8, 0) == 0
    assert bucket.take(1, 0) == pytest.approx(0.6)
    assert bucket.take(1, 0.61) == 0


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(1, 5)), max_size=60), st.floats(0.5, 50), st.integers(5, 50))
def test_never_more_is_given_than_burst_and_rate_allow(asked: list[tuple[float, int]], rate: float, burst: int) -> None:
    bucket, at, given_out = Bucket(rate, burst, 0), 0.0, 0
    for pause, tokens in asked:
        at += pause
        if bucket.take(tokens, at) == 0:
            given_out += tokens
    assert given_out <= burst + rate * at + 1e-6


def test_reading_the_keys_anew_forgives_nobody_and_a_changed_pace_holds() -> None:
    text, key = made(rate=10)
    keys = ring(key)

    def take() -> float:
        grant = keys.find(text.encode(), NOW)
        assert grant is not None
        return grant.bucket.take(20, 0)

    assert take() == 0
    keys.replace([key], 0.0)
    assert take() == pytest.approx(2.0)
    keys.replace([replace(key, rate=40)], 0.0)
    assert take() == 0


def test_of_several_processes_each_gives_its_share() -> None:
    text, key = made(rate=10)
    half = Keyring(share=0.5)
    half.replace([key], 0.0)
    grant = half.find(text.encode(), NOW)
    assert grant is not None
    assert [grant.bucket.take(10, 0), grant.bucket.take(1, 0)] == [0, pytest.approx(0.2)]
