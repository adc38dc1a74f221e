"""The vault at rest: what it holds is unreadable without the key, bound to its place, and its keys can be renewed."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy import Engine, select, update

from holdfast.adapters.operations import database
from holdfast.adapters.operations.models import ContactRow, IdentityRow
from holdfast.adapters.operations.sealing import Keyring
from holdfast.adapters.operations.vault import SqlVault
from holdfast.errors import SettingsError
from holdfast.pipelines.identities import hold_to_pseudonyms
from holdfast.pseudonyms import Pseudonyms
from tests.fakes.lake import FakeLake
from tests.fakes.operations import BACKENDS, KEYRING, NOON, contact_rows, operations_engine
from tests.fakes.vault import FakeVault

ANN = {"email": "ann@shop.example", "phone": "+12025550143", "push_token": "tok-1", "given_name": "Ann"}


def filled(engine: Engine, *keys: str, customers: int = 3) -> SqlVault:
    vault = SqlVault(engine, Keyring(keys or ("old",)))
    vault.identify({f"c_{i}": f"shop-{i}" for i in range(customers)})
    rows = pd.DataFrame([{"customer_id": f"c_{i}", "batch": "b", **ANN} for i in range(customers)])
    vault.append("contacts", rows, ["b"])
    return vault


@pytest.fixture(params=[*BACKENDS, "fake"])
def vault(request: pytest.FixtureRequest, tmp_path: Path) -> SqlVault | FakeVault:
    """The Vault port, and the fake that ingestion's tests use."""
    return FakeVault() if request.param == "fake" else SqlVault(operations_engine(tmp_path, request.param), KEYRING)


def test_a_batch_is_loaded_once_and_a_later_contact_replaces_the_earlier(vault: SqlVault | FakeVault) -> None:
    first = contact_rows(("1", "old@shop.example", "Anna", "a"), ("2", "ben@shop.example", None, "a"))
    assert vault.append("contacts", first, ["a"]) == 2
    assert vault.append("contacts", contact_rows(("1", "new@shop.example", None, "b")), ["b"]) == 1
    assert vault.append("contacts", first, ["a"]) == 0
    assert vault.contact("1") == {"email": "new@shop.example"}
    assert vault.contact("2") == {"email": "ben@shop.example"}


def test_of_a_repeated_and_a_fresh_batch_together_only_the_fresh_one_is_loaded(vault: SqlVault | FakeVault) -> None:
    vault.append("contacts", contact_rows(("1", "a@shop.example", None, "a")), ["a"])
    both = contact_rows(("1", "changed@shop.example", None, "a"), ("2", "b@shop.example", None, "b"))
    assert vault.append("contacts", both, ["a", "b"]) == 1
    assert [vault.contact(one)["email"] for one in "12"] == ["a@shop.example", "b@shop.example"]


def test_a_batch_without_rows_is_noted_too_by_table(vault: SqlVault | FakeVault) -> None:
    assert vault.append("contacts", contact_rows(), ["a"]) == 0
    assert vault.append("contacts", contact_rows(("1", "slow@shop.example", None, "a")), ["a"]) == 0
    consent = {"customer_id": "1", "purpose": "marketing", "channel": "email", "status": "given", "recorded_at": NOON}
    assert vault.append("consents", pd.DataFrame([consent | {"batch": "a"}]), ["a"]) == 1


def test_who_is_known_keeps_their_first_own_id(vault: SqlVault | FakeVault) -> None:
    vault.identify({"c_1": "shop-1"})
    vault.identify({"c_1": "another", "c_2": "shop-2"})
    assert [vault.own_id(one) for one in ("c_1", "c_2", "c_3")] == ["shop-1", "shop-2", None]


def test_a_table_of_the_lake_is_not_taken(vault: SqlVault | FakeVault) -> None:
    with pytest.raises(ValueError, match="'orders' does not belong to the vault"):
        vault.append("orders", pd.DataFrame({"batch": ["a"]}), ["a"])


def test_contacts_and_own_ids_come_back_and_lie_sealed(engine: Engine) -> None:
    vault = filled(engine)
    assert vault.contact("c_1") == ANN
    assert vault.own_id("c_1") == "shop-1"
    assert (vault.contact("c_9"), vault.own_id("c_9")) == ({}, None)
    with database.reading(engine) as connection:
        stored = [*connection.execute(select(ContactRow.__table__)), *connection.execute(select(IdentityRow.__table__))]
    kept = repr(stored).encode()
    assert not [word for word in (*ANN.values(), "shop-1") if word.encode() in kept]
    ciphertexts = [value for row in stored for value in row if isinstance(value, bytes)]
    assert len(ciphertexts) == len(set(ciphertexts)), "two customers with one address differ"


