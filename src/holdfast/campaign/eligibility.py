"""The send gate: the reasons not to contact a customer, asked in one fixed order for every channel.

Planning asks it about a whole audience, and the sender again about the messages it is about to claim.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from enum import StrEnum
from functools import cache
from typing import TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from holdfast.campaign.assignment import uniforms
from holdfast.campaign.recipient import is_one_recipient, is_plain_address
from holdfast.rules import Outreach, QuietHours

Objects: TypeAlias = npt.NDArray[np.object_]
Flags: TypeAlias = npt.NDArray[np.bool_]

# Plain beyond doubt, and most addresses: dot-separated atoms on both sides. The rest are parsed one by one.
_USUAL_ADDRESS = r"^[A-Za-z0-9_+-]+(\.[A-Za-z0-9_+-]+)*@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$"
_USUAL_LENGTH = 200


class Reason(StrEnum):
    """Why a customer of the audience is not contacted.

    Up to ``BUDGET`` in the order in which the gate asks. ``NOT_CHOSEN`` and ``DO_NOT_DISTURB`` are the policy's own;
    the last two can only arise between plan and send.
    """

    NO_CONTACT = "no_contact"
    NO_CONSENT = "no_consent"
    SUPPRESSED = "suppressed"
    HOLDOUT = "holdout"
    CONTROL = "control"
    FREQUENCY_CAP = "frequency_cap"
    QUIET_HOURS = "quiet_hours"
    BUDGET = "budget"
    NOT_CHOSEN = "not_chosen"
    DO_NOT_DISTURB = "do_not_disturb"
    TOO_LATE = "too_late"
    STOPPED = "stopped"


EXPLANATIONS = {
    Reason.NO_CONTACT: "no address of this channel is known, or it is not one plain address",
    Reason.NO_CONSENT: "consent to marketing by this channel was never given, or was withdrawn",
    Reason.SUPPRESSED: "unsubscribed, complained, bounced or erased",
    Reason.HOLDOUT: "in the global holdout, which no campaign contacts",
    Reason.CONTROL: "in the campaign's control group",
    Reason.FREQUENCY_CAP: "contacted as often as the frequency cap allows",
    Reason.QUIET_HOURS: "no hour was left between the quiet hours and the campaign's end",
    Reason.BUDGET: "the budget is used up by customers whom the policy ranks higher",
    Reason.NOT_CHOSEN: "left alone by the policy",
    Reason.DO_NOT_DISTURB: "left alone, since every arm has surely done harm to customers like this one",
    Reason.TOO_LATE: "the campaign's last day or the coupon's validity has passed",
    Reason.STOPPED: "a person stopped the campaign",
}


def explained(reason: str | None) -> str | None:
    """The reason as a sentence for the person who asks."""
    return None if reason is None else EXPLANATIONS[Reason(reason)]


@dataclass(frozen=True)
class Known:
    """What the operations database knows about contacting customers by one channel, an entry a customer in each array.

    ``reachable`` is whether exactly one address of the channel is known; ``consent`` is the latest decision ("given",
    "withdrawn"), or None when none was ever recorded; ``suppressed`` is whether any suppression holds; ``recent``
    counts, for each frequency cap (a column), the marketing messages of its window, sent or bound to be.
    """

    reachable: Flags
    consent: Objects
    suppressed: Flags
    recent: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Standings:
    """All that the gate asks about customers; ``timezone`` is an IANA name, the customer's own or the shop's."""

    known: Known
    holdout: Flags
    control: Flags
    timezone: Objects

    @classmethod
    def of(
        cls,
        customer_ids: Sequence[str],
        known: Known,
        timezone: Objects,
        outreach: Outreach,
        control: Flags | None = None,
    ) -> Standings:
        """With the holdout drawn; ``control`` left out means that nobody is known to be in it (yet)."""
        held_out = uniforms(outreach.holdout.name, customer_ids) < outreach.holdout.share
        return cls(known, held_out, np.zeros(len(customer_ids), dtype=bool) if control is None else control, timezone)

    def __len__(self) -> int:
        return len(self.timezone)


def gate(  # the order of the reasons is the rule; do not sort
    standings: Standings, outreach: Outreach, at: datetime, *, within_budget: Flags, exempt: Flags
) -> Objects:
    """The first reason not to contact each customer at that moment, or None.

    ``within_budget`` is whether the budget reaches the customer. ``exempt`` messages (transactional ones) are asked for
    nothing but an address.
    """
    caps = np.array([cap.messages for cap in outreach.frequency_caps])
    asked: list[tuple[Reason, Flags]] = [
        (Reason.NO_CONTACT, ~standings.known.reachable),
        (Reason.NO_CONSENT, ~exempt & (standings.known.consent != "given")),
        (Reason.SUPPRESSED, ~exempt & standings.known.suppressed),
        (Reason.HOLDOUT, ~exempt & standings.holdout),
        (Reason.CONTROL, standings.control),
        (Reason.FREQUENCY_CAP, ~exempt & (standings.known.recent >= caps).any(axis=1)),
        (Reason.QUIET_HOURS, ~exempt & in_quiet_hours(standings.timezone, outreach.quiet_hours, at)),
        (Reason.BUDGET, ~within_budget),
    ]
    reasons: Objects = np.full(len(standings), None, dtype=object)
    for reason, holds in reversed(asked):
        reasons[holds] = reason
    return reasons


def has_one_recipient(addresses: Objects, channel: str) -> Flags:
    """Whether each address is exactly one of the channel; None is not."""
    if channel != "email":
        return np.array([bool(one) and is_one_recipient(channel, one) for one in addresses], dtype=bool)
    texts = pa.array(addresses, pa.string())
    usual = pc.and_(pc.match_substring_regex(texts, _USUAL_ADDRESS), pc.less(pc.utf8_length(texts), _USUAL_LENGTH))
    plain: Flags = pc.fill_null(usual, False).to_numpy(zero_copy_only=False).astype(bool)
    for i in np.flatnonzero(~plain):
        plain[i] = bool(addresses[i]) and is_plain_address(addresses[i])
    return plain


def in_quiet_hours(timezones: Objects, quiet: QuietHours | None, at: datetime) -> Flags:
    """Whether it is quiet at that moment by each customer's clock."""
    if quiet is None:
        return np.zeros(len(timezones), dtype=bool)
    quiet_now: Objects = _by_zone(timezones, lambda zone: _is_quiet(at.astimezone(zone).time(), quiet))
    return np.array(quiet_now, dtype=bool)


