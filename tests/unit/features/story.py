"""Ways to compute features in a test, and to compare them byte for byte."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import pandas as pd

from holdfast.features.compute import compute
from holdfast.features.log import Log, arrow
from tests.fakes.shop import ZONE, Event, Line, Message, Redemption, Review, Tables, tables

KEYS = ["customer_id", "cutoff", "event_timestamp"]


def features(frames: Tables, cutoffs: Sequence[date]) -> pd.DataFrame:
    """All features of all families in one frame."""
    log = Log.build(arrow(vars(frames)))
    views = [view.set_index(KEYS) for view in compute(log, cutoffs, ZONE).values()]
    return pd.concat(views, axis=1, verify_integrity=True).reset_index()


def customer(  # noqa: PLR0917
    lines: Sequence[Line],
    cutoff: str,
    redemptions: Sequence[Redemption] = (),
    events: Sequence[Event] = (),
    reviews: Sequence[Review] = (),
    messages: Sequence[Message] = (),
) -> dict[str, float]:
    """The features of the only customer, by name."""
    shop = tables(lines, redemptions, events, reviews, messages)
    (row,) = features(shop, [date.fromisoformat(cutoff)]).drop(columns=KEYS).to_dict("records")
    return row


def exact(frame: pd.DataFrame) -> dict[tuple[str, str, str], bytes]:
    """Per row, the bytes of its values: equal only if every bit is."""
    values = frame.drop(columns=KEYS)
    return {
        (*map(str, key), *values.columns): row.tobytes()
        for key, row in zip(frame[KEYS].itertuples(index=False), values.to_numpy(), strict=True)
    }
