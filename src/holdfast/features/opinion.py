"""Opinion: how the customer rates what they bought.

Ratings alone: what a review says in words would need a lexicon or a model for each of its languages.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from holdfast.features.arithmetic import Floats, ratio, running_sum
from holdfast.features.cutoffs import Cutoffs
from holdfast.features.log import RATING_SCALE, Log
from holdfast.features.spec import Family, Feature

_LOW = 2
_NEVER = "has never rated anything"


def _compute(log: Log, cutoffs: Cutoffs) -> Mapping[str, Floats]:
    rating = log.reviews["rating"]
    history = cutoffs.history(log.reviews)
    last = np.append(rating, 0)[history.end - 1] / RATING_SCALE
    low = running_sum(rating <= _LOW * RATING_SCALE)
    return {
        "review_count": history.count.astype(np.float64),
        "rating_mean": ratio(history.total(running_sum(rating)), history.count * RATING_SCALE),
        "rating_last": np.where(history.count == 0, np.nan, last),
        "low_rating_share": ratio(history.total(low), history.count),
        "days_since_review": cutoffs.days_since_last(log.reviews),
    }


OPINION = Family(
    name="opinion",
    meaning="how the customer rates what they bought",
    tables=("orders", "order_lines", "reviews"),
    features=(
        Feature("review_count", "ratings ever given", "ratings", "has given {review_count:.0f} rating(s)"),
        Feature(
            "rating_mean",
            "mean of all ratings",
            "stars",
            "gives {rating_mean:.1f} stars on average",
            null=_NEVER,
        ),
        Feature(
            "rating_last",
            "last rating; the lowest, where one moment saw several",
            "stars",
            "gave {rating_last:.0f} star(s) last, {rating_mean:.1f} on average",
            null=_NEVER,
        ),
        Feature(
            "low_rating_share",
            f"share of ratings of {_LOW} or less",
            "share",
            "gave at most two stars in {low_rating_share:.0%} of all ratings",
            null=_NEVER,
            maximum=1,
        ),
        Feature(
            "days_since_review",
            "time from the last rating to the cutoff",
            "days of 24 hours",
            "gave the last rating {days_since_review:.0f} days ago",
            null=_NEVER,
        ),
    ),
    compute=_compute,
)
