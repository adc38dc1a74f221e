"""What is told of customers: rows of the online store and coupons of the ledger, put together into answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any

import msgspec

from holdfast.campaign.offers import Entitlement
from holdfast.errors import FeatureStoreError, StoreUnavailableError
from holdfast.ports import Asked, Entitlements, OnlineReader, Served, ServedView
from holdfast.scores import SCORE_NAMES, SCORES_VIEW

LEDGER_SECONDS = 2.0
"""How long the ledger may take to tell the offers."""
_SELECTIONS = 256
"""How many different selections of features are kept ready."""


class Shelf:
    """What the registry declares, made ready for reading: the questions to the online store, once and for all."""

    def __init__(self, served: Served) -> None:
        scores = next((view for view in served.views if view.name == SCORES_VIEW), None)
        self.views = tuple(view for view in served.views if view.name != SCORES_VIEW)
        if scores is None or not self.views:
            raise FeatureStoreError("Feast's registry declares no scores or no features. Run the features DAG first.")
        self.served = served
        held = {feature.name for feature in scores.features}
        self.score_names = tuple(name for name in SCORE_NAMES if name in held)
        self.score_ttl = scores.ttl
        # Every view has a row for every known customer: one view's event time tells who is known.
        self.card = Asked(served.project, {SCORES_VIEW: self.score_names, self.views[0].name: ()})
        self.all_features = tuple(feature.name for view in self.views for feature in view.features)
        self._view_of = {feature.name: view for view in self.views for feature in view.features}
        self._selections: dict[tuple[str, ...], Selection] = {}

    def unknown(self, names: Sequence[str]) -> list[str]:
        """Those of the names that no feature has."""
        return [name for name in names if name not in self._view_of]

    def selection(self, names: tuple[str, ...]) -> Selection:
        """How these features are read and told; all of them if none is named."""
        found = self._selections.get(names)
        if found is None:
            chosen = set(names or self.all_features)
            parts = [
                (view, tuple(feature.name for feature in view.features if feature.name in chosen))
                for view in self.views
            ]
            found = Selection(self.served.project, [(view, some) for view, some in parts if some])
            if len(self._selections) < _SELECTIONS:
                self._selections[names] = found
        return found


class Selection:
    """Some features of some views: the question, and how a row of the answer is cut into views."""

    def __init__(self, project: str, parts: Sequence[tuple[ServedView, tuple[str, ...]]]) -> None:
        self.asked = Asked(project, {view.name: names for view, names in parts})
        self.cuts: list[tuple[str, timedelta | None, tuple[str, ...], int, int]] = []
        at = 0
        for view, names in parts:
            self.cuts.append((view.name, view.ttl, names, at, at + 1 + len(names)))
            at += 1 + len(names)

    def told(self, row: Sequence[Any], now: float) -> list[dict[str, Any]]:
        """The views of one customer's row."""
        return [
            freshness(row[start], ttl, now)
            | {"view": view, "features": dict(zip(names, row[start + 1 : end], strict=True))}
            for view, ttl, names, start, end in self.cuts
        ]


class Lookup:
    """Looks customers up by the shop's own ids; ``stored_id`` gives the id under which the stores know one.

    ``shelf`` is replaced when the registry has changed.
    """

    def __init__(
        self,
        reader: OnlineReader,
        entitlements: Entitlements,
        *,
        currency: str,
        stored_id: Callable[[str], str],
        clock: Callable[[], datetime],
        patience: float = LEDGER_SECONDS,
    ) -> None:
        self._reader = reader
        self._patience = patience
        self._entitled = Together(entitlements, clock)
        self._currency = currency
        self._stored_id = stored_id
        self._clock = clock
        self._shelf: Shelf | None = None

    @property
    def shelf(self) -> Shelf:
        """What can be read. Raises FeatureStoreError as long as the registry could not be."""
        if self._shelf is None:
            raise FeatureStoreError("Feast's registry has not been read yet. Run the features DAG if it is new.")
        return self._shelf

    def fill(self, served: Served) -> None:
        """Serve what the registry declares now."""
        if self._shelf is None or self._shelf.served != served:
            self._shelf = Shelf(served)

    async def customers(self, customer_ids: Sequence[str], *, offers: bool) -> list[dict[str, Any] | None]:
        """The card of each of these customers, None for whom nobody knows; with their offers if so asked."""
        shelf = self.shelf
        stored = [self._stored_id(customer) for customer in customer_ids]
        coming = self._entitled.of(stored) if offers else None
        rows = await self._reader.read(shelf.card, stored)
        entitled = await self._in_time(coming) if coming else {}
        now = self._clock().timestamp()
        cards: list[dict[str, Any] | None] = []
        for customer, key, row in zip(customer_ids, stored, rows, strict=True):
            if row[0] is None and row[-1] is None:
                cards.append(None)
                continue
            card: dict[str, Any] = {"customer_id": customer, "score": _score(shelf, row, now)}
            if offers:
                card["offers"] = [_offer(one, self._currency) for one in entitled.get(key, ())]
            cards.append(card)
        return cards

    async def _in_time(
        self, coming: asyncio.Future[Mapping[str, Sequence[Entitlement]]]
    ) -> Mapping[str, Sequence[Entitlement]]:
        """The coupons, unless the ledger keeps whoever asks, and with them their place, for too long."""
        try:
            async with asyncio.timeout(self._patience):
                return await coming
        except TimeoutError as error:
            raise StoreUnavailableError(f"the ledger has not answered in {self._patience:g} s") from error

    async def features(self, customer_id: str, names: tuple[str, ...]) -> dict[str, Any] | None:
        """The customer's features by view (all of them if none is named); None for whom nobody knows."""
        selection = self.shelf.selection(names)
        [row] = await self._reader.read(selection.asked, [self._stored_id(customer_id)])
        views = selection.told(row, self._clock().timestamp())
        if all(view["as_of"] is None for view in views):
            return None
        return {"customer_id": customer_id, "fresh": all(view["fresh"] for view in views), "views": views}

    async def close(self) -> None:
        self._entitled.close()
        await self._reader.close()


