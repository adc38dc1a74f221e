"""The feature kernel: from the sorted events of a set of customers to their features as of many cutoffs.

The same two steps run everywhere, on all customers at once or on any partition of them: ``kernel`` on each part, then
``assemble`` on all parts of one cutoff.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from holdfast import windows
from holdfast.features.arithmetic import Floats
from holdfast.features.catalog import FAMILIES
from holdfast.features.cutoffs import Cutoffs
from holdfast.features.log import Log
from holdfast.features.spec import Family

CUSTOMER = "customer_id"

KEYS = (CUSTOMER, "cutoff", "event_timestamp")
"""The columns that every family view has before its features."""

# So many customer-cutoff rows at a time that the arrays of a block stay in the processor's cache.
_ROWS_PER_BLOCK = 1 << 17


def kernel(
    log: Log,
    days: Sequence[date],
    zone: ZoneInfo,
    families: Sequence[Family] = FAMILIES,
    skip: NDArray[np.bool_] | None = None,
) -> dict[date, pa.Table]:
    """For each cutoff, the features of every customer of ``log`` with a purchase before it, sorted by customer.

    A table holds customer_id and the features (float64, null as NaN) of the families that look at one customer at a
    time: a customer's values depend on that customer's own events strictly before the cutoff and on nothing else.
    ``skip`` marks customers (by position in ``log.customers``) to leave out.
    """
    ascending = sorted(set(days))
    computes = [family.compute for family in families if family.compute is not None]
    parts: dict[date, list[pa.Table]] = {day: [] for day in ascending}
    if not ascending:
        return {}
    size = max(_ROWS_PER_BLOCK // len(ascending), 1)
    for number, block in enumerate(log.blocks(size)):
        rows = Cutoffs.of(block, ascending, zone, None if skip is None else skip[number * size : (number + 1) * size])
        values: dict[str, Floats] = {}
        for compute in computes:
            values |= {name: _canonical(one) for name, one in compute(block, rows).items()}
        ends = np.searchsorted(rows.cutoff, np.arange(len(ascending) + 1))
        for day, start, end in zip(ascending, ends[:-1], ends[1:], strict=True):
            columns = {CUSTOMER: block.customers.take(pa.array(rows.customer[start:end]))}
            parts[day].append(pa.table(columns | {name: pa.array(one[start:end]) for name, one in values.items()}))
    return {day: pa.concat_tables(tables) if tables else _nobody(families) for day, tables in parts.items()}


def merged(parts: Sequence[pa.Table]) -> pa.Table:
    """The rows of tables that share no customer and are each sorted by customer, in one such table."""
    if len(parts) == 1:
        return parts[0]
    rows = pa.concat_tables(parts)
    return rows.take(pc.sort_indices(rows[CUSTOMER]))


def assemble(
    parts: Sequence[pa.Table], day: date, zone: ZoneInfo, families: Sequence[Family] = FAMILIES
) -> dict[str, pd.DataFrame]:
    """The cutoff's features by family view, from the kernel's tables of all parts, which share no customer.

    Every frame holds the same rows, sorted by customer_id: customer_id, cutoff (ISO date), event_timestamp (the
    cutoff's instant, datetime64[us, UTC]) and the family's features. Here come in the families that look at all
    customers at once.
    """
    rows = merged(parts)
    values: dict[str, Floats] = {name: rows[name].to_numpy() for name in rows.column_names if name != CUSTOMER}
    for family in families:
        if family.derive is not None:
            values |= {name: _canonical(one) for name, one in family.derive(values).items()} if len(rows) else {}
    moment = np.datetime64(windows.instant(day, zone).replace(tzinfo=None), "us")
    keys = {
        CUSTOMER: rows[CUSTOMER].to_pandas().to_numpy(np.object_),
        "cutoff": np.full(len(rows), day.isoformat(), dtype=np.object_),
        "event_timestamp": pd.DatetimeIndex(np.full(len(rows), moment), tz="UTC"),
    }
    empty = np.empty(0)
    return {
        family.view: pd.DataFrame(keys | {one.name: values.get(one.name, empty) for one in family.features})
        for family in families
    }


def compute(
    log: Log, cutoffs: Sequence[date], zone: ZoneInfo, families: Sequence[Family] = FAMILIES
) -> dict[str, pd.DataFrame]:
    """The features of all cutoffs by family view, ``log`` holding every customer of the shop.

    Frames are those of ``assemble``, one cutoff after another, ascending.
    """
    found = [assemble([rows], day, zone, families) for day, rows in kernel(log, cutoffs, zone, families).items()]
    return {family.view: pd.concat([frames[family.view] for frames in found], ignore_index=True) for family in families}


def _canonical(values: Floats) -> Floats:
    """One bit pattern for null and one for zero, so that equal values are equal bytes on every engine."""
    whole = values + 0.0
    whole[np.isnan(whole)] = np.nan
    return whole


def _nobody(families: Sequence[Family]) -> pa.Table:
    own = [feature.name for family in families if family.compute is not None for feature in family.features]
    return pa.table({CUSTOMER: pa.array([], pa.string()), **{name: pa.array([], pa.float64()) for name in own}})
