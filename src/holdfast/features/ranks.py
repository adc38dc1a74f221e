"""Ranks and order statistics of very many slices of one array at once, by a wavelet matrix.

Source: F. Claude, G. Navarro, A. Ordóñez, "The wavelet matrix: an efficient wavelet tree for large alphabets",
Information Systems 47 (2015).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from holdfast.features.arithmetic import Span, running_sum
from holdfast.timeline import Ints


@dataclass(frozen=True)
class WaveletMatrix:
    """An array of integers in ``[0, 2^bits)``, highest bit first; each level stably puts the zeros before the ones.

    ``zeros[level][i]`` counts the zeros among the level's first ``i`` bits. A query costs ``bits`` steps, whatever the
    length of its slice.
    """

    zeros: tuple[Ints, ...]

    @classmethod
    def of(cls, values: Ints, bits: int) -> WaveletMatrix:
        """Index ``values``; those of ``2^bits`` and more count as ``2^bits − 1``."""
        left = np.minimum(values, (1 << bits) - 1)
        zeros = []
        for bit in reversed(range(bits)):
            is_zero = (left >> bit) & 1 == 0
            zeros.append(running_sum(is_zero))
            left = np.concatenate([left[is_zero], left[~is_zero]])
        return cls(tuple(zeros))

    @property
    def bits(self) -> int:
        return len(self.zeros)

    def below(self, span: Span, bound: Ints) -> Ints:
        """Per slice, how many of its values are less than ``bound``."""
        bound = np.minimum(bound, (1 << self.bits) - 1)
        start, end = span.start, span.end
        count = np.zeros(len(start), dtype=np.int64)
        for bit, zeros in zip(reversed(range(self.bits)), self.zeros, strict=True):
            one = (bound >> bit) & 1 == 1
            zero_start, zero_end = zeros[start], zeros[end]
            count += np.where(one, zero_end - zero_start, 0)
            start = np.where(one, zeros[-1] + start - zero_start, zero_start)
            end = np.where(one, zeros[-1] + end - zero_end, zero_end)
        return count

    def smallest(self, span: Span, k: Ints) -> Ints:
        """Per slice, its ``k``-th smallest value, counting from 0. Meaningless where ``k`` is outside the slice."""
        start, end = span.start, span.end
        value = np.zeros(len(start), dtype=np.int64)
        for bit, zeros in zip(reversed(range(self.bits)), self.zeros, strict=True):
            zero_start, zero_end = zeros[start], zeros[end]
            one = k >= zero_end - zero_start
            k = np.where(one, k - (zero_end - zero_start), k)
            value |= np.where(one, 1 << bit, 0)
            start = np.where(one, zeros[-1] + start - zero_start, zero_start)
            end = np.where(one, zeros[-1] + end - zero_end, zero_end)
        return value
