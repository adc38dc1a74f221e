"""From planned to sent: messages handed out under a lease, each claimed and committed before it leaves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypedDict

from holdfast.campaign.messages import Composer, Personal
from holdfast.campaign.outbox import Batch, Draft, Lease, Leased, Outcome, State, outcome_of
from holdfast.errors import (
    AmbiguousDeliveryError,
    CampaignError,
    ChannelError,
    ChannelUnavailableError,
    TemporaryChannelError,
)
from holdfast.ports import Channel, ChannelConnection, KeptOperations, Operations
from holdfast.rules import Outreach

Clock = Callable[[], datetime]
Pause = Callable[[float], None]
"""Waits so many seconds."""

_LONGEST_WAIT = timedelta(minutes=1)


class Sent(TypedDict):
    """What became of the messages that one call took up.

    ``refused`` ones stay planned and are due again later, ``postponed`` ones after their quiet hours. ``lost`` ones
    were sent by us after their claim had lapsed: they are in doubt, and so among the unknown.
    """

    sent: int
    failed: int
    unknown: int
    skipped: int
    refused: int
    postponed: int
    lost: int


@dataclass(frozen=True)
class Sending:
    """The use case and its ports.

    ``channels`` are held by the names that campaigns use; ``worker`` names this process in the outbox; ``at_once`` is
    how many messages are leased together.
    """

    operations: Operations
    channels: Mapping[str, Channel]
    composer: Composer
    outreach: Outreach
    worker: str
    at_once: int = 50

    def send(self, batch: Batch, clock: Clock, pause: Pause) -> Sent:
        """Send the batch's due messages, until none is left.

        Any number of calls at once send a message at most once. A message that is refused for now stays planned, due
        again later, a few times; when nobody answers, the rest is left untouched. In both cases TemporaryChannelError
        is raised at the end, so that whoever called comes back later; nothing is lost or sent twice by it. Where a rate
        limit holds the channel back, the call waits for it.
        """
        done = _Done()
        with ExitStack() as opened:
            connection: ChannelConnection | None = None
            while True:
                leased = self._lease(batch, clock)
                if leased.retry_at is not None:
                    self._wait(batch, leased, clock, pause)
                    continue
                if not leased.found:
                    break
                done.skipped += leased.skipped
                done.postponed += leased.postponed
                if leased.leases:
                    connection = connection or self._connect(batch, leased.leases, opened, clock)
                    self._work_off(connection, leased.leases, clock, done)
        if done.refused:
            raise TemporaryChannelError(
                f"channel {batch.channel}: {done.refused} messages were refused for now and stay planned; "
                f"{done.states[State.SENT]} were sent. They are due again later; `holdfast outbox show` says why"
            )
        return done.told()

    def _lease(self, batch: Batch, clock: Clock) -> Leased:
        with self.operations.writing() as tx:
            return tx.outbox.lease(batch, self.at_once, self.worker, self.outreach, clock())

    def _wait(self, batch: Batch, leased: Leased, clock: Clock, pause: Pause) -> None:
        """Wait for the channel. Raises ChannelUnavailableError when that would take too long."""
        assert leased.retry_at is not None  # noqa: S101 - the caller has seen it
        left = leased.retry_at - clock()
        if left > _LONGEST_WAIT:
            raise ChannelUnavailableError(
                f"channel {batch.channel} is held back until {leased.retry_at:%Y-%m-%d %H:%M:%S} UTC: {leased.why}. "
                "Nothing is lost: its messages stay planned"
            )
        pause(max(left.total_seconds(), 0.001))

    def _connect(self, batch: Batch, leases: Sequence[Lease], opened: ExitStack, clock: Clock) -> ChannelConnection:
        """Open the channel before anything is claimed: a server that is down costs no message an attempt."""
        if batch.channel not in self.channels:
            self._give_back(leases)
            raise CampaignError(f"no channel is called {batch.channel!r}; there are {', '.join(sorted(self.channels))}")
        try:
            return opened.enter_context(self.channels[batch.channel].connect())
        except ChannelUnavailableError:
            self._give_back(leases)
            self._answered(batch.channel, up=False, clock=clock)
            raise

    def _work_off(self, connection: ChannelConnection, leases: Sequence[Lease], clock: Clock, done: _Done) -> None:
        """Send the leased messages one by one; one transaction marks the last and claims the next.

        So at most one message is ever in doubt. Raises ChannelUnavailableError, the rest given back.
        """
        with self.operations.kept() as kept:
            tried = self._one_by_one(connection, list(leases), clock, done, kept)
        if leases[0].probe and tried:
            self._answered(leases[0].draft.arm.message.channel, up=True, clock=clock)

    def _one_by_one(
        self, connection: ChannelConnection, rest: list[Lease], clock: Clock, done: _Done, kept: KeptOperations
    ) -> bool:
        """Whether any message was handed to the channel, so that it answered."""
        last: tuple[Lease, Outcome] | None = None
        tried = False
        try:
            while rest:
                lease = rest[0]
                ready = self._ready(connection, lease.draft, clock())
                step = kept.step(last, lease, clock())
                done.add(last, step.marked)
                last = None
                if not step.claimed:
                    break
                del rest[0]
                if isinstance(ready, Outcome):
                    last = lease, ready
                    continue
                tried = True
                try:
                    ready()
                    last = lease, Outcome(State.SENT)
                except (ChannelError, AmbiguousDeliveryError) as error:
                    last = lease, outcome_of(error, lease, clock())
                    if isinstance(error, ChannelUnavailableError):
                        self._answered(lease.draft.arm.message.channel, up=False, clock=clock)
                        raise
        finally:
            if last is not None:
                with kept.writing() as tx:
                    marked = tx.outbox.finish(*last, clock())
                done.add(last, marked)
            if rest:
                with kept.writing() as tx:
                    tx.outbox.release(rest)
        return tried

    def _ready(self, connection: ChannelConnection, draft: Draft, at: datetime) -> Callable[[], None] | Outcome:
        """What hands the message over, or its outcome where what we know of its customer makes it impossible.

        Raises CampaignError when the template does not even suit invented customers: then no message is at fault.
        """
        try:
            envelope = self.composer.compose(
                draft.arm.message,
                key=draft.idempotency_key,
                recipient=draft.recipient,
                given_name=draft.given_name,
                coupon=draft.coupon,
                at=at,
                personal=Personal.of(draft.context),
                purpose=draft.campaign.purpose,
            )
        except CampaignError as error:
            self.composer.try_out(draft.arm.message, draft.coupon, at)
            return Outcome(State.FAILED, str(error))
        return connection.prepare(envelope)

    def _give_back(self, leases: Sequence[Lease]) -> None:
        with self.operations.writing() as tx:
            tx.outbox.release(leases)

    def _answered(self, channel: str, *, up: bool, clock: Clock) -> None:
        with self.operations.writing() as tx:
            tx.outbox.answered(channel, up, clock())


@dataclass
class _Done:
    """What a call has done so far."""

    states: Counter[State] = field(default_factory=Counter)
    skipped: int = 0
    postponed: int = 0
    lost: int = 0

    @property
    def refused(self) -> int:
        return self.states[State.PLANNED]

    def add(self, last: tuple[Lease, Outcome] | None, marked: bool) -> None:
        if last is not None and marked:
            self.states[last[1].state] += 1
        elif last is not None:
            self.lost += 1

    def told(self) -> Sent:
        return Sent(
            sent=self.states[State.SENT],
            failed=self.states[State.FAILED],
            unknown=self.states[State.UNKNOWN],
            skipped=self.skipped,
            refused=self.refused,
            postponed=self.postponed,
            lost=self.lost,
        )
