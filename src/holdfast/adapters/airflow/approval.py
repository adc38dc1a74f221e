"""What a person answered in Airflow, as a decision."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from holdfast.model.decision import Decision

APPROVE, REJECT = "Approve", "Reject"
OPTIONS = [APPROVE, REJECT]


def decision(answer: Mapping[str, Any] | None, now: datetime) -> Decision:
    """The decision in a human-in-the-loop task's return value; None stands for a task that was not to ask."""
    if answer is None:
        return Decision(True, "the setting HOLDFAST_APPROVAL=auto", now)
    person = answer.get("responded_by_user")
    at = answer["responded_at"]
    return Decision(
        approved=answer["chosen_options"] == [APPROVE],
        by=str(person["name"]) if person else "the default, since nobody answered in time",
        at=(datetime.fromisoformat(at) if isinstance(at, str) else at).astimezone(UTC),
    )
