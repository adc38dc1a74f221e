"""Products for each customer: what people with similar baskets buy, or what is popular where the customer shops.

Implicit-feedback matrix factorisation (Hu, Koren and Volinsky 2008, as the library ``implicit`` fits it) needs some
purchases to go by; customers with fewer get what most people bought in the category they buy from most.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

FACTORS, ROUNDS, SEED = 32, 12, 7
WEIGHT = 1.0
"""How much surer a purchase makes us than its absence (alpha of the paper). Larger ones did worse on real baskets."""
ENOUGH_PRODUCTS = 5
"""Different products a customer must have bought for the factors to say anything about them."""


class Source(StrEnum):
    """How a product was chosen for a customer."""

    SIMILAR_BASKETS = "similar_baskets"
    POPULAR = "popular"


@dataclass(frozen=True)
class _Purchases:
    """Who bought what how often: ``counts`` (customers × products, sparse), rows and columns in sorted order."""

    customers: NDArray[np.object_]
    products: NDArray[np.object_]
    counts: Any

    @classmethod
    def of(cls, bought: pd.DataFrame) -> _Purchases:
        from scipy.sparse import csr_matrix

        row, customers = pd.factorize(bought["customer_id"], sort=True)
        column, products = pd.factorize(bought["product_id"], sort=True)
        shape = (len(customers), len(products))
        counts = csr_matrix((np.ones(len(bought), np.float32), (row, column)), shape=shape)
        return cls(np.asarray(customers, dtype=object), np.asarray(products, dtype=object), counts)


def recommend(bought: pd.DataFrame, products: pd.DataFrame, customers: Sequence[str], count: int) -> pd.DataFrame:
    """Up to ``count`` products for each of ``customers``, the best first.

    ``bought`` has a row for each purchase (customer_id, product_id); ``products`` the columns product_id, category
    (path, parts joined by " > "), name, and stock (pieces; missing is taken as enough). Products without a name, those
    out of stock, and those that the customer bought already, under this or another id of the same name, are never
    among them, and no name comes twice. Returns customer_id, rank (from 1), product_id and source; the same rows in
    any order give the same answer.
    """
    catalogue = products.dropna(subset=["name"]).sort_values("product_id").set_index("product_id")
    known = bought[bought["product_id"].isin(products["product_id"])]
    if known.empty or catalogue.empty:
        return pd.DataFrame({"customer_id": [], "rank": [], "product_id": [], "source": []})
    purchases = _Purchases.of(known)
    sellable = catalogue.index[~(catalogue["stock"] <= 0)]
    names, category = catalogue["name"].to_dict(), _category(products)
    popular = _popularity(known, sellable, category)
    places = {customer: i for i, customer in enumerate(purchases.customers)}
    similar = _similar(purchases, set(sellable), [c for c in customers if c in places], places, count)
    rows: list[tuple[str, int, str, str]] = []
    for customer in customers:
        place = places.get(customer)
        own = [] if place is None else purchases.products[purchases.counts[place].indices].tolist()
        favourite = _favourite(purchases, place, category)
        ranked = [(product, Source.SIMILAR_BASKETS) for product in similar.get(customer, ())]
        ranked += [(product, Source.POPULAR) for product in popular.first(favourite, count + len(own))]
        taken = {names.get(product) for product in own}
        rank = 0
        for product, source in ranked:
            if rank == count:
                break
            if names[product] not in taken:
                taken.add(names[product])
                rank += 1
                rows.append((customer, rank, product, source.value))
    return pd.DataFrame(rows, columns=["customer_id", "rank", "product_id", "source"])


def _similar(
    purchases: _Purchases, sellable: set[str], customers: Sequence[str], places: dict[str, int], count: int
) -> dict[str, list[str]]:
    """The factors' choice for those customers who bought enough for it."""
    from implicit.cpu.als import AlternatingLeastSquares
    from threadpoolctl import threadpool_limits

    breadth = np.diff(purchases.counts.indptr)
    asked = [one for one in customers if breadth[places[one]] >= ENOUGH_PRODUCTS]
    if not asked or len(purchases.products) <= FACTORS:
        return {}
    with threadpool_limits(1, "blas"):  # many small products of matrices: threads only wait for one another
        model = AlternatingLeastSquares(
            factors=FACTORS, alpha=WEIGHT, iterations=ROUNDS, random_state=SEED, num_threads=1
        )
        model.fit(purchases.counts, show_progress=False)
        rows = np.array([places[one] for one in asked])
        unsellable = np.flatnonzero([product not in sellable for product in purchases.products])
        chosen, scores = model.recommend(
            rows, purchases.counts[rows], N=min(4 * count, len(purchases.products)), filter_items=unsellable
        )
    # Items that were filtered out, where too few are left, come back with the lowest score there is.
    usable = scores > np.finfo(np.float32).min / 2
    return {
        one: purchases.products[places_of[fit]].tolist()
        for one, places_of, fit in zip(asked, chosen, usable, strict=True)
    }


@dataclass(frozen=True)
class _Popularity:
    """Sellable products by the number of customers who bought them, in each category and over all."""

    by_category: dict[str, list[str]]
    overall: list[str]

    def first(self, category: str | None, count: int) -> Iterator[str]:
        """About the ``count`` most popular of the category, then as many over all."""
        yield from self.by_category.get(category or "", [])[:count]
        yield from self.overall[: 2 * count]


def _popularity(bought: pd.DataFrame, sellable: pd.Index, category: dict[str, str]) -> _Popularity:
    pairs = bought.loc[bought["product_id"].isin(sellable), ["customer_id", "product_id"]].drop_duplicates()
    buyers = pairs["product_id"].value_counts().rename("buyers").rename_axis("product_id").reset_index()
    ranked = buyers.sort_values(["buyers", "product_id"], ascending=[False, True])
    ranked["category"] = ranked["product_id"].map(category)
    by_category = {str(name): part["product_id"].tolist() for name, part in ranked.groupby("category")}
    return _Popularity(by_category, ranked["product_id"].tolist())


def _category(products: pd.DataFrame) -> dict[str, str]:
    """Each product's widest category."""
    listed = products.dropna(subset=["category"])
    return dict(zip(listed["product_id"], listed["category"].str.partition(" > ")[0], strict=True))


def _favourite(purchases: _Purchases, place: int | None, category: dict[str, str]) -> str | None:
    """The category that the customer bought from most, by purchases; the first by name of several."""
    if place is None:
        return None
    row = purchases.counts[place]
    tally: dict[str, float] = {}
    for product, times in zip(purchases.products[row.indices], row.data, strict=True):
        if product in category:
            tally[category[product]] = tally.get(category[product], 0.0) + float(times)
    return min(tally, key=lambda name: (-tally[name], name), default=None)
