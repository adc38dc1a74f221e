"""What to believe of an effect that was assumed and then measured: the assumption, moved as far as evidence reaches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Belief:
    """A figure as a normal distribution: mean and standard deviation, which of a measurement is its standard error."""

    mean: float
    sd: float


def updated(prior: Belief, measured: Sequence[Belief]) -> Belief:
    """The posterior of a figure with this ``prior`` and these independent measurements of it; no sd may be 0.

    Source: A. Gelman et al., "Bayesian Data Analysis", 3rd ed. 2013, 2.5: a normal mean with known variance, by which
    each counts with the inverse of its variance.
    """
    weights = [one.sd**-2 for one in (prior, *measured)]
    total = sum(weights)
    mean = sum(weight * one.mean for weight, one in zip(weights, (prior, *measured), strict=True)) / total
    return Belief(mean, total**-0.5)
