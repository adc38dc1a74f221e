"""How many different items a customer bought within a window."""

from __future__ import annotations

import numpy as np

from holdfast.features.cutoffs import Cutoffs
from holdfast.features.log import Items
from holdfast.timeline import Ints, Timeline


def distinct(items: Items, orders: Timeline, cutoffs: Cutoffs, days: int, until: int = 0) -> Ints:
    """Per row, how many different items the customer bought in ``[cutoff − days, cutoff − until)``.

    A purchase stands for its item at those cutoffs whose window holds it and not yet the customer's next purchase of
    the same item. These cutoffs follow one another, so each purchase adds one at the first and takes it away past
    the last; a running sum along the cutoffs gives the counts. The cost is that of purchases plus rows.
    """
    starts, ends = cutoffs.seconds(days), cutoffs.seconds(until)
    second = orders.second[items.order]
    enters = np.searchsorted(ends, second, side="right")
    leaves = np.minimum(
        np.searchsorted(starts, second, side="right"), np.searchsorted(ends, items.next_second, side="right")
    )
    stands = enters < leaves
    customers, width = cutoffs.known.shape[1], len(ends) + 1
    cell = items.customer[stands] * width
    size = customers * width
    change = np.bincount(cell + enters[stands], minlength=size) - np.bincount(cell + leaves[stands], minlength=size)
    count: Ints = change.reshape(customers, width).cumsum(axis=1)[cutoffs.customer, cutoffs.cutoff]
    return count
