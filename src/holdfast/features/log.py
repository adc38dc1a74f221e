"""What features are computed from: the sorted events of a set of customers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from holdfast.purchases import UNDONE_AT, find_purchases, fixed_point
from holdfast.timeline import Ints, Timeline, keys, seconds

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "orders": ("order_id", "customer_id", "ordered_at", "status", *UNDONE_AT),
    "order_lines": ("order_id", "product_id", "quantity", "amount", "discount", "coupon_discount"),
    "products": ("product_id", "category"),
    "redemptions": ("customer_id", "redeemed_at"),
    "events": ("customer_id", "occurred_at", "type", "duration_s"),
    "reviews": ("customer_id", "written_at", "rating"),
    "past_deliveries": ("customer_id", "sent_at", "opened_at"),
}
"""The canonical tables that features read, and which of their columns."""

TIMES: Mapping[str, str] = {
    "orders": "ordered_at",
    "redemptions": "redeemed_at",
    "events": "occurred_at",
    "reviews": "written_at",
    "past_deliveries": "sent_at",
}
"""Where a row of these tables stands in time; order lines stand with their order, and products at no time."""

NEVER = np.iinfo(np.int64).max
"""The second of an event that has not happened."""

# A line of fuel or of goods sold by the gram can hold tens of thousands of units: it must not drown the pieces.
_PIECES_PER_LINE = 100
PIECES_SCALE = 1_000
RATING_SCALE = 100
_CATEGORY_OF = ("product_id", "category")
_CATEGORY_DEPTH = 2
_SEPARATOR = " > "

BROWSING = ("view", "search", "cart", "uncart", "wishlist", "checkout", "login")
_KINDS = {"view": "views", "search": "searches", "cart": "carts", "support": "support", "return": "returns"}
_SESSION_PAUSE_SECONDS = 30 * 60
ANSWER_HOURS = 12
"""An order within so many hours answers a search or empties a cart. Fewer than the shortest day (23 hours), so that it
is known at the first midnight but one."""


def arrow(tables: Mapping[str, pd.DataFrame]) -> dict[str, pa.Table]:
    """The tables and columns that features read, as ``Log.build`` takes them."""
    return {
        name: pa.Table.from_pandas(rows[[one for one in COLUMNS[name] if one in rows]], preserve_index=False)
        for name, rows in tables.items()
        if name in COLUMNS
    }


@dataclass(frozen=True)
class Items:
    """Which items (products, or categories) each purchase holds: one row per purchase and item.

    Rows are sorted by customer, item and ``order`` (position in ``Log.orders``), so that one customer's purchases of
    one item stand together. ``lines`` counts the order's lines of the item; ``fresh`` is 1 for the customer's first
    purchase of it; ``next_second`` is when the customer next buys it, or NEVER.
    """

    customer: Ints
    order: Ints
    lines: Ints
    fresh: Ints
    next_second: Ints

    @classmethod
    def of(cls, order: Ints, item: Ints, orders: Timeline) -> Items:
        """The items of order lines, each given as position of its order and code of its item (negative: unknown)."""
        known = item >= 0
        size = max(len(orders), 1)
        pair, lines = np.unique(item[known] * size + order[known], return_counts=True)
        code, position = np.divmod(pair, size)
        customer = orders.customer[position]
        by_customer = np.argsort(customer, kind="stable")
        customer, code, position = customer[by_customer], code[by_customer], position[by_customer]
        repeat = (code[1:] == code[:-1]) & (customer[1:] == customer[:-1])
        fresh = np.ones(len(pair), dtype=np.int64)
        fresh[1:] = ~repeat
        next_second = np.full(len(pair), NEVER)
        next_second[:-1][repeat] = orders.second[position][1:][repeat]
        return cls(customer, position, lines[by_customer].astype(np.int64), fresh, next_second)

    def customers(self, start: int, end: int, first_order: int) -> Items:
        """The rows of the customers from ``start`` up to ``end``, whose purchases are counted from ``first_order``."""
        first, last = np.searchsorted(self.customer, [start, end])
        here = slice(first, last)
        return Items(
            self.customer[here] - start,
            self.order[here] - first_order,
            self.lines[here],
            self.fresh[here],
            self.next_second[here],
        )


@dataclass(frozen=True)
class Log:
    """The events of a set of customers, each kind sorted by customer and time.

    ``customers`` are the ids of all who did anything, sorted; elsewhere a customer is a position in it. ``orders`` are
    purchases (``holdfast.purchases``), with amount, discount and coupon_discount in ten-thousandths of the currency,
    the number of lines, and pieces in thousandths with at most 100 pieces counted per line. ``visits`` are browsing
    events of every type with their milliseconds, ``sessions`` the first of each run of visits with no pause of over
    half an hour. ``answered`` is 1 for searches and carts followed by an order within ANSWER_HOURS. ``reviews`` are
    those with a rating, in hundredths.
    """

    customers: pa.Array
    orders: Timeline
    products: Items
    categories: Items
    redemptions: Timeline
    visits: Timeline
    sessions: Timeline
    views: Timeline
    searches: Timeline
    carts: Timeline
    support: Timeline
    returns: Timeline
    reviews: Timeline
    messages: Timeline
    opens: Timeline

    @classmethod
    def build(cls, tables: Mapping[str, pa.Table]) -> Log:
        """The log of canonical tables (``holdfast.schemas``): of each the columns named in COLUMNS.

        Orders and order_lines must be there, any other table may be absent. Neither the order of rows matters nor
        whether text is dictionary-encoded.
        """
        own = {name: _Coded.of(tables[name]["customer_id"]) for name in TIMES if name in tables}
        customers = _sorted_ids(own.values())
        key = {name: keys(coded.numbers(customers), seconds(tables[name][TIMES[name]])) for name, coded in own.items()}
        del own
        orders, products, categories = _orders(tables, key["orders"])
        return cls(
            customers=customers,
            orders=orders,
            products=products,
            categories=categories,
            redemptions=Timeline.of(key["redemptions"]) if "redemptions" in tables else Timeline.empty(),
            reviews=_reviews(tables["reviews"], key["reviews"]) if "reviews" in tables else Timeline.empty(),
            **_messages(tables.get("past_deliveries"), key.get("past_deliveries")),
            **_events(tables.get("events"), key.get("events"), orders),
        )

    def blocks(self, size: int) -> Iterator[Log]:
        """The log cut into runs of at most ``size`` customers in a row; their arrays are views of this log's."""
        for start in range(0, len(self.customers), size):
            yield self._block(start, min(start + size, len(self.customers)))

    def _block(self, start: int, end: int) -> Log:
        timelines = {
            one.name: getattr(self, one.name).customers(start, end) for one in fields(self) if one.type == "Timeline"
        }
        first_order = int(self.orders.first(np.array([start]))[0])
        return Log(
            customers=self.customers[start:end],
            products=self.products.customers(start, end, first_order),
            categories=self.categories.customers(start, end, first_order),
            **timelines,
        )