def test_the_customer_is_known_by_the_first_own_id_and_keeps_one_data_key(engine: Engine) -> None:
    vault = filled(engine)
    with database.reading(engine) as connection:
        before = connection.scalars(select(IdentityRow.data_key)).all()
    vault.identify({"c_1": "another", "c_2": "shop-2"})
    assert vault.own_id("c_1") == "shop-1"
    with database.reading(engine) as connection:
        assert connection.scalars(select(IdentityRow.data_key)).all() == before


@pytest.mark.parametrize(("field", "of"), [("email", "given_name"), ("given_name", "given_name")])
def test_a_sealed_value_opens_in_its_own_place_alone(engine: Engine, field: str, of: str) -> None:
    vault = filled(engine)
    sealed = {name: getattr(ContactRow, name) for name in (field, of)}
    with database.writing(engine) as connection:
        theirs = connection.scalar(select(sealed[of]).where(ContactRow.customer_id == "c_2"))
        connection.execute(update(ContactRow).where(ContactRow.customer_id == "c_1").values({field: theirs}))
    with pytest.raises(SettingsError, match=f"the vault's {field} of customer c_1 cannot be opened"):
        vault.contact("c_1")


def test_rotation_goes_on_where_it_was_broken_off_and_then_the_old_key_is_not_needed(engine: Engine) -> None:
    filled(engine, "old", customers=7)
    both = SqlVault(engine, Keyring(("old", "new")))
    both.identify({"c_late": "late"})
    with database.writing(engine) as connection:  # a rotation that got as far as two
        for one in ("c_0", "c_1"):
            row = connection.execute(select(IdentityRow.__table__).where(IdentityRow.customer_id == one)).one()
            wrapped = Keyring(("old", "new")).rewrap(one, row)
            connection.execute(update(IdentityRow).where(IdentityRow.customer_id == one).values(vars(wrapped)))
    new = SqlVault(engine, Keyring(("new",)))
    with pytest.raises(SettingsError, match=r"under the key [0-9a-f]{12}, which HOLDFAST_VAULT_KEYS does not have"):
        new.contact("c_5")
    assert both.rotate(at_once=2) == 5
    assert both.rotate() == 0
    assert [new.contact(f"c_{i}") for i in range(7)] == [ANN] * 7
    assert new.own_id("c_late") == "late"


def test_without_a_key_nothing_is_taken_in_and_an_empty_key_is_refused(engine: Engine) -> None:
    with pytest.raises(SettingsError, match="HOLDFAST_VAULT_KEYS"):
        SqlVault(engine).identify({"c_1": "1"})
    with pytest.raises(SettingsError, match="HOLDFAST_VAULT_KEYS"):
        Keyring(("",))


def test_a_lake_of_other_names_or_another_key_is_refused_before_anything_is_mixed(engine: Engine) -> None:
    names, lake = Pseudonyms("a key"), FakeLake()
    vault = SqlVault(engine, Keyring(("k",)))
    hold_to_pseudonyms(lake, vault, names)
    lake.append("customers", pd.DataFrame({"customer_id": ["17"], "batch": ["b"]}), ["b"])
    with pytest.raises(SettingsError, match="customers whom the vault does not know"):
        hold_to_pseudonyms(lake, vault, names)
    vault.identify({names("17"): "17"})
    hold_to_pseudonyms(lake, vault, names)
    with pytest.raises(SettingsError, match="the pseudonym key is not the one"):
        hold_to_pseudonyms(lake, vault, Pseudonyms("another"))


def decided(engine: Engine, *rows: tuple[str, str, str, str, int]) -> None:
    """Consents of (customer, purpose, channel, status, hours after noon)."""
    columns = ["customer_id", "purpose", "channel", "status", "recorded_at"]
    frame = pd.DataFrame([(*row[:4], NOON + timedelta(hours=row[4])) for row in rows], columns=columns)
    SqlVault(engine).append("consents", frame.assign(batch="b"), ["b"])


def test_who_objects_to_profiling_or_to_direct_marketing_as_such_is_not_profiled(engine: Engine) -> None:
    decided(
        engine,
        ("no_profile", "profiling", "all", "withdrawn", 0),
        ("no_marketing", "marketing", "all", "withdrawn", 0),
        ("no_mail", "marketing", "email", "withdrawn", 0),
        ("yes", "marketing", "email", "given", 0),
        ("back", "marketing", "all", "withdrawn", 0),
        ("back", "marketing", "sms", "given", 1),
        ("back_and_gone", "profiling", "all", "withdrawn", 2),
        ("back_and_gone", "profiling", "all", "given", 1),
        ("tie", "profiling", "all", "given", 0),
        ("tie", "profiling", "all", "withdrawn", 0),
    )
    assert SqlVault(engine).objectors() == {"no_profile", "no_marketing", "back_and_gone", "tie"}


def test_a_secret_made_on_first_use_is_outside_the_database_and_for_one_pair_of_eyes(tmp_path: Path) -> None:
    from holdfast.adapters.secret_file import kept_secret

    path = tmp_path / "secrets" / "vault"
    assert kept_secret(path) == kept_secret(path)
    assert path.stat().st_mode & 0o077 == 0
