"""From purchases and scores to what a message knows of a customer."""

import json
from datetime import UTC, datetime

import pandas as pd
import pytest

from holdfast.campaign.messages import Case, Personal, Product
from holdfast.pipelines.personal import personals
from holdfast.pipelines.recommend import RECOMMENDATIONS, write_recommendations
from tests.fakes.lake import FakeLake
from tests.fakes.small_shop import RULES

CUTOFF = "2017-06-04"
REASONS = [{"family": "rhythm", "feature": "x", "text": "silent for 31 days", "contribution": 1.0}]


def order(order_id: str, customer: str, day: int, *product_ids: str, status: str = "completed") -> tuple[dict, list]:
    at = datetime(2017, 6, day, 12, tzinfo=UTC)
    lines = [
        {"order_id": order_id, "line_id": str(i), "product_id": product, "quantity": 1.0, "amount": 1.0}
        for i, product in enumerate(product_ids)
    ]
    return {"order_id": order_id, "customer_id": customer, "ordered_at": at, "status": status}, lines


@pytest.fixture
def lake() -> FakeLake:
    told = [
        order("1", "a", 1, "tea"),
        order("2", "b", 1, "tea", "rice"),
        order("3", "c", 2, "rice", "milk"),
        order("4", "d", 3, "soap", status="cancelled"),
        order("5", "d", 5, "soap"),  # after the cutoff
    ]
    lake = FakeLake()
    products = pd.DataFrame(
        {"product_id": ["tea", "rice", "milk", "soap"], "name": ["TEA, GREEN", "Rice", "Milk", "Soap"]}
    )
    products = products.assign(category="food", stock=None, price=[2.5, None, 1.0, 1.0], picture=None, page=None)
    customers = pd.DataFrame({"customer_id": ["a", "b"], "locale": ["zh-CN", None]})
    scores = pd.DataFrame({"customer_id": ["a", "b", "c"], "tier": "high", "probability": 0.6, "value": 20.0})
    for table, rows in {
        "orders": pd.DataFrame([one for one, _ in told]),
        "order_lines": pd.DataFrame([line for _, lines in told for line in lines]),
        "products": products.astype({"stock": float}),
        "customers": customers,
        "scores": scores.assign(cutoff=CUTOFF, reasons=[json.dumps(REASONS), json.dumps(REASONS), "[]"]),
    }.items():
        lake.replace(table, rows, where={})
    return lake


def test_products_are_chosen_from_completed_purchases_before_the_cutoff(lake: FakeLake) -> None:
    summary = write_recommendations(lake, RULES, CUTOFF, ["a", "b", "c"])
    rows = lake.read(RECOMMENDATIONS, where={"cutoff": [CUTOFF]})
    by_customer = {customer: part["product_id"].tolist() for customer, part in rows.groupby("customer_id")}
    assert by_customer == {"a": ["rice", "milk"], "b": ["milk"], "c": ["tea"]}
    assert summary == {"customers": 3, "similar_baskets": 0, "popular": 4}


def test_choosing_again_replaces_the_cutoffs_choice(lake: FakeLake) -> None:
    write_recommendations(lake, RULES, CUTOFF, ["a", "b", "c"])
    write_recommendations(lake, RULES, CUTOFF, ["a"])
    assert set(lake.read(RECOMMENDATIONS)["customer_id"]) == {"a"}


def test_a_message_knows_locale_reason_products_and_case(lake: FakeLake) -> None:
    write_recommendations(lake, RULES, CUTOFF, ["a", "b", "c"])
    known = personals(lake, CUTOFF, ["a", "c", "stranger"])
    assert known == {
        "a": Personal(
            locale="zh-CN",
            reason="rhythm",
            products=(Product("rice", "Rice"), Product("milk", "Milk", "1.00")),
            case=Case("a", "high", 0.6, 20.0, ("silent for 31 days",)),
        ),
        "c": Personal(
            products=(Product("tea", "Tea, green", "2.50"),),
            case=Case("c", "high", 0.6, 20.0, ()),
        ),
    }


def test_reasons_kept_in_several_languages_are_told_in_the_customers_own(lake: FakeLake) -> None:
    kept = [REASONS[0] | {"text": {"en": "silent for 31 days", "zh": "已有 31 天未下单"}}]
    rows = lake.read("scores").assign(reasons=json.dumps(kept, ensure_ascii=False))
    lake.replace("scores", rows, where={"cutoff": [CUTOFF]})
    known = personals(lake, CUTOFF, ["a", "b"])
    assert [known[one].case.reasons for one in "ab"] == [("已有 31 天未下单",), ("silent for 31 days",)]


def test_without_recommendations_or_customer_data_a_message_still_has_its_reason(lake: FakeLake) -> None:
    known = personals(lake, CUTOFF, ["b"])["b"]
    assert (known.locale, known.reason, known.products) == ("en", "rhythm", ())
