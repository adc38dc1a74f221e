"""The as-of join: for each customer and instant, the latest features known by then.

The same answer as Feast's ``get_historical_features``, for training sets where that is slow: customers and instants
become one sorted integer key, and each question is one binary search.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from holdfast.timeline import Ints

CUSTOMER = "customer_id"
TIME = "event_timestamp"
CREATED = "created_timestamp"
KEYS = (CUSTOMER, TIME)


@dataclass(frozen=True)
class FeatureTable:
    """Features as of instants, in any order.

    ``rows`` has customer_id (string or dictionary), event_timestamp and created_timestamp (UTC) and float64 columns.
    A row serves questions from its event time until ``ttl`` later, both included.
    """

    rows: pa.Table
    ttl: timedelta


@dataclass(frozen=True)
class _Keys:
    """Who and when of a table's rows: ``customer`` is a position in ``customers``, times are epoch microseconds."""

    customers: pa.Array
    customer: Ints
    time: Ints
    created: Ints

    @classmethod
    def of(cls, rows: pa.Table) -> _Keys:
        coded = _coded(rows[CUSTOMER])
        return cls(coded.dictionary, _integers(coded.indices), _microseconds(rows[TIME]), _microseconds(rows[CREATED]))


@dataclass(frozen=True)
class _Match:
    """For each question the row that answers it; where ``found`` is false there is none, and ``row`` means nothing."""

    row: Ints
    found: NDArray[np.bool_]


def asof_join(entities: pd.DataFrame, tables: Iterable[FeatureTable]) -> pd.DataFrame:
    """``entities`` (customer_id, event_timestamp) with the columns of every table joined on, in the order asked.

    Each gets the row of its customer with the latest event time that is not after its own and not older than the
    table's ttl; among rows of that event time the one created last. No such row: NaN. The same question may be asked
    any number of times. Tables are taken one after the other, so that a generator keeps only one in memory.
    """
    asked = _coded(pa.chunked_array([pa.array(entities[CUSTOMER], pa.string())]))
    times = entities[TIME].dt.as_unit("us").astype(np.int64).to_numpy()
    joined = {name: entities[name].to_numpy() if name == CUSTOMER else entities[name].array for name in KEYS}
    keys, ttl, match = None, None, None
    for table in tables:
        own = table.rows.select([*KEYS, CREATED])
        # Views computed together have the same rows in the same order: they need one search for all.
        if match is None or ttl != table.ttl or not own.equals(keys):
            keys, ttl, match = own, table.ttl, _match(_Keys.of(own), table.ttl, asked, times)
        for name in table.rows.column_names:
            if name not in (*KEYS, CREATED):
                joined[name] = _taken(table.rows[name], match)
    return pd.DataFrame(joined, copy=False)


def _match(keys: _Keys, ttl: timedelta, asked: pa.DictionaryArray, times: Ints) -> _Match:
    if not len(keys.time):
        nothing = np.zeros(len(times), dtype=np.int64)
        return _Match(nothing, nothing != 0)
    instants = np.sort(pc.unique(pa.array(keys.time)).to_numpy())
    key = keys.customer * len(instants) + np.searchsorted(instants, keys.time)
    order = np.argsort(key, kind="stable")
    if (np.diff(key[order]) == 0).any():
        order = np.lexsort((keys.created, key))
    key = key[order]

    position = _integers(pc.index_in(asked.dictionary, value_set=keys.customers).fill_null(-1))
    customer = position[_integers(asked.indices)]
    rank = np.searchsorted(instants, times, side="right") - 1
    question = customer * len(instants) + rank
    by_key = np.argsort(question, kind="stable")  # a search for ascending keys stays in the processor's cache
    last = np.empty_like(question)
    last[by_key] = np.searchsorted(key, question[by_key], side="right") - 1
    row = order[np.maximum(last, 0)]
    found = (customer >= 0) & (rank >= 0) & (last >= 0) & (keys.customer[row] == customer)
    found &= times - keys.time[row] <= ttl // timedelta(microseconds=1)
    return _Match(row, found)


def _taken(column: pa.ChunkedArray, match: _Match) -> NDArray[np.float64]:
    values = column.to_numpy()
    if not len(values):
        return np.full(len(match.row), np.nan)
    taken: NDArray[np.float64] = values[match.row]
    taken[~match.found] = np.nan
    return taken


def _coded(ids: pa.ChunkedArray) -> pa.DictionaryArray:
    """``ids`` with one dictionary for all."""
    coded = ids if pa.types.is_dictionary(ids.type) else ids.dictionary_encode()
    if not coded.num_chunks:
        return pa.array([], pa.string()).dictionary_encode()
    return pa.concat_arrays(coded.unify_dictionaries().chunks)


def _microseconds(times: pa.ChunkedArray) -> Ints:
    return _integers(times.cast(pa.timestamp("us", "UTC")).cast(pa.int64()))


def _integers(array: pa.Array | pa.ChunkedArray) -> Ints:
    integers: Ints = array.to_numpy().astype(np.int64, copy=False)
    return integers
