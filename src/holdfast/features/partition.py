"""Which partition a customer's rows belong to: a hash of the id, the same in every process and for ever."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_MIXER = np.uint64(0xBF58476D1CE4E5B9)


def partition_of(ids: pa.Array, partitions: int) -> NDArray[np.uint16]:
    """The partition (from 0 on) of each id, an Arrow array of text without nulls.

    Each byte is multiplied by a constant of its own place and the products are added up (multilinear hashing), for
    all ids at once over Arrow's buffers.
    """
    text = ids.cast(pa.large_string())
    offsets = np.frombuffer(text.buffers()[1], dtype=np.int64)[text.offset : text.offset + len(text) + 1]
    start, length = offsets[:-1], np.diff(offsets)
    content = text.buffers()[2]
    data = np.frombuffer(content, dtype=np.uint8)[offsets[0] : offsets[-1]] if content else np.empty(0, np.uint8)
    place = np.arange(offsets[0], offsets[-1]) - np.repeat(start, length)
    weight = (place.astype(np.uint64) + np.uint64(1)) * _MULTIPLIER
    weight ^= weight >> np.uint64(29)
    weight = weight * _MIXER | np.uint64(1)
    products = (data.astype(np.uint64) + np.uint64(1)) * weight
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(products, dtype=np.uint64)])
    mixed = sums[offsets[1:] - offsets[0]] - sums[start - offsets[0]]
    mixed ^= mixed >> np.uint64(32)
    mixed *= _MIXER
    partition: NDArray[np.uint16] = ((mixed >> np.uint64(33)) % np.uint64(partitions)).astype(np.uint16)
    return partition
