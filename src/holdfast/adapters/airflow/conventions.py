"""What the DAGs share: their common arguments, the assets that chain them, and the cutoff that travels with those.

Asset- and API-triggered runs have no logical date, so a cutoff is always an explicit value: a DAG parameter, or the
``extra`` of the asset event that started the run.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from airflow.sdk import Asset, ExceptionRetryPolicy, Param, RetryAction, RetryRule

from holdfast.errors import HoldfastError, SettingsError, StoreUnavailableError, TemporaryChannelError

RETRIES = ExceptionRetryPolicy(
    rules=[
        RetryRule(TemporaryChannelError, RetryAction.RETRY, reason="refused for now"),
        RetryRule(StoreUnavailableError, RetryAction.RETRY, reason="a server did not answer"),
        RetryRule(HoldfastError, RetryAction.FAIL, reason="it would fail again until a person has acted"),
    ]
)
COMMON: dict[str, Any] = {
    "start_date": datetime(2017, 1, 1, tzinfo=UTC),
    "catchup": False,  # a run takes up everything that is pending, so a missed one needs no run of its own
    "max_active_runs": 1,
    "tags": ["holdfast"],
    "default_args": {"retries": 2, "retry_delay": timedelta(seconds=30), "retry_policy": RETRIES},
}
"""Arguments of every DAG."""

LAKE = Asset("holdfast_lake", uri="holdfast://lake")
FEATURES = Asset("holdfast_features", uri="holdfast://features")
CHAMPION = Asset("holdfast_champion", uri="holdfast://models/champion")
SCORES = Asset("holdfast_scores", uri="holdfast://scores")
OUTREACH = Asset("holdfast_outreach", uri="holdfast://outreach")


def pool_of(lane: str) -> str:
    """The name of the lane's pool (``holdfast.campaign.lanes``)."""
    return f"holdfast_{lane}"


CUTOFF = Param(
    None,
    type=["null", "string"],
    format="date",
    description="The day that separates known from predicted. Empty: that of the triggering event, else the latest "
    "day up to which the lake is complete.",
)


def due_at(context: Mapping[str, Any]) -> datetime | None:
    """The instant that a scheduled run is for; None for a run that a person or another run has started."""
    run = context["dag_run"]
    return run.logical_date if run.run_type == "scheduled" else None


def cutoff_of(context: Mapping[str, Any]) -> str | None:
    """The run's cutoff as an ISO date: its parameter, else its latest triggering event's; None if it has neither.

    Raises SettingsError when the value is no date.
    """
    value = context["params"].get("cutoff")
    if value is None:
        carried = [
            event.extra["cutoff"]
            for events in (context.get("triggering_asset_events") or {}).values()
            for event in events
            if "cutoff" in (event.extra or {})
        ]
        value = max(carried, default=None)
    if value is None:
        return None
    try:
        return date.fromisoformat(value).isoformat()
    except ValueError as error:
        raise SettingsError(f"cutoff {value!r} is no date; write it as YYYY-MM-DD") from error