@dataclass(frozen=True)
class _Coded:
    """A column of text as codes into its distinct ``values``; −1 for null."""

    codes: NDArray[np.signedinteger]
    values: pa.Array

    @classmethod
    def of(cls, column: pa.ChunkedArray) -> _Coded:
        if not len(column):
            return cls(np.empty(0, dtype=np.int32), pa.array([], pa.string()))
        coded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
        coded = coded.unify_dictionaries().combine_chunks()
        return cls(pc.fill_null(coded.indices, -1).to_numpy(), coded.dictionary)

    def numbers(self, ids: pa.Array) -> NDArray[np.int32]:
        """Each row's position in ``ids``, which holds every value."""
        positions: NDArray[np.int32] = pc.index_in(self.values, value_set=ids).to_numpy(zero_copy_only=False)
        return positions[self.codes] if len(positions) else np.empty(0, dtype=np.int32)


def _sorted_ids(columns: Iterable[_Coded]) -> pa.Array:
    ids = pc.unique(pa.concat_arrays([column.values.cast(pa.string()) for column in columns]))
    return ids.take(pc.sort_indices(ids))


def _orders(tables: Mapping[str, pa.Table], key: Ints) -> tuple[Timeline, Items, Items]:
    """The purchases, and the products and categories in them."""
    bought = find_purchases(tables["orders"], tables["order_lines"])
    lines, count = tables["order_lines"], len(bought.order)
    kept = np.flatnonzero(bought.of_line >= 0)
    owner = bought.of_line[kept]

    def per_order(values: Ints) -> Ints:
        # bincount adds in float64, exact for integers below 2^53.
        return np.bincount(owner, weights=values[kept], minlength=count).astype(np.int64)

    pieces = np.minimum(lines["quantity"].to_numpy(), _PIECES_PER_LINE)
    unsorted = key[bought.order]
    order = np.argsort(unsorted)
    values = {name: per_order(fixed_point(lines[name]))[order] for name in ("amount", "discount", "coupon_discount")}
    values["lines"] = np.bincount(owner, minlength=count).astype(np.int64)[order]
    values["pieces"] = per_order(np.rint(pieces * PIECES_SCALE).astype(np.int64))[order]
    timeline = Timeline(unsorted[order], values)

    place = np.empty(count, dtype=np.int64)
    place[order] = np.arange(count)
    product = _Coded.of(lines["product_id"])
    item = product.codes[kept].astype(np.int64)
    kinds = _category_codes(product.values, tables.get("products"))[item]
    return timeline, Items.of(place[owner], item, timeline), Items.of(place[owner], kinds, timeline)