class Together:
    """Asks the ledger with one query for all that is wanted while the one before is under way.

    Every answer was read after it was asked for: nothing is cached.
    """

    def __init__(self, entitlements: Entitlements, clock: Callable[[], datetime]) -> None:
        self._entitlements = entitlements
        self._clock = clock
        self._waiting: list[tuple[Sequence[str], asyncio.Future[Mapping[str, Sequence[Entitlement]]]]] = []
        self._asking: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ledger")

    def of(self, customers: Sequence[str]) -> asyncio.Future[Mapping[str, Sequence[Entitlement]]]:
        """The coupons in force of (at least) these customers, as soon as they are read."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Mapping[str, Sequence[Entitlement]]] = loop.create_future()
        answer.add_done_callback(_looked_at)
        self._waiting.append((customers, answer))
        if self._asking is None:
            self._asking = loop.create_task(self._ask())
        return answer

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _ask(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                wanted = list(dict.fromkeys(customer for customers, _ in batch for customer in customers))
                try:
                    found = await asyncio.get_running_loop().run_in_executor(
                        self._thread, self._entitlements.in_force, wanted, self._clock()
                    )
                except Exception as error:  # noqa: BLE001 - it belongs to those who asked
                    for _, answer in batch:
                        if not answer.done():
                            answer.set_exception(error)
                else:
                    for _, answer in batch:
                        if not answer.done():
                            answer.set_result(found)
        finally:
            self._asking = None


def _looked_at(answer: asyncio.Future[Any]) -> None:
    """Who asked may have gone, because its other read failed: the error then belongs to nobody."""
    if not answer.cancelled():
        answer.exception()


def freshness(event_time: float | None, ttl: timedelta | None, now: float) -> dict[str, Any]:
    """Since when, until when and whether values of this event time count as fresh."""
    if event_time is None:
        return {"as_of": None, "valid_until": None, "fresh": False}
    if ttl is None:
        return {"as_of": _written(event_time), "valid_until": None, "fresh": True}
    end = event_time + ttl.total_seconds()
    return {"as_of": _written(event_time), "valid_until": _written(end), "fresh": now < end}


@lru_cache(maxsize=4096)  # customers share the event times of a few cutoffs
def _written(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat().replace("+00:00", "Z")


def _score(shelf: Shelf, row: Sequence[Any], now: float) -> dict[str, Any] | None:
    if row[0] is None:
        return None
    told = freshness(row[0], shelf.score_ttl, now)
    values = dict(zip(shelf.score_names, row[1:], strict=False))
    persona, name = values.pop("persona", None), values.pop("persona_name", None)
    told.update(values)
    reasons = values.get("reasons")
    told["reasons"] = _json(reasons) if reasons else []
    told["persona"] = None if persona is None else {"id": persona, "name": _json(name) if name else None}
    return told


def _json(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise FeatureStoreError("a score in the online store holds broken JSON. Run the score DAG again.") from error


def _offer(one: Entitlement, currency: str) -> dict[str, Any]:
    terms = one.coupon.terms
    return {
        "campaign": one.campaign_id,
        "code": one.coupon.code,
        "amount": _money(terms.amount),
        "percent": _money(terms.percent),
        "maximum_discount": _money(terms.maximum_discount),
        "minimum_basket": _money(terms.minimum_basket),
        "currency": currency,
        "valid_from": _written(terms.valid.start.timestamp()),
        "valid_to": _written(terms.valid.end.timestamp()),
    }


def _money(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount:.2f}"
