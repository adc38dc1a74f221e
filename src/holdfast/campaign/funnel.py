"""How far each arm of a campaign run came: planned, sent, opened, redeemed, ordered."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from holdfast.campaign.definition import CONTROL
from holdfast.campaign.outbox import State


@dataclass(frozen=True)
class Progress:
    """How far one customer of a run came. ``message`` is its message's state, None for whoever gets none (control).

    ``told`` is whether the channel reports openings at all, so that ``opened`` means anything.
    """

    customer_id: str
    arm: str
    channel: str | None
    message: str | None
    told: bool
    opened: bool
    redeemed: bool


@dataclass(frozen=True)
class Attention:
    """Messages of one run that need a person, by how many: in doubt, refused for good of late, due and not sent."""

    campaign_id: str
    in_doubt: int
    failed: int
    overdue: int


@dataclass(frozen=True)
class ArmFunnel:
    """Customers of one arm by how far they came.

    ``planned``, ``sent`` and ``redeemed`` are None for the control, which gets no message; ``opened`` is None where the
    channel does not tell. ``ordered`` counts whoever has ordered since the cutoff: it is told of every arm alike,
    and is no measure of effect by itself.
    """

    arm: str
    assigned: int
    planned: int | None
    sent: int | None
    opened: int | None
    redeemed: int | None
    ordered: int


def funnel(progress: Iterable[Progress], ordered: Collection[str]) -> list[ArmFunnel]:
    """One row an arm, in alphabetical order with the control last; ``ordered`` are the customers who ordered since."""
    by_arm: dict[str, list[Progress]] = {}
    for one in progress:
        by_arm.setdefault(one.arm, []).append(one)
    return [_arm(name, by_arm[name], ordered) for name in sorted(by_arm, key=lambda name: (name == CONTROL, name))]


def _arm(name: str, members: list[Progress], ordered: Collection[str]) -> ArmFunnel:
    written_to = [one for one in members if one.message is not None]
    told = any(one.told for one in written_to)
    return ArmFunnel(
        arm=name,
        assigned=len(members),
        planned=len(written_to) if written_to else None,
        sent=sum(one.message == State.SENT for one in written_to) if written_to else None,
        opened=sum(one.opened for one in written_to) if told else None,
        redeemed=sum(one.redeemed for one in written_to) if written_to else None,
        ordered=sum(one.customer_id in ordered for one in members),
    )