def _category_codes(product_ids: pa.Array, products: pa.Table | None) -> Ints:
    """Per product id, the code of the first two parts of its category path; −1 where unknown."""
    known = {} if products is None else dict(zip(*(products[one].to_pylist() for one in _CATEGORY_OF), strict=True))
    codes: dict[str, int] = {}
    found = []
    for product_id in product_ids.to_pylist():
        path = known.get(product_id)
        top = _SEPARATOR.join(path.split(_SEPARATOR)[:_CATEGORY_DEPTH]) if path else None
        found.append(-1 if top is None else codes.setdefault(top, len(codes)))
    return np.array(found, dtype=np.int64)


def _reviews(reviews: pa.Table, key: Ints) -> Timeline:
    rated = reviews["rating"].is_valid().to_numpy()
    rating = np.rint(reviews["rating"].drop_null().to_numpy() * RATING_SCALE).astype(np.int64)
    # Of ratings given in one second the lowest counts as the last, whatever the order of rows.
    return Timeline.of(key[rated], {"rating": rating}, tie=-rating)


def _messages(deliveries: pa.Table | None, key: Ints | None) -> dict[str, Timeline]:
    if deliveries is None or key is None:
        return {"messages": Timeline.empty(), "opens": Timeline.empty()}
    opened = pc.is_valid(deliveries["opened_at"]).to_numpy()
    opens = keys(Timeline(key).customer[opened], seconds(deliveries["opened_at"].drop_null()))
    return {"messages": Timeline.of(key), "opens": Timeline.of(opens)}


def _events(events: pa.Table | None, key: Ints | None, orders: Timeline) -> dict[str, Timeline]:
    """Browsing and service contacts, by kind."""
    if events is None or key is None:
        return {name: Timeline.empty() for name in ("visits", "sessions", *_KINDS.values())}
    kind = _Coded.of(events["type"])
    code = {name: code for code, name in enumerate(kind.values.to_pylist())}
    found = {plural: Timeline.of(key[kind.codes == code.get(name, -1)]) for name, plural in _KINDS.items()}
    found |= {name: _answered(found[name], orders) for name in ("searches", "carts")}
    browsing = np.isin(kind.codes, [code[name] for name in BROWSING if name in code])
    del kind
    duration = pc.fill_null(events["duration_s"], 0).to_numpy()[browsing]
    visits = Timeline.of(key[browsing], {"milliseconds": np.rint(duration * 1_000).astype(np.int64)})
    return {"visits": visits, "sessions": _sessions(visits), **found}


def _sessions(visits: Timeline) -> Timeline:
    """The first visit of each session."""
    opens = np.ones(len(visits), dtype=np.bool_)
    # Between two customers the keys lie apart by far more than a pause.
    opens[1:] = np.diff(visits.key) > _SESSION_PAUSE_SECONDS
    return Timeline(visits.key[opens])


def _answered(asked: Timeline, orders: Timeline) -> Timeline:
    """``asked`` with ``answered``: 1 where the customer orders within ANSWER_HOURS from then on."""
    from_then = np.searchsorted(orders.key, asked.key)
    until = np.searchsorted(orders.key, asked.key + ANSWER_HOURS * 3600, side="right")
    return Timeline(asked.key, {"answered": (until > from_then).astype(np.int64)})
