"""How a feature is declared, and nothing about any particular one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from holdfast.features.arithmetic import Floats
from holdfast.features.cutoffs import Cutoffs
from holdfast.features.log import Log


@dataclass(frozen=True)
class Feature:
    """One number about a customer as of a cutoff, always a float64 (null is NaN).

    ``reason`` is the sentence that tells a person why this feature raised the score, a ``str.format`` template over
    the customer's own feature values (any feature of the catalogue may be named). ``minimum`` and ``maximum`` bound
    every non-null value. ``source`` cites the formula where it is not plain arithmetic.
    """

    name: str
    meaning: str
    unit: str
    reason: str
    null: str = "never null"
    minimum: float | None = 0
    maximum: float | None = None
    source: str | None = None

    @property
    def nullable(self) -> bool:
        return self.null != "never null"


@dataclass(frozen=True)
class Family:
    """Features computed together from the same tables; one Feast feature view.

    ``compute`` looks at one customer at a time: it returns, for each feature by name, an array with one value per
    customer-cutoff row of ``Cutoffs``, and reads the log strictly before each row's cutoff. A family that looks at all
    customers at once has ``derive`` instead: from the features of everyone at one cutoff (in order of customer_id) it
    returns those of its own. ``event_types`` are the types of events without any of which the family says nothing.
    """

    name: str
    meaning: str
    tables: tuple[str, ...]
    features: tuple[Feature, ...]
    compute: Callable[[Log, Cutoffs], Mapping[str, Floats]] | None = None
    derive: Callable[[Mapping[str, Floats]], Mapping[str, Floats]] | None = None
    event_types: tuple[str, ...] = ()

    @property
    def view(self) -> str:
        """The Feast feature view's and the offline table's name."""
        return f"customer_{self.name}"
