"""What a message knows of each customer besides address and coupon, gathered from the lake when it is planned."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from holdfast.campaign.messages import Case, Personal, Product
from holdfast.campaign.rendering import DEFAULT_LANGUAGE
from holdfast.pipelines.canonical import read
from holdfast.pipelines.recommend import RECOMMENDATIONS
from holdfast.pipelines.score import SCORES
from holdfast.ports import Lake


def personals(lake: Lake, cutoff: str, customer_ids: Sequence[str]) -> dict[str, Personal]:
    """Locale, first reason's family, recommended products and the care desk's case, by customer.

    Customers of whom nothing is known are left out: for them ``Personal()`` holds.
    """
    wanted = set(customer_ids)
    locales = _locales(lake)
    products = _products(lake, cutoff, wanted)
    scores = lake.read(SCORES, where={"cutoff": [cutoff]})
    found: dict[str, Personal] = {}
    for row in scores[scores["customer_id"].isin(wanted)].to_dict("records"):
        customer = str(row["customer_id"])
        locale = locales.get(customer, DEFAULT_LANGUAGE)
        reasons: list[dict[str, Any]] = json.loads(row["reasons"])
        found[customer] = Personal(
            locale=locale,
            reason=reasons[0]["family"] if reasons else None,
            products=tuple(products.get(customer, ())),
            case=Case(
                customer_id=customer,
                tier=str(row["tier"]),
                probability=float(row["probability"]),
                value=float(row["value"]),
                reasons=tuple(_in_language(reason["text"], locale) for reason in reasons),
            ),
        )
    return found


def _locales(lake: Lake) -> dict[str, str]:
    customers = read(lake, "customers").dropna(subset=["locale"])
    return dict(zip(customers["customer_id"], customers["locale"].astype(str), strict=True))


def _products(lake: Lake, cutoff: str, wanted: set[str]) -> dict[str, list[Product]]:
    """Each wanted customer's recommended products, the best first."""
    if not lake.exists(RECOMMENDATIONS):
        return {}
    chosen = lake.read(RECOMMENDATIONS, where={"cutoff": [cutoff]})
    chosen = chosen[chosen["customer_id"].isin(wanted)].merge(read(lake, "products"), on="product_id")
    shown: dict[str, list[Product]] = {}
    for row in chosen.sort_values(["customer_id", "rank"]).to_dict("records"):
        shown.setdefault(str(row["customer_id"]), []).append(
            Product(
                product_id=str(row["product_id"]),
                name=_readable(str(row["name"])),
                price=None if pd.isna(row["price"]) else f"{row['price']:.2f}",
                picture=None if pd.isna(row["picture"]) else str(row["picture"]),
                page=None if pd.isna(row["page"]) else str(row["page"]),
            )
        )
    return shown


def _in_language(text: str | Mapping[str, str], locale: str) -> str:
    """A stored reason's words for someone with this locale: kept by language, or as one English text."""
    if isinstance(text, str):
        return text
    return text.get(locale.partition("-")[0], text[DEFAULT_LANGUAGE])


def _readable(name: str) -> str:
    """Shops' systems often shout; ``YOGURT, PLAIN`` reads as ``Yogurt, plain``."""
    return name.capitalize() if name.isupper() else name
