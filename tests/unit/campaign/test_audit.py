"""A change, removal or insertion in the audit log is found, at the entry where it begins."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from holdfast.campaign.audit import FIRST, Entry, chained, first_break
from tests.fakes.operations import NOON


def log(length: int) -> list[Entry]:
    entries: list[Entry] = []
    for seq in range(1, length + 1):
        last = entries[-1].hash if entries else FIRST
        told = {"at": NOON, "actor": "anna", "action": "campaign.stop", "subject": f"c{seq}", "details": {"n": seq}}
        entries.append(chained(last, seq=seq, **told))
    return entries


def test_an_untouched_log_holds() -> None:
    assert first_break(log(5)) is None
    assert first_break([]) is None


@given(length=st.integers(1, 8), place=st.integers(0, 7), field=st.sampled_from(["actor", "action", "subject", "hash"]))
def test_a_changed_entry_is_found(length: int, place: int, field: str) -> None:
    entries = log(length)
    place %= length
    entries[place] = replace(entries[place], **{field: "x"})
    assert first_break(entries) == place + 1


def test_a_removed_entry_is_found_where_it_was() -> None:
    entries = log(5)
    del entries[2]
    assert first_break(entries) == 3


def test_an_entry_whose_hash_was_made_to_fit_breaks_the_next() -> None:
    entries = log(5)
    forged = chained(entries[1].hash, seq=3, at=NOON, actor="eve", action="x", subject="c3", details={})
    entries[2] = forged
    assert first_break(entries) == 4
