"""Products for each customer: nothing bought already, nothing out of stock, nothing twice, something for everyone."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.model.recommendation import ENOUGH_PRODUCTS, FACTORS, Source, recommend

GROUP = 40  # products of each of two worlds; more than the factors have dimensions


def products(**changes: dict[str, object]) -> pd.DataFrame:
    """Eighty products, the first forty of category tea, the others of category coffee."""
    rows = []
    for i in range(2 * GROUP):
        product = f"p{i:02}"
        category = "tea > green" if i < GROUP else "coffee > beans"
        rows.append(
            {"product_id": product, "category": category, "name": f"N{i:02}", "stock": None} | changes.get(product, {})
        )
    return pd.DataFrame(rows).astype({"stock": float})


def two_worlds() -> pd.DataFrame:
    """Thirty customers who drink only tea and thirty who drink only coffee, each with about half of the kinds."""
    rows = [
        {"customer_id": f"{world}{customer:02}", "product_id": f"p{offset + kind:02}"}
        for world, offset in (("tea", 0), ("coffee", GROUP))
        for customer in range(30)
        for kind in range(GROUP)
        if (customer * 7 + kind * 11) % 23 < 11
    ]
    return pd.DataFrame(rows)


def bought_by(customer: str, *product_ids: str) -> pd.DataFrame:
    return pd.DataFrame({"customer_id": customer, "product_id": list(product_ids)})


def chosen(table: pd.DataFrame, customer: str) -> list[str]:
    return table[table["customer_id"] == customer].sort_values("rank")["product_id"].tolist()


def test_similar_baskets_decide_for_those_who_bought_enough() -> None:
    few = [f"p{i:02}" for i in range(1, ENOUGH_PRODUCTS + 1)]
    table = recommend(pd.concat([two_worlds(), bought_by("new", *few)]), products(), ["new", "coffee00"], 4)
    assert all(product < f"p{GROUP}" for product in chosen(table, "new"))
    assert all(product >= f"p{GROUP}" for product in chosen(table, "coffee00"))
    assert set(table["source"]) == {Source.SIMILAR_BASKETS.value}
    assert table["rank"].tolist() == [1, 2, 3, 4] * 2


def test_who_bought_little_gets_what_is_popular_where_they_shop() -> None:
    popular = pd.concat([bought_by(f"x{i}", "p41") for i in range(50)])
    table = recommend(pd.concat([two_worlds(), popular, bought_by("new", "p45")]), products(), ["new"], 1)
    assert chosen(table, "new") == ["p41"]
    assert table["source"].tolist() == [Source.POPULAR.value]


def test_a_stranger_gets_what_is_popular_over_all() -> None:
    popular = pd.concat([bought_by(f"x{i}", "p03") for i in range(50)])
    assert chosen(recommend(pd.concat([two_worlds(), popular]), products(), ["stranger"], 2), "stranger")[0] == "p03"


def test_out_of_stock_and_nameless_products_are_left_out() -> None:
    everyone = sorted(two_worlds()["customer_id"].unique())
    without = products(p02={"stock": 0}, p42={"name": None}, p03={"stock": 5})
    table = recommend(two_worlds(), without, everyone, 20)
    assert not set(table["product_id"]) & {"p02", "p42"}
    assert "p03" in set(table["product_id"])


def test_a_product_under_another_id_of_a_name_bought_already_is_not_news() -> None:
    same = products(p01={"name": "N00"})
    table = recommend(two_worlds(), same, ["tea00"], 30)
    assert "p00" in set(two_worlds().query("customer_id == 'tea00'")["product_id"])
    assert "p01" not in chosen(table, "tea00")


@settings(max_examples=25)
@given(st.data())
def test_whatever_was_bought_nothing_is_recommended_twice_or_bought_already(data: st.DataObject) -> None:
    pairs = data.draw(st.lists(st.tuples(st.integers(0, 8), st.integers(0, FACTORS + 8)), min_size=1, max_size=200))
    bought = pd.DataFrame({"customer_id": [f"c{c}" for c, _ in pairs], "product_id": [f"p{p:02}" for _, p in pairs]})
    everyone = [f"c{c}" for c in range(10)]
    table = recommend(bought, products(), everyone, 5)
    assert not table.duplicated(["customer_id", "product_id"]).any()
    assert table.merge(bought, on=["customer_id", "product_id"]).empty
    assert (table.groupby("customer_id")["rank"].max() <= 5).all()
    shuffled = bought.sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(recommend(shuffled, products(), everyone, 5), table)


@pytest.mark.parametrize("rows", [0, 3])
def test_a_shop_without_purchases_or_without_products_gets_no_rows(rows: int) -> None:
    nothing = recommend(two_worlds().head(0), products().head(rows), ["tea00"], 4)
    assert nothing.empty
    assert list(nothing.columns) == ["customer_id", "rank", "product_id", "source"]
