"""The digest for whoever is on call: who is at risk, what was sent, and what needs a person."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from holdfast.campaign.envelope import Envelope
from holdfast.campaign.messages import Render
from holdfast.campaign.outbox import State
from holdfast.campaign.rendering import DEFAULT_LANGUAGE
from holdfast.errors import MissingDataError
from holdfast.pipelines.score import SCORES
from holdfast.ports import CampaignProgress, Channel, Lake
from holdfast.risk import Tier

ALERT = "alert"
"""The channel, and the template, of the digest."""

_NEEDS_A_PERSON = {
    State.UNKNOWN: "may or may not have been delivered; look for each, then settle it with `holdfast outbox resolve`",
    State.FAILED: "were refused for good; `holdfast outbox show` tells why",
    State.PLANNED: "still wait to be sent",
}


@dataclass(frozen=True)
class Alerting:
    """The use case and its ports. ``channel`` is None where the shop has none for alerts."""

    lake: Lake
    progress: CampaignProgress
    render: Render
    channel: Channel | None
    shop: str
    currency: str

    def send(self, cutoff: str, at: datetime) -> str:
        """Send the digest of a cutoff (ISO date) and return its subject.

        A digest may arrive twice where a try ended in doubt; it is never given up silently.
        Raises MissingDataError when nobody is scored as of the cutoff, and what the channel raises.
        """
        rendered = self.render(ALERT, DEFAULT_LANGUAGE, self._words(cutoff))
        envelope = Envelope(
            channel=ALERT,
            recipient="on-call",
            idempotency_key=f"{ALERT}:{cutoff}:{at.isoformat()}",
            at=at,
            text=rendered.text,
            subject=rendered.subject,
            html=rendered.html,
            data={"cutoff": cutoff},
        )
        if self.channel is None:
            return f"{rendered.subject} (told to nobody: config/channels.yaml has no channel {ALERT!r})"
        with self.channel.connect() as connection:
            connection.prepare(envelope)()
        return rendered.subject

    def _words(self, cutoff: str) -> dict[str, Any]:
        """``shop``, ``currency``, ``cutoff``; ``tiers``: name, customers, value at risk; ``campaigns``: id, states;
        ``attention``: sentences, none when nothing needs a person."""
        scores = self.lake.read(SCORES, where={"cutoff": [cutoff]})
        if scores.empty:
            raise MissingDataError(f"no customer is scored as of {cutoff}. Run the score DAG for this cutoff first.")
        at_risk = scores.groupby("tier")["value_at_risk"].agg(["size", "sum"])
        campaigns, attention = [], []
        for run in self.progress.runs(date.fromisoformat(cutoff)):
            states = Counter(one.message for one in self.progress.of(run) if one.message is not None)
            campaigns.append({"id": run, "states": {str(state): count for state, count in sorted(states.items())}})
            attention += [
                f"{run}: {states[state]} messages {what}" for state, what in _NEEDS_A_PERSON.items() if states[state]
            ]
        return {
            "shop": self.shop,
            "currency": self.currency,
            "cutoff": cutoff,
            "tiers": [
                {"name": tier.value, "customers": int(at_risk["size"][tier]), "value": float(at_risk["sum"][tier])}
                for tier in Tier
                if tier in at_risk.index
            ],
            "campaigns": campaigns,
            "attention": attention,
        }
