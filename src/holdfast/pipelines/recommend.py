"""Writes which products each scored customer is to be shown, as of a cutoff."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TypedDict

from holdfast import windows
from holdfast.model.recommendation import Source, recommend
from holdfast.pipelines.canonical import read
from holdfast.ports import Lake
from holdfast.purchases import purchases
from holdfast.rules import Rules

RECOMMENDATIONS = "recommendations"
"""The lake table of recommended products: one row per cutoff, customer and rank."""


class Recommended(TypedDict):
    """How many customers got products, and how many products were chosen in either way."""

    customers: int
    similar_baskets: int
    popular: int


def write_recommendations(lake: Lake, rules: Rules, cutoff: str, customers: list[str]) -> Recommended:
    """Choose products for these customers from purchases before ``cutoff`` (ISO date) and replace the cutoff's choice.

    Purchases count for ``rules.recommendations.lookback_days``; what a customer bought even earlier may come up again.
    """
    end = windows.instant(date.fromisoformat(cutoff), rules.shop.zone)
    orders, lines = read(lake, "orders"), read(lake, "order_lines")
    start = end - timedelta(days=rules.recommendations.lookback_days)
    recent = orders[(orders["ordered_at"] >= start) & (orders["ordered_at"] < end)]
    of_recent = lines[lines["order_id"].isin(recent["order_id"])]
    bought = of_recent.merge(purchases(recent, of_recent)[["order_id", "customer_id"]], on="order_id")
    chosen = recommend(bought, read(lake, "products"), customers, rules.recommendations.products)
    lake.replace(RECOMMENDATIONS, chosen.assign(cutoff=cutoff), where={"cutoff": [cutoff]})
    return Recommended(
        customers=chosen["customer_id"].nunique(),
        similar_baskets=int((chosen["source"] == Source.SIMILAR_BASKETS).sum()),
        popular=int((chosen["source"] == Source.POPULAR).sum()),
    )
