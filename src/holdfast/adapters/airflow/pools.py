"""The Airflow pools that bound how many tasks send by a lane at once; without its pool a task would wait for ever."""

from __future__ import annotations

from airflow.models.pool import Pool

from holdfast.adapters.airflow.conventions import pool_of
from holdfast.campaign.lanes import LANES

_SLOTS = 4


def create_pools() -> None:
    """Create each lane's pool where there is none; the size that a person has given it stays."""
    for lane in LANES:
        if Pool.get_pool(pool_of(lane)) is None:
            Pool.create_or_update_pool(
                pool_of(lane), slots=_SLOTS, description=f"senders of {lane} messages", include_deferred=False
            )
