"""What a person decides about a model."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Decision:
    """What was decided about a challenger that passed: by whom, when (UTC), and in what way it was asked."""

    approved: bool
    by: str
    at: datetime

    def __str__(self) -> str:
        return f"{'approved' if self.approved else 'rejected'} by {self.by} at {self.at:%Y-%m-%d %H:%M} UTC"
