"""Whom treatment surely harms: found among randomised customers, by the effect that was predicted out of fold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from holdfast.effect.policy_value import gains, scores
from holdfast.effect.randomised import Randomised
from holdfast.model.matrix import Matrix

LEAST_CUSTOMERS = 200
"""Fewer customers prove no harm.

Chosen, not measured: of 200, half of them control and half of those retained, a 95 % interval excludes zero only from
14 points on (1.96 · √(2 · 0.25 / 100)). Of fewer, hardly any harm could be shown.
"""

# Closer together at the low end, where harm is looked for; few, since one interval holds for all of them at once.
_SHARES = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5)


def harmed_below(on: Randomised, effects: Matrix, folds: int, resamples: int, seed: int) -> tuple[float | None, ...]:
    """For each arm, the predicted effect at or below which it surely does harm; None where that is not shown.

    Of the customers with the lowest predicted effects, larger and larger groups are looked at: the largest in which
    treatment surely lowers the mean outcome (the upper end of an interval that holds for all groups at once is below
    zero) gives the limit. It is never above zero: an effect that is predicted to be good is no reason to leave alone.
    ``effects`` has a row a customer of ``on`` and a column an arm, out of fold. Cost has no part in it.
    """
    plain = replace(on, worth=np.ones(len(on)), costs=np.zeros(len(on.arms)))
    everyone = on.overlap
    among, value = plain.only(everyone), scores(plain, folds)[everyone]
    found: list[float | None] = []
    for place in range(1, len(on.arms) + 1):
        effect = effects[everyone, place - 1]
        order = np.sort(effect)
        groups = {
            limit: effect <= limit
            for share in _SHARES
            if (count := int(share * len(effect))) >= LEAST_CUSTOMERS and (limit := float(order[count - 1])) < 0
        }
        if not groups:
            found.append(None)
            continue
        nobody = np.zeros_like(value)
        nobody[:, 0] = 1.0
        policies = {}
        for limit, group in groups.items():
            policy = nobody.copy()
            policy[group, 0], policy[group, place] = 0.0, 1.0
            policies[str(limit)] = policy
        judged = gains(among, value, policies, nobody, resamples=resamples, seed=seed)
        harmful = [limit for limit in groups if judged[str(limit)].interval.high < 0]
        found.append(max(harmful, default=None))
    return tuple(found)
