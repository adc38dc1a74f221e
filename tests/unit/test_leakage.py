"""Each way to know the future is found, with the row count, an example and the remedy."""

from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import pytest

from holdfast import leakage
from holdfast.dataset import Split
from holdfast.history import History
from holdfast.leakage import Finding, Leak
from tests.fakes.shop import ZONE, Line, Redemption, tables

CUTOFF = "2017-06-04"


def rows(*keys: tuple[str, str], **columns: list[float]) -> pd.DataFrame:
    return pd.DataFrame({"customer_id": [key[0] for key in keys], "cutoff": [key[1] for key in keys], **columns})


def only(findings: list[Finding]) -> Finding:
    [finding] = findings
    return finding


def split(*parts: tuple[str, str, str]) -> list[Finding]:
    """Rows of customer, cutoff and part, labelled over 14 days."""
    return leakage.split_leaks(rows(*(part[:2] for part in parts)).assign(part=[part[2] for part in parts]), 14)


def test_what_was_known_before_a_moment_is_events_strictly_before_it_and_what_belongs_to_them() -> None:
    shop = tables(
        [Line("ann", "2017-06-03T23:59:59"), Line("ann", "2017-06-04T00:00:00")],
        [Redemption("ann", "2017-06-03T12:00"), Redemption("ann", "2017-06-04T12:00")],
    )
    known = leakage.known_before(vars(shop), datetime(2017, 6, 4, 4, tzinfo=UTC))
    assert {name: len(table) for name, table in known.items()} == {
        "orders": 1,
        "order_lines": 1,
        "products": len(shop.products),
        "redemptions": 1,
        "events": 0,
        "reviews": 0,
        "past_deliveries": 0,
    }
    assert known["order_lines"]["order_id"].tolist() == known["orders"]["order_id"].tolist()


def test_features_that_the_data_before_the_cutoff_do_not_give_are_found_to_the_last_bit() -> None:
    almost_two = np.nextafter(2, 3)
    own = rows(("ann", CUTOFF), ("ben", CUTOFF), ("eve", CUTOFF), x=[1.0, almost_two, np.nan], y=[0.0, 0.0, 0.0])
    true = rows(("eve", CUTOFF), ("ben", CUTOFF), ("ann", CUTOFF), x=[np.nan, 2.0, 1.0], y=[0.0, 0.0, 0.0])
    finding = only(leakage.late_features(own, true))
    assert (finding.leak, finding.rows) == (Leak.LATE_FEATURES, 1)
    assert "1 of 3 rows" in finding.told
    assert "in x: customer ben has x 2.0000000000000004, not 2.0" in finding.told
    assert leakage.late_features(true, true) == []


def test_a_customer_without_data_before_the_cutoff_cannot_have_features() -> None:
    finding = only(leakage.late_features(rows(("new", CUTOFF), x=[1.0]), rows(("ann", CUTOFF), x=[1.0])))
    assert "customer new has x 1.0, not nan" in finding.told


def test_a_split_by_cutoff_with_matured_labels_is_clean() -> None:
    assert split(("ann", "2017-05-21", "train"), ("ann", "2017-06-04", "test")) == []
    assert split(("ann", "2017-05-21", "train")) == []


def test_labels_that_mature_after_the_test_cutoff_are_found() -> None:
    finding = only(split(("ann", "2017-05-21", "train"), ("ann", "2017-05-22", "train"), ("ben", "2017-06-04", "test")))
    assert (finding.leak, finding.rows) == (Leak.IMMATURE_LABELS, 1)
    assert "mature up to 2017-06-05, after the first test cutoff 2017-06-04" in finding.told
    assert "no later than 2017-05-21" in finding.told


def test_a_split_by_row_is_found() -> None:
    finding = only(
        split(
            ("ann", "2017-05-07", "train"),
            ("ann", "2017-06-04", "test"),
            ("ann", "2017-06-11", "train"),
            ("ben", "2017-06-04", "train"),
        )
    )
    assert (finding.leak, finding.rows) == (Leak.RANDOM_SPLIT, 2)
    assert "(1 of them of customers who are tested too)" in finding.told


def test_the_backtests_own_splits_are_read_as_parts() -> None:
    own = rows(("ann", "2017-05-07"), ("ann", "2017-05-21"), ("ann", "2017-06-04"))
    parts = leakage.assigned(own, Split(test=date(2017, 6, 4), train=(date(2017, 5, 7),)))
    assert parts["part"].tolist() == ["train", "test"]
    assert parts["cutoff"].tolist() == ["2017-05-07", "2017-06-04"]


def labelled(churned: np.ndarray, **features: np.ndarray) -> tuple[pd.DataFrame, pd.DataFrame]:
    own = rows(*((f"c{i}", CUTOFF) for i in range(len(churned)))).assign(churned=churned, **features)
    return own, own[["customer_id", "cutoff", "churned"]]


def test_labels_that_differ_from_the_orders_are_found() -> None:
    own, truth = labelled(np.array([0, 1, 1]))
    finding = only(leakage.label_leaks(own.assign(churned=[0, 0, 1]), truth))
    assert (finding.leak, finding.rows) == (Leak.FALSE_LABEL, 1)
    assert "customer c1 at cutoff 2017-06-04 is labelled 0" in finding.told
    assert only(leakage.label_leaks(own, truth.iloc[1:])).rows == 1


@pytest.mark.parametrize("sign", [1, -1])
def test_a_feature_that_gives_the_label_away_is_found_in_either_direction(sign: int) -> None:
    churned = np.arange(100) % 2
    draw = np.random.default_rng(1)
    noise = draw.uniform(0, 1, 100)
    own, truth = labelled(churned, honest=noise + 0.5 * churned, leaking=sign * churned + 0.1 * noise)
    finding = only(leakage.label_leaks(own, truth))
    assert finding.leak is Leak.LABEL_BY_RULE
    assert finding.told.startswith("leaking alone orders the rows")


def test_nulls_that_give_the_label_away_are_found() -> None:
    churned = np.arange(100) % 2
    own, truth = labelled(churned, when_returned=np.where(churned == 1, np.nan, 5.0))
    assert only(leakage.label_leaks(own, truth)).leak is Leak.LABEL_BY_RULE


def test_a_perfect_separation_of_few_rows_may_be_chance() -> None:
    churned = np.arange(30) % 2
    own, truth = labelled(churned, x=churned.astype(float))
    assert leakage.label_leaks(own, truth) == []


def test_who_was_active_at_the_cutoff_is_the_population_and_nobody_else() -> None:
    shop = tables([Line("ann", "2017-06-01T12:00"), Line("ben", "2017-06-01T12:00"), Line("old", "2017-01-01T12:00")])
    history = History.of(shop.orders, shop.order_lines)
    assert leakage.population_leaks(rows(("ann", CUTOFF), ("ben", CUTOFF)), history, 28, ZONE) == []
    finding = only(leakage.population_leaks(rows(("ann", CUTOFF), ("old", CUTOFF)), history, 28, ZONE))
    assert (finding.leak, finding.rows) == (Leak.FUTURE_POPULATION, 2)
    assert "1 customers active at a cutoff are left out (ben at 2017-06-04)" in finding.told
    assert "1 are in without having been active (old at 2017-06-04)" in finding.told
