"""What customers choose on the preference page, and what channels report, and what follows from it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from holdfast.campaign.feedback import ALL_CHANNELS, Decision, SuppressionReason
from holdfast.campaign.links import Links
from holdfast.campaign.replies import MARKETING, PROFILING, Addressee, Choice, Told
from holdfast.ports import Replies, RepliesTransaction

PAGE, ONE_CLICK = "preference_page", "one_click"
"""By what a choice was recorded."""


@dataclass(frozen=True)
class Standing:
    """One customer's present choices, whether they are profiled, and the locale in which they were written to."""

    choices: tuple[Choice, ...]
    profiled: bool
    locale: str | None


@dataclass(frozen=True)
class Preferences:
    """The use case behind the preference page. Whoever holds a token that we signed may act for its one customer."""

    links: Links
    replies: Replies

    def look(self, token: str) -> Standing | None:
        """The customer's choices; None for a token that is not ours, or whose message is no longer known."""
        with self.replies.reading() as tx:
            to = self._addressee(tx, token)
            return None if to is None else _standing(tx, to)

    def choose(
        self, token: str, channels: Collection[str], at: datetime, profiling: bool | None = None
    ) -> Standing | None:
        """Allow exactly ``channels`` among those that are open to the customer; None as ``look``.

        ``profiling`` says whether the customer may be scored, None that they were not asked. Only what changes is
        recorded. A channel that is stopped is suppressed as well: a consent that a later import brings along does not
        open it again. One chosen again ends the customer's own suppression.
        """
        with self.replies.writing() as tx:
            to = self._addressee(tx, token)
            if to is None:
                return None
            _choose(tx, to.customer_id, channels, at)
            if profiling is not None and profiling != tx.profiled(to.customer_id):
                status: Literal["given", "withdrawn"] = "given" if profiling else "withdrawn"
                tx.decide(Decision(to.customer_id, PROFILING, ALL_CHANNELS, status, at, PAGE))
            return _standing(tx, to)

    def object(self, token: str, at: datetime) -> Standing | None:
        """Take the customer's objection to direct marketing as such, which ends profiling as well; None as ``look``."""
        with self.replies.writing() as tx:
            to = self._addressee(tx, token)
            if to is None:
                return None
            _choose(tx, to.customer_id, (), at)
            tx.decide(Decision(to.customer_id, MARKETING, ALL_CHANNELS, "withdrawn", at, PAGE))
            return _standing(tx, to)

    def stop(self, token: str, at: datetime) -> bool:
        """Stop the channel that the message came by, as RFC 8058's one click asks; False for a token that is not ours.

        Any number of clicks, or one on a message whose customer had stopped already, leaves the same state.
        """
        with self.replies.writing() as tx:
            to = self._addressee(tx, token)
            if to is None:
                return False
            _stop(tx, to.customer_id, to.channel, ONE_CLICK, at)
            return True

    def _addressee(self, tx: RepliesTransaction, token: str) -> Addressee | None:
        reference = self.links.reference(token)
        return None if reference is None else tx.addressee(reference)


@dataclass(frozen=True)
class Feedback:
    """The use case behind the channels' reports: bounces, complaints, openings."""

    replies: Replies

    def receive(self, channel: str, told: Told, at: datetime) -> bool:
        """Record the report and, after one hard bounce or one complaint, contact the customer no more by the channel.

        False, with nothing changed, for a report that was told before or is about no message of this channel.
        """
        with self.replies.writing() as tx:
            to = tx.addressee(told.reference)
            if to is None or to.channel != channel or not tx.tell(channel, told, at):
                return False
            if told.ends_contact is not None:
                tx.suppress(to.customer_id, channel, told.ends_contact, f"{channel} report", at)
            return True


def _choose(tx: RepliesTransaction, customer_id: str, channels: Collection[str], at: datetime) -> None:
    for choice in tx.choices(customer_id):
        wanted = choice.channel in channels
        if wanted and choice.open and not choice.allowed:
            tx.lift(customer_id, choice.channel)
            tx.decide(Decision(customer_id, MARKETING, choice.channel, "given", at, PAGE))
        elif not wanted and choice.allowed:
            _stop(tx, customer_id, choice.channel, PAGE, at)


def _standing(tx: RepliesTransaction, to: Addressee) -> Standing:
    return Standing(tuple(tx.choices(to.customer_id)), tx.profiled(to.customer_id), to.locale)


def _stop(tx: RepliesTransaction, customer_id: str, channel: str, source: str, at: datetime) -> None:
    if tx.suppress(customer_id, channel, SuppressionReason.UNSUBSCRIBED, source, at):
        tx.decide(Decision(customer_id, MARKETING, channel, "withdrawn", at, source))
