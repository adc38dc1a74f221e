"""Counts over windows and ranks equal those of the plainest possible program."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast import windows
from holdfast.features.arithmetic import Span
from holdfast.features.ranks import WaveletMatrix
from tests.fakes.shop import CATEGORIES, ZONE, Line, tables
from tests.unit.features.story import features

CUTOFFS = [date(2017, 11, 1) + timedelta(days=9 * step) for step in range(6)]
_lines = st.lists(
    st.builds(
        lambda customer, day, product: Line(
            customer, (pd.Timestamp("2017-08-01T12:00") + pd.Timedelta(days=day)).isoformat(), product
        ),
        st.sampled_from(["ann", "ben"]),
        st.integers(0, 150),
        st.sampled_from(list(CATEGORIES)),
    ),
    min_size=10,
    max_size=50,
)


def category(product: str) -> str | None:
    path = CATEGORIES[product]
    return path and " > ".join(path.split(" > ")[:2])


@settings(max_examples=60, deadline=None)
@given(lines=_lines)
def test_window_counts_equal_those_of_sets(lines: list[Line]) -> None:
    for row in features(tables(lines), CUTOFFS).to_dict("records"):
        cutoff = date.fromisoformat(row["cutoff"])

        def bought(days: int, until: int = 0, row: dict = row, cutoff: date = cutoff) -> list[Line]:
            bounds = [windows.instant(cutoff - timedelta(days=back), ZONE) for back in (days, until)]
            return [
                line
                for line in lines
                if line.customer == row["customer_id"] and bounds[0] <= pd.Timestamp(line.at, tz=ZONE) < bounds[1]
            ]

        def categories(found: list[Line]) -> int:
            return len({category(line.product) for line in found} - {None})

        for days in (28, 84):
            assert row[f"orders_{days}d"] == len({line.order for line in bought(days)})
            assert row[f"products_{days}d"] == len({line.product for line in bought(days)})
            assert row[f"categories_{days}d"] == categories(bought(days))
        assert row["categories_change"] == categories(bought(28)) - categories(bought(56, 28))
        history = [category(line.product) for line in bought(10_000)]
        top = max((history.count(name) for name in set(history) - {None}), default=0)
        assert row["top_category_share"] == top / len(history)


@settings(max_examples=100, deadline=None)
@given(values=st.lists(st.integers(0, 40), min_size=1, max_size=30), data=st.data())
def test_ranks_of_a_slice_equal_those_of_a_sorted_list(values: list[int], data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(values) - 1))
    end = data.draw(st.integers(start + 1, len(values)))
    k = data.draw(st.integers(0, end - start - 1))
    bound = data.draw(st.integers(0, 40))
    matrix = WaveletMatrix.of(np.array(values), bits=5)
    span = Span(np.array([start]), np.array([end]))
    capped = [min(value, 31) for value in values[start:end]]
    assert matrix.smallest(span, np.array([k])) == sorted(capped)[k]
    assert matrix.below(span, np.array([bound])) == sum(value < min(bound, 31) for value in capped)
