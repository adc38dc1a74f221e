"""Kinds of customers: found where there are any, named by what sets them apart, and known again later."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from holdfast.errors import MissingDataError, ModelError
from holdfast.model.personas import STABLE, Personas, fit_personas, from_json, to_json

KINDS = {"frequent": (40.0, 10.0, 0.1), "bargain": (8.0, 15.0, 0.6), "lavish": (4.0, 120.0, 0.05)}


def customers(seed: int = 1, shift: float = 0.0, **sizes: int) -> pd.DataFrame:
    """So many customers of each kind, in random order; ``shift`` moves everybody's number of orders."""
    draw = np.random.default_rng(seed)
    rows = [
        {
            "kind": kind,
            "orders_84d": orders + shift + draw.normal(0, 1.5),
            "amount_per_order": amount + draw.normal(0, 4),
            "discount_share": discount + draw.normal(0, 0.03),
        }
        for kind, (orders, amount, discount) in KINDS.items()
        for _ in range(sizes.get(kind, 80))
    ]
    return pd.DataFrame(rows).sample(frac=1, random_state=seed, ignore_index=True)


def kind_by_id(personas: Personas, rows: pd.DataFrame) -> dict[str, str]:
    """The kind that each id stands for; an id that mixes kinds fails the test."""
    kinds = rows["kind"].groupby(pd.Series(personas.assign(rows))).agg(set)
    assert all(len(one) == 1 for one in kinds), kinds
    return {str(id_): next(iter(one)) for id_, one in kinds.items()}


def test_the_kinds_that_there_are_are_found_and_each_customer_is_of_one() -> None:
    rows = customers()
    personas = fit_personas(rows, seed=7)
    assert sorted(kind_by_id(personas, rows).values()) == sorted(KINDS)
    assert sum(one.share for one in personas.personas) == pytest.approx(1)
    assert personas.chosen.number == 3
    assert personas.chosen.stability >= STABLE
    assert personas.chosen.silhouette > 0.7


def test_a_persona_is_named_by_what_sets_it_apart_in_every_language() -> None:
    rows = customers()
    personas = fit_personas(rows, seed=7)
    names = {kind_by_id(personas, rows)[one.id]: one.name for one in personas.personas}
    assert names["lavish"]["en"].startswith("spends much an order")
    assert "buys by discount" in names["bargain"]["en"]
    assert "偏爱折扣" in names["bargain"]["zh"]


def test_ids_stay_with_their_kind_when_customers_change_and_a_new_kind_gets_a_new_id() -> None:
    two = customers(lavish=0)
    before = fit_personas(two, seed=7)
    first = kind_by_id(before, two)
    later = customers(seed=2, shift=1.0, frequent=200, bargain=40)
    after = fit_personas(later, seed=8, previous=before)
    now = kind_by_id(after, later)
    assert {id_: kind for id_, kind in now.items() if id_ in first} == first
    assert [id_ for id_, kind in now.items() if kind == "lavish"] == [f"P{len(first) + 1}"]


def test_ids_survive_a_trait_that_is_new_or_gone() -> None:
    rows = customers()
    before = fit_personas(rows, seed=7)
    wider = rows.assign(evening_share=rows["kind"].map({"frequent": 0.1, "bargain": 0.5, "lavish": 0.9}))
    more = fit_personas(wider, seed=8, previous=before)
    assert kind_by_id(more, wider) == kind_by_id(before, rows)
    fewer = fit_personas(rows.drop(columns="discount_share"), seed=8, previous=before)
    assert kind_by_id(fewer, rows) == kind_by_id(before, rows)


def test_a_new_kind_gets_an_id_that_nobody_ever_had_not_even_one_whose_kind_is_gone() -> None:
    two = customers(lavish=0)
    before = replace(fit_personas(two, seed=7), ids_given=9)
    rows = customers(seed=2)
    after = fit_personas(rows, seed=7, previous=before)
    assert {id_ for id_, kind in kind_by_id(after, rows).items() if kind == "lavish"} == {"P10"}
    assert after.ids_given == 10


def test_without_memory_the_ids_could_change_with_the_customers() -> None:
    """The claim above would be empty if k-means numbered its clusters alike each time."""
    numberings = set()
    for seed in range(6):
        rows = customers(seed)
        numberings.add(tuple(sorted(kind_by_id(fit_personas(rows, seed), rows).items())))
    assert len(numberings) > 1


def test_the_stored_segmentation_is_plain_json_and_gives_the_same_personas() -> None:
    rows = customers()
    personas = fit_personas(rows, seed=7)
    stored = to_json(personas)
    assert from_json(stored) == personas
    assert from_json(stored).assign(rows) == personas.assign(rows)
    assert set(json.loads(stored)) == {"features", "centre", "scale", "median", "personas", "trials", "ids_given"}


def test_a_null_counts_as_the_median_and_a_constant_or_absent_trait_not_at_all() -> None:
    rows = customers().assign(coupon_share=0.0)
    personas = fit_personas(rows, seed=7)
    assert personas.features == ("orders_84d", "amount_per_order", "discount_share")
    unknown = rows.head(1).assign(discount_share=np.nan)
    typical = unknown.assign(discount_share=rows["discount_share"].median())
    assert personas.assign(unknown) == personas.assign(typical)


def test_too_few_customers_have_no_personas() -> None:
    with pytest.raises(MissingDataError, match="19 customers are too few"):
        fit_personas(customers().head(19), seed=7)


def test_text_that_is_no_segmentation_is_refused() -> None:
    with pytest.raises(ModelError, match="stored personas cannot be read"):
        from_json('{"features": []}')
