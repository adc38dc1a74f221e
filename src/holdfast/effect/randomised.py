"""What uplift is learned from: customers drawn into arms by known chances, their features, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from holdfast.campaign.assignment import uniforms
from holdfast.campaign.definition import CONTROL
from holdfast.effect.learners import INNER_FOLDS, Comparison
from holdfast.errors import ModelError
from holdfast.model.matrix import Matrix, Vector, matrix


@dataclass(frozen=True)
class Randomised:
    """One row a customer and campaign run.

    ``customers`` are ids, ``values`` the columns ``features`` as of the run's cutoff (NaN: missing). ``given`` is 0 for
    the control and k for ``arms[k - 1]``; ``chances`` has every row's probability of each of them, in the same order.
    ``outcome`` is better when greater, and ``binary`` if it is 0 or 1; ``worth`` is what one unit of it is worth of
    that customer, and ``costs`` (one an arm) what giving the arm costs, both in the same money.
    """

    customers: NDArray[np.object_]
    features: tuple[str, ...]
    values: Matrix
    arms: tuple[str, ...]
    given: NDArray[np.int64]
    chances: Matrix
    outcome: Vector
    binary: bool
    worth: Vector
    costs: Vector

    @classmethod
    def of(
        cls,
        rows: pd.DataFrame,
        *,
        features: Sequence[str],
        outcome: str,
        chances: Mapping[str, Vector],
        binary: bool,
        worth: Vector | float = 1.0,
        costs: Mapping[str, float] | None = None,
    ) -> Randomised:
        """From ``rows`` with customer_id, arm, the ``features`` and the ``outcome``.

        ``chances`` gives for the control and each arm everybody's probability of it. Raises ModelError for an arm
        without a probability, or whose customers could not have been given it.
        """
        arms = tuple(name for name in chances if name != CONTROL)
        places = {CONTROL: 0} | {name: place for place, name in enumerate(arms, 1)}
        strange = sorted(set(rows["arm"]) - set(places))
        if strange or CONTROL not in chances:
            raise ModelError(f"no probability is known of the arm {', '.join(strange) or CONTROL}")
        found = cls(
            customers=rows["customer_id"].to_numpy(object),
            features=tuple(features),
            values=matrix(rows, features),
            arms=arms,
            given=np.asarray(rows["arm"].map(places), dtype=np.int64),
            chances=np.column_stack([np.broadcast_to(chances[name], len(rows)) for name in places]).astype(float),
            outcome=rows[outcome].to_numpy(float),
            binary=binary,
            worth=np.broadcast_to(np.asarray(worth, dtype=float), len(rows)),
            costs=np.array([(costs or {}).get(name, 0.0) for name in arms]),
        )
        impossible = int((found.chance_of_given <= 0).sum())
        if impossible:
            raise ModelError(
                f"{impossible} customers are in an arm that they had no chance of: the log does not say how arms were "
                "drawn, so nothing can be learned from it"
            )
        return found

    def __len__(self) -> int:
        return len(self.customers)

    @property
    def chance_of_given(self) -> Vector:
        """Each customer's probability of the arm, or control, that was drawn."""
        return np.take_along_axis(self.chances, self.given[:, None], axis=1)[:, 0]

    @property
    def overlap(self) -> NDArray[np.bool_]:
        """Who could have been given any arm, or none: whom policies can be compared on."""
        return np.asarray((self.chances > 0).all(axis=1))

    def only(self, rows: NDArray[np.bool_]) -> Randomised:
        """The evidence of these rows."""
        return replace(
            self,
            customers=self.customers[rows],
            values=self.values[rows],
            given=self.given[rows],
            chances=self.chances[rows],
            outcome=self.outcome[rows],
            worth=self.worth[rows],
        )

    def against_control(self, arm: int) -> NDArray[np.bool_]:
        """Who was given the arm (counted from 1) or the control, and could have been given either."""
        either = (self.given == arm) | (self.given == 0)
        return np.asarray(either & (self.chances[:, arm] > 0) & (self.chances[:, 0] > 0))

    def comparison(self, arm: int) -> Comparison:
        """The customers of ``against_control(arm)``, in order."""
        rows = self.against_control(arm)
        of_arm, of_control = self.chances[rows, arm], self.chances[rows, 0]
        return self._compared(rows, of_arm / (of_arm + of_control))

    def of_any_arm(self) -> Comparison:
        """All arms, as they were drawn, and the control: of whom could have been given some arm, and the control."""
        of_control = self.chances[:, 0]
        rows = np.asarray((of_control > 0) & (of_control < 1))
        return self._compared(rows, 1 - of_control[rows])

    def _compared(self, rows: NDArray[np.bool_], propensity: Vector) -> Comparison:
        return Comparison(
            self.values[rows],
            self.given[rows] > 0,
            propensity,
            self.outcome[rows],
            self.binary,
            self.inner_folds[rows],
        )

    def folds(self, count: int) -> NDArray[np.int64]:
        """Each row's fold, by hash of the customer: all rows of a customer are in the same one."""
        return _folds("uplift fold", self.customers, count)

    @cached_property
    def inner_folds(self) -> NDArray[np.int64]:
        return _folds("uplift inner fold", self.customers, INNER_FOLDS)


def _folds(salt: str, customers: NDArray[np.object_], count: int) -> NDArray[np.int64]:
    return (uniforms(salt, [str(one) for one in customers]) * count).astype(np.int64)
