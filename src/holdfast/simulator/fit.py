"""A simulated shop in the image of a real one: rhythm, seasons and baskets from its orders; the rest is assumed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import gammaln

from holdfast.errors import MissingDataError
from holdfast.simulator.config import LABEL, ShopConfig
from holdfast.simulator.seasons import months

LEAST_GAPS = 200
"""Fewer gaps between orders say nothing about a shop's rhythm."""

_EULER = 0.5772
_FEWEST_GAPS_EACH = 3
_FACTORS = (0.05, 20)


@dataclass(frozen=True)
class Fitted:
    """A shop like the real one. ``months_alike`` says why its months are; None where they were fitted."""

    config: ShopConfig
    months_alike: str | None


def fitted(assumed: ShopConfig, orders: pd.DataFrame, lines: pd.DataFrame, shop: str, zone: ZoneInfo) -> Fitted:
    """``assumed``, with the rhythm, seasons and baskets of ``orders`` (customer_id, ordered_at) and their ``lines``.

    Gaps are those between days with an order. Their logarithms' variance within customers gives the Weibull shape k
    (π² ÷ 6k²); that of customers' means, less what chance adds, the spread. A month's factor acts on the hazard, which
    moves the number of orders by its power 1 ÷ k once customers have settled in it. Raises MissingDataError when there
    are fewer than ``LEAST_GAPS`` gaps of customers with several.
    """
    days = orders["ordered_at"].dt.tz_convert(str(zone)).dt.normalize()
    visits = pd.DataFrame({"customer_id": orders["customer_id"], "day": days}).drop_duplicates()
    visits = visits.sort_values(["customer_id", "day"])
    gaps = visits.groupby("customer_id")["day"].diff().dropna().dt.round("D") / timedelta(days=1)
    logs = np.log(gaps.clip(lower=1))
    by = logs.groupby(visits.loc[logs.index, "customer_id"])
    several = by.transform("size") >= _FEWEST_GAPS_EACH
    logs = logs[several]
    if len(logs) < LEAST_GAPS:
        raise MissingDataError(
            f"{len(logs)} gaps between orders of customers with at least {_FEWEST_GAPS_EACH} of them: too few to "
            f"simulate a shop like {shop}; at least {LEAST_GAPS} are needed"
        )
    by = logs.groupby(visits.loc[logs.index, "customer_id"])
    within = float((by.var(ddof=1) * (by.size() - 1)).sum() / (by.size() - 1).sum())
    shape = float(np.clip(np.pi / np.sqrt(6 * max(within, 1e-3)), 0.5, 5))
    between = float(by.mean().var(ddof=1) - (within / by.size()).mean())
    # The mean logarithm of a Weibull variable of mean 1 lies below 0 by what its shape says.
    offset = -_EULER / shape - float(gammaln(1 + 1 / shape))
    prices = lines.loc[lines["quantity"] > 0, "amount"] / lines.loc[lines["quantity"] > 0, "quantity"]
    log_prices = np.log(prices[prices > 0].to_numpy(float))
    per_order = lines.groupby("order_id").size()
    weekdays = _clipped(_weekdays(days.dt.dayofweek.to_numpy()))
    seasons = months(visits["day"].dt.tz_localize(None), weekdays)
    update = {
        "name": f"{shop} ({LABEL})",
        "rhythm": assumed.rhythm.model_copy(
            update={
                "gap_days": float(np.exp(by.mean().median() - offset)),
                "spread": float(np.sqrt(max(between, 0))),
                "regularity": shape,
            }
        ),
        "season": assumed.season.model_copy(
            update={
                "weekdays": tuple(weekdays),
                "months": tuple(_clipped(np.array(seasons.factors) ** shape)),
            }
        ),
        "basket": assumed.basket.model_copy(
            update={
                "lines": float(np.clip(per_order.mean(), 1, 4)),
                "price": float(np.exp(np.median(log_prices)) * per_order.mean() / np.clip(per_order.mean(), 1, 4)),
                "price_spread": float(log_prices.std()),
            }
        ),
    }
    config = ShopConfig.model_validate(assumed.model_copy(update=update).model_dump())
    return Fitted(config, seasons.flat_because)


def _weekdays(of_orders: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    counts = np.bincount(of_orders, minlength=7).astype(float)
    factors: npt.NDArray[np.float64] = counts / counts.mean()
    return factors


def _clipped(factors: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.clip(factors, *_FACTORS)
