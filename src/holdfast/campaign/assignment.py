"""Holdout, control and arm, drawn by a hash of name and customer: replayable for ever, and nobody is drawn anew."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from holdfast.campaign.definition import CONTROL

_HASH_BYTES = 8


@dataclass(frozen=True)
class Draw:
    """For each customer, the arm drawn and the probability with which this very arm was drawn."""

    arm: npt.NDArray[np.object_]
    propensity: npt.NDArray[np.float64]


def uniforms(salt: str, customer_ids: Sequence[str]) -> npt.NDArray[np.float64]:
    """A number in [0, 1) for each customer, uniform over customers, from nothing but ``salt`` and the id.

    It does not depend on other customers, their order, the time or the process.
    """
    prefix = hashlib.sha256(f"{salt}:".encode())
    digests = bytearray()
    for customer in customer_ids:
        one = prefix.copy()
        one.update(customer.encode())
        digests += one.digest()[:_HASH_BYTES]
    return np.frombuffer(digests, dtype=">u8").astype(np.float64) / 2.0 ** (8 * _HASH_BYTES)


def draw(
    campaign_id: str,
    customer_ids: Sequence[str],
    control_share: float,
    arms: Sequence[str],
    weights: npt.NDArray[np.float64],
) -> Draw:
    """Control with probability ``control_share``; else one of ``arms`` by its weight.

    ``weights`` has a row a customer (or one for all) and a column an arm, each row summing to a positive number. A
    larger control share keeps every control customer.
    """
    number = uniforms(campaign_id, customer_ids)
    shares = np.broadcast_to(weights / weights.sum(axis=1, keepdims=True), (len(number), len(arms)))
    within = (number - control_share) / (1 - control_share)
    chosen = (within[:, None] >= np.cumsum(shares, axis=1)).sum(axis=1)
    chosen = np.minimum(chosen, len(arms) - 1)  # a cumulated share may end just below one
    names = np.array([*arms, CONTROL], dtype=object)
    control = number < control_share
    of_arm = (1 - control_share) * np.take_along_axis(shares, chosen[:, None], axis=1)[:, 0]
    return Draw(names[np.where(control, len(arms), chosen)], np.where(control, control_share, of_arm))
