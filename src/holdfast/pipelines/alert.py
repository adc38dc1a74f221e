"""The digest for whoever is on call: who is at risk, what was sent, and what needs a person."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from holdfast.campaign.envelope import Envelope
from holdfast.campaign.funnel import Attention
from holdfast.campaign.messages import Render
from holdfast.campaign.rendering import DEFAULT_LANGUAGE
from holdfast.pipelines.score import SCORES
from holdfast.ports import CampaignProgress, Channel, Lake
from holdfast.risk import Tier

ALERT = "alert"
"""The channel, and the template, of the digest."""

_FAILED_DAYS = 2  # a refusal is told on two mornings, so that one whose digest did not arrive loses none


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
        Raises what the channel raises.
        """
        rendered = self.render(ALERT, DEFAULT_LANGUAGE, self._words(cutoff, at))
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

    def _words(self, cutoff: str, at: datetime) -> dict[str, Any]:
        """``shop``, ``currency``, ``cutoff``; ``tiers``: name, customers, value at risk; ``campaigns``: id, states;
        ``attention``: sentences, none when nothing needs a person."""
        tiers, campaigns = self._tiers(cutoff), []
        attention = [] if tiers else [f"nobody is scored as of {cutoff}: look at the DAGs features and score"]
        for run in self.progress.runs(date.fromisoformat(cutoff)):
            states = Counter(one.message for one in self.progress.of(run) if one.message is not None)
            campaigns.append({"id": run, "states": {str(state): count for state, count in sorted(states.items())}})
        for one in self.progress.attention(at, at - timedelta(days=_FAILED_DAYS)):
            attention += _sentences(one)
        return {
            "shop": self.shop,
            "currency": self.currency,
            "cutoff": cutoff,
            "tiers": tiers,
            "campaigns": campaigns,
            "attention": attention,
        }

    def _tiers(self, cutoff: str) -> list[dict[str, Any]]:
        """Customers and value at risk by tier, none where nobody is scored."""
        if not self.lake.exists(SCORES):
            return []
        scores = self.lake.read(SCORES, where={"cutoff": [cutoff]})
        at_risk = scores.groupby("tier")["value_at_risk"].agg(["size", "sum"])
        return [
            {"name": tier.value, "customers": int(at_risk["size"][tier]), "value": float(at_risk["sum"][tier])}
            for tier in Tier
            if tier in at_risk.index
        ]


def _sentences(one: Attention) -> list[str]:
    told = (
        (one.in_doubt, "may or may not have been delivered; look for each, and settle it: `holdfast outbox resolve`"),
        (one.failed, f"were refused for good in the last {_FAILED_DAYS} days; `holdfast outbox show` tells why"),
        (one.overdue, "still wait to be sent"),
    )
    return [f"{one.campaign_id}: {count} messages {what}" for count, what in told if count]
