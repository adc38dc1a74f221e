"""Treatment or control, decided by a hash of campaign and customer."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum

_HASH_BYTES = 8


class Arm(StrEnum):
    """What happens to a customer inside a campaign."""

    TREATMENT = "treatment"
    CONTROL = "control"


@dataclass(frozen=True)
class Assignment:
    """A customer's place in a campaign. ``propensity`` is the probability with which this very arm was drawn."""

    customer_id: str
    arm: Arm
    tier: str
    probability: float
    value: float
    propensity: float


def arm(campaign_id: str, customer_id: str, control_share: float) -> Arm:
    """The customer's arm: control with probability ``control_share``.

    It depends on nothing but the three arguments: not on other customers, their order, the time or the process. So it
    can be replayed for ever, and a repeated run assigns nobody anew.
    """
    digest = hashlib.sha256(f"{campaign_id}:{customer_id}".encode()).digest()
    uniform = int.from_bytes(digest[:_HASH_BYTES]) / 2 ** (8 * _HASH_BYTES)
    return Arm.CONTROL if uniform < control_share else Arm.TREATMENT


def propensity(drawn: Arm, control_share: float) -> float:
    """The probability with which ``drawn`` is drawn."""
    return control_share if drawn is Arm.CONTROL else 1 - control_share
