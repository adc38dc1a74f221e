"""The as-of join, question by question, and against a plain reading of its rule."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from holdfast.asof import FeatureTable, asof_join

TTL = timedelta(days=3)


def day(number: float) -> datetime:
    return datetime(2017, 10, 1, tzinfo=UTC) + timedelta(days=number)


def table(*rows: tuple[str, float, float, float], name: str = "x", ttl: timedelta = TTL) -> FeatureTable:
    """A table of one feature; a row is customer, event day, day of creation, value."""
    customers, at, created, values = zip(*rows, strict=True) if rows else ((), (), (), ())
    times = pa.timestamp("us", "UTC")
    return FeatureTable(
        pa.table(
            {
                "customer_id": pa.array(customers, pa.string()),
                "event_timestamp": pa.array(map(day, at), times),
                "created_timestamp": pa.array(map(day, created), times),
                name: pa.array(values, pa.float64()),
            }
        ),
        ttl,
    )


def asked(*questions: tuple[str, float]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "customer_id": [customer for customer, _ in questions],
            "event_timestamp": pd.Series([day(at) for _, at in questions], dtype="datetime64[us, UTC]"),
        }
    )


def answers(questions: list[tuple[str, float]], *tables: FeatureTable, name: str = "x") -> list[float | None]:
    joined = asof_join(asked(*questions), tables)
    assert joined["customer_id"].tolist() == [customer for customer, _ in questions]
    assert joined["event_timestamp"].tolist() == [day(at) for _, at in questions]
    return [None if np.isnan(value) else value for value in joined[name]]


def test_the_latest_value_not_after_the_moment_answers() -> None:
    known = table(("ann", 1, 1, 10.0), ("ann", 2, 2, 20.0), ("ben", 1, 1, 30.0))
    assert answers([("ann", 0.999), ("ann", 1), ("ann", 1.5), ("ann", 2), ("ben", 2)], known) == [None, 10, 10, 20, 30]


def test_a_value_serves_until_its_ttl_and_not_a_microsecond_longer() -> None:
    known = table(("ann", 1, 1, 10.0))
    just_over = 4 + 1 / (86_400 * 1_000_000)
    assert answers([("ann", 4), ("ann", just_over)], known) == [10, None]


def test_of_two_values_for_one_moment_the_one_created_later_answers() -> None:
    assert answers([("ann", 1)], table(("ann", 1, 9, 10.0), ("ann", 1, 5, 20.0))) == [10]
    assert answers([("ann", 1)], table(("ann", 1, 5, 20.0), ("ann", 1, 9, 10.0))) == [10]


def test_a_null_is_an_answer_and_older_values_do_not_shine_through() -> None:
    assert answers([("ann", 2)], table(("ann", 1, 1, 10.0), ("ann", 2, 2, np.nan))) == [None]


def test_an_unknown_customer_gets_no_neighbours_value() -> None:
    known = table(("ann", 1, 1, 10.0), ("eve", 1, 1, 30.0))
    assert answers([("ben", 2), ("", 2), ("zoë", 2)], known) == [None, None, None]


def test_the_same_question_may_be_asked_any_number_of_times_in_any_order() -> None:
    known = table(("ann", 1, 1, 10.0), ("ben", 2, 2, 20.0))
    assert answers([("ben", 2), ("ann", 1), ("ben", 2), ("ann", 1)], known) == [20, 10, 20, 10]


def test_an_empty_table_answers_nothing_and_no_question_gets_no_answer() -> None:
    assert answers([("ann", 1)], table()) == [None]
    assert answers([], table(("ann", 1, 1, 10.0))) == []


def test_each_table_answers_with_its_own_rows_and_ttl() -> None:
    rows = (("ann", 1, 1, 10.0),)
    tables = [
        table(*rows),
        table(*rows, name="same_rows"),
        table(*rows, name="short", ttl=timedelta(days=1)),
        table(("ann", 3, 3, 40.0), name="other_rows", ttl=timedelta(days=1)),
    ]
    joined = asof_join(asked(("ann", 3)), tables).iloc[0]
    assert (joined["x"], joined["same_rows"], joined["other_rows"]) == (10, 10, 40)
    assert np.isnan(joined["short"])


def test_ids_coded_file_by_file_are_the_same_customers() -> None:
    parts = [table(("ann", 1, 1, 10.0), ("ben", 1, 1, 20.0)).rows, table(("ben", 2, 2, 30.0)).rows]
    coded = [part.set_column(0, "customer_id", part["customer_id"].dictionary_encode()) for part in parts]
    known = FeatureTable(pa.concat_tables(coded), TTL)
    assert answers([("ann", 2), ("ben", 2)], known) == [10, 30]


ids = st.sampled_from(["a", "b", "c", "d"])
days = st.integers(0, 8)


@given(st.lists(st.tuples(ids, days, days), unique=True), st.lists(st.tuples(ids, days)))
def test_any_log_gives_what_reading_it_row_by_row_gives(
    log: list[tuple[str, int, int]], questions: list[tuple[str, int]]
) -> None:
    def read(customer: str, at: int) -> float | None:
        candidates = [
            (event, created, float(number))
            for number, (who, event, created) in enumerate(log)
            if who == customer and event <= at <= event + TTL.days
        ]
        return max(candidates)[2] if candidates else None

    known = table(*((who, event, created, float(number)) for number, (who, event, created) in enumerate(log)))
    assert answers(list(questions), known) == [read(customer, at) for customer, at in questions]
