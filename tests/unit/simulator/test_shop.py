"""A simulated shop: the same however it is cut into parts, and what it says of itself."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from holdfast.adapters.yaml_files import load
from holdfast.errors import SettingsError
from holdfast.simulator.config import ShopConfig
from holdfast.simulator.draws import BLOCK, Purpose, uniforms
from holdfast.simulator.lives import Treatment
from holdfast.simulator.shop import SimulatedShop


@pytest.fixture(scope="module")
def config(project: Path) -> ShopConfig:
    return load(project / "config" / "simulator.yaml", ShopConfig)


def lived(shop: SimulatedShop, days: int) -> dict[str, pa.Table]:
    """All rows of so many days, by table."""
    tables: dict[str, list[pa.Table]] = {}
    for _ in range(days):
        for part in shop.live():
            for name, rows in part.items():
                tables.setdefault(name, []).append(rows)
    return {name: pa.concat_tables(parts) for name, parts in tables.items()}


def of_customers(rows: pa.Table, below: int) -> list[dict]:
    """The rows of the customers with smaller numbers, sorted."""
    chosen = [row for row in rows.to_pylist() if int(row["customer_id"].removeprefix("sim-")) < below]
    return sorted(chosen, key=str)


def test_a_number_depends_on_seed_purpose_day_and_customer_alone() -> None:
    whole = uniforms(7, Purpose.LIVES, 3, (0, 3 * BLOCK), 2)
    part = uniforms(7, Purpose.LIVES, 3, (BLOCK + 5, 2 * BLOCK + 9), 2)
    np.testing.assert_array_equal(part, whole[:, BLOCK + 5 : 2 * BLOCK + 9])
    assert (whole > 0).all()
    assert (whole < 1).all()
    for other in (
        uniforms(8, Purpose.LIVES, 3, (0, 9), 2),
        uniforms(7, Purpose.VISITS, 3, (0, 9), 2),
        uniforms(7, Purpose.LIVES, 4, (0, 9), 2),
    ):
        assert not np.isin(other, whole).any()


def test_the_stream_is_the_documented_one_of_philox() -> None:
    """Another version of NumPy, or of this module, must not quietly give other shops."""
    assert uniforms(1, Purpose.TRAITS, 0, (0, 2), 1).tolist() == [[0.30356803430675866, 0.848708749685777]]


def test_a_shop_is_the_same_whatever_the_size_of_its_parts(config: ShopConfig) -> None:
    small = lived(SimulatedShop(config, 9_000, 3, part_blocks=1), 12)
    large = lived(SimulatedShop(config, 9_000, 3, part_blocks=8), 12)
    assert small.keys() == large.keys()
    for name in small:
        assert small[name].num_rows > 50, name
        by_id = [(column, "ascending") for column in small[name].column_names[:2]]
        assert small[name].sort_by(by_id).equals(large[name].sort_by(by_id)), name


def test_a_customer_is_the_same_in_a_shop_of_any_size(config: ShopConfig) -> None:
    few, many = (lived(SimulatedShop(config, n, 3), 40) for n in (60, 5_000))
    for name in ("customers", "orders", "events", "reviews"):
        assert of_customers(few[name], 60) == of_customers(many[name], 60), name


def test_another_seed_is_another_shop(config: ShopConfig) -> None:
    one, other = (lived(SimulatedShop(config, 500, seed), 5)["order_lines"] for seed in (1, 2))
    assert not one.equals(other)


def test_what_nobody_was_sent_changes_nothing_and_a_message_changes_only_its_customer(config: ShopConfig) -> None:
    plain, treated = SimulatedShop(config, 2_000, 5), SimulatedShop(config, 2_000, 5)
    for shop in (plain, treated):
        lived(shop, 60)
    sent = list(range(0, 2_000, 2))
    treated.receive([(number, Treatment(discount=5, minimum_basket=20), f"CODE-{number}") for number in sent])
    before, after = lived(plain, 20)["orders"], lived(treated, 20)["orders"]
    left_alone = {f"sim-{number}" for number in range(1, 2_000, 2)}

    def orders(rows: pa.Table, whose: set[str]) -> list[str]:
        return [row["order_id"] for row in rows.to_pylist() if row["customer_id"] in whose]

    assert orders(before, left_alone) == orders(after, left_alone)
    assert before.num_rows != after.num_rows
    used = treated.used_coupons()
    assert used
    assert {int(one.order_id.split("-")[1]) for one in used} <= set(sent)
    assert all(one.code == f"CODE-{one.order_id.split('-')[1]}" for one in used)
    assert all(0 < one.discount <= 5 and one.basket >= 20 for one in used)
    assert treated.used_coupons() == [], "each is told once"


def test_a_coupon_is_told_at_the_time_and_with_the_sums_of_its_order(config: ShopConfig) -> None:
    shop = SimulatedShop(config, 3_000, 5)
    lived(shop, 30)
    shop.receive([(number, Treatment(discount=5, minimum_basket=20), f"C{number}") for number in range(3_000)])
    rows = lived(shop, 3)
    times = {row["order_id"]: row["ordered_at"] for row in rows["orders"].to_pylist()}
    used = shop.used_coupons()
    assert len(used) > 20
    for one in used:
        lines = [row for row in rows["order_lines"].to_pylist() if row["order_id"] == one.order_id]
        assert times[one.order_id] == one.at
        assert sum(row["coupon_discount"] for row in lines) == pytest.approx(one.discount)
        assert sum(row["amount"] for row in lines) + one.discount == pytest.approx(one.basket)


def test_everyone_has_an_address_that_no_mail_can_reach(config: ShopConfig) -> None:
    customers = lived(SimulatedShop(config, 400, 1), 2)["customers"].to_pylist()
    assert all(row["email"] == f"{row['customer_id']}@shop.example" for row in customers)
    assert {row["consent"] for row in customers} == {"given", "withdrawn"}


def test_a_shop_must_say_that_it_is_simulated(config: ShopConfig) -> None:
    with pytest.raises(ValueError, match="write 'simulated' into its name"):
        ShopConfig.model_validate(config.model_dump() | {"name": "Corner Shop"})


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("  spread: 0.4", "  spred: 0.4", "leaving.spred: unknown key; did you mean 'spread'?"),
        ("share: 0.30", "share: 0.40", "responses: the shares of the four kinds add up to 1.1"),
        ("first_day: 2024-01-01", "first_day: soon", "first_day: 'soon'"),
        ("consents: 0.95", "consents: 2", "consents: 2: Input should be less than or equal to 1"),
    ],
)
def test_a_wrong_configuration_is_refused_by_key_and_value(
    project: Path, tmp_path: Path, key: str, value: str, told: str
) -> None:
    text = (project / "config" / "simulator.yaml").read_text()
    assert key in text
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(text.replace(key, value, 1))
    with pytest.raises(SettingsError) as error:
        load(wrong, ShopConfig)
    assert told in str(error.value)