def quiet_until(timezones: Objects, quiet: QuietHours, at: datetime) -> Objects:
    """The end of the quiet hours that hold at that moment, by each customer's clock, as an instant."""
    return _by_zone(timezones, lambda zone: _next(quiet.end, at, zone))


def quiet_from(timezones: Objects, quiet: QuietHours, at: datetime) -> Objects:
    """When quiet hours begin next after that moment, by each customer's clock, as an instant."""
    return _by_zone(timezones, lambda zone: _next(quiet.start, at, zone))


def zone_or(default: ZoneInfo, name: str | None) -> str:
    """``name`` if IANA knows it, else the default zone's name: a customer's own time zone may be misspelt."""
    return name if name and _known(name) else default.key


@cache
def _known(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _is_quiet(clock: time, quiet: QuietHours) -> bool:
    if quiet.start < quiet.end:
        return quiet.start <= clock < quiet.end
    return clock >= quiet.start or clock < quiet.end


def _next(clock: time, at: datetime, zone: ZoneInfo) -> datetime:
    """The next instant after ``at`` at which a clock in the zone shows that time; one skipped in spring counts too."""
    local = at.astimezone(zone)
    today = datetime.combine(local.date(), clock, tzinfo=zone).astimezone(at.tzinfo)
    if today > at:
        return today
    return datetime.combine(local.date() + timedelta(days=1), clock, tzinfo=zone).astimezone(at.tzinfo)


def _by_zone(timezones: Objects, of: Callable[[ZoneInfo], object]) -> Objects:
    """``of`` each customer's zone, computed once a zone."""
    answers = {name: of(ZoneInfo(name)) for name in set(timezones.tolist())}
    found: Objects = np.empty(len(timezones), dtype=object)
    found[:] = [answers[name] for name in timezones.tolist()]
    return found
