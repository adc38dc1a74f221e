"""Pseudonyms, and what ingestion makes of the shop's ids and of whatever is made from them."""

from pathlib import Path

import pyarrow as pa

from holdfast.adapters.sources import LandingDirectory
from holdfast.mapping import Mapping
from holdfast.pipelines import landed
from holdfast.pipelines.ingest import QUARANTINE
from holdfast.pseudonyms import Identities, Pseudonyms, is_pseudonym, replaced
from tests.fakes.landing_shop import SOURCE, ZONE, Shop

NAMES = Pseudonyms("a key")


class NamedShop(Shop):
    """A shop whose customers are stored by pseudonym; ``gone`` were erased."""

    gone: frozenset[str] = frozenset()

    @property
    def identities(self) -> Identities:
        return Identities(NAMES, lambda ids: ids & self.gone)


def two_days(folder: Path) -> NamedShop:
    shop = NamedShop(folder)
    shop.land("2017-03-01/customers.csv", "id,email\nc1,ann@shop.example\nc2,bob@shop.example\n")
    shop.land_sales("2017-03-01", "o1,c1,2017-03-01 12:00:00,p1,1,2.50", "o2,stranger,2017-03-01 12:00:00,p1,1,2.50")
    shop.land_sales("2017-03-02", "o3,c1,2017-03-02 12:00:00,p1,1,2.50", "o4,c2,2017-03-02 12:00:00,p2,2,4.00")
    return shop


def test_a_pseudonym_is_the_same_for_ever_and_another_under_another_key() -> None:
    assert NAMES("4711") == NAMES("4711") == "c_dsbih7qjuqd4dts4jvw3tpn4qa"
    assert len({NAMES("4711"), NAMES("4712"), Pseudonyms("another")("4711"), NAMES.tombstone("4711")}) == 4
    assert is_pseudonym(NAMES("4711"))
    assert not any(map(is_pseudonym, ["4711", NAMES.tombstone(NAMES("4711")), NAMES("4711") + "a"]))
    assert "a key" not in repr(NAMES)


def test_what_is_missing_or_too_long_is_left_for_the_contract_to_reject() -> None:
    words, behind = replaced(pa.chunked_array([["7", None, "", "x" * 11, "7"]]), NAMES, longest=10)
    assert words.to_pylist() == [NAMES("7"), None, "", "x" * 11, NAMES("7")]
    assert behind == {NAMES("7"): "7"}


def test_every_table_and_quarantine_know_customers_by_pseudonym_and_the_vault_by_both(tmp_path: Path) -> None:
    shop = two_days(tmp_path)
    shop.run()
    ann, bob = NAMES("c1"), NAMES("c2")
    assert shop.column("customers", "customer_id") == sorted([ann, bob])
    assert shop.column("orders", "customer_id") == sorted([ann, ann, bob])
    assert set(shop.vault.tables["contacts"]["customer_id"]) == {ann, bob}
    assert shop.vault.own_ids == {ann: "c1", bob: "c2"}
    rejected = shop.lake.read(QUARANTINE).query("field == 'customer_id'")
    assert rejected["value"].tolist() == [NAMES("stranger")]


def test_a_retry_takes_a_row_in_under_its_pseudonym(tmp_path: Path) -> None:
    shop = two_days(tmp_path)
    shop.run()
    shop.land("2017-03-03/customers.csv", "id,email\nstranger,eve@shop.example\n")
    shop.run()
    shop.retry()
    assert NAMES("stranger") in shop.column("orders", "customer_id")


def test_rows_of_an_erased_customer_are_dropped_and_counted_and_leave_no_word(tmp_path: Path) -> None:
    shop = two_days(tmp_path)
    shop.gone = frozenset([NAMES("c1")])
    results = shop.run()
    assert shop.column("customers", "customer_id") == [NAMES("c2")]
    assert shop.column("orders", "order_id") == ["o4"]
    assert shop.column("order_lines", "order_id") == ["o4"]
    assert list(shop.vault.own_ids) == [NAMES("c2")]
    dropped = shop.lake.read(QUARANTINE).query("rule == @landed.ERASED", local_dict={"landed": landed})
    assert sorted(dropped["file"]) == ["2017-03-01/customers.csv", "2017-03-01/sales.csv", "2017-03-02/sales.csv"]
    assert set(dropped["value"]) == {"(withheld: personal)"}
    assert sum(result["rejected"] for result in results) == len(shop.lake.read(QUARANTINE))


def test_a_key_made_of_a_customers_id_is_no_way_round(tmp_path: Path) -> None:
    inputs = SOURCE.model_dump(exclude_unset=True)["inputs"]
    inputs["sales"]["tables"]["orders"]["columns"]["order_id"] = {"join": ["customer", "order"]}
    inputs["sales"]["tables"]["order_lines"]["columns"]["order_id"] = {"join": ["customer", "order"]}
    source = Mapping.model_validate({"inputs": inputs})
    two_days(tmp_path)
    texts = landed.read(
        LandingDirectory(tmp_path), source, ZONE, "2017-03-02/sales.csv", "b", identities=Identities(NAMES)
    ).texts
    assert set(texts["orders"]["order_id"].to_pylist()) == set(texts["order_lines"]["order_id"].to_pylist())
    assert all(map(is_pseudonym, texts["orders"]["order_id"].to_pylist()))
    assert texts["order_lines"]["product_id"].to_pylist() == ["p1", "p2"]
