"""The lanes by which messages leave: a sending task and a pool for each usual channel, and one for all others."""

from __future__ import annotations

from collections.abc import Iterable

OTHER = "other"
LANES = ("email", "sms", "push", "care_desk", OTHER)


def channels_in(lane: str, channels: Iterable[str]) -> list[str]:
    """Those of ``channels`` that leave by the lane."""
    return [channel for channel in channels if (channel if channel in LANES else OTHER) == lane]
