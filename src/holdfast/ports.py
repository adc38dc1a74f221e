"""What the use cases need from the outside world, as small Protocols named for the need.

Each has one real adapter in ``holdfast.adapters`` and, where a test needs one, a fake in ``tests/fakes`` that passes
the same contract tests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, Protocol

import pandas as pd
import pyarrow as pa

from holdfast.access import ApiKey
from holdfast.campaign.audit import Entry
from holdfast.campaign.definition import CampaignRun
from holdfast.campaign.eligibility import Known
from holdfast.campaign.envelope import Envelope
from holdfast.campaign.feedback import Decision, SuppressionReason
from holdfast.campaign.funnel import Attention, Progress
from holdfast.campaign.offers import Balance, Entitlement, Redeemed, RedemptionReport
from holdfast.campaign.outbox import Batch, Counts, CustomerRecord, Lease, Leased, OutboxEntry, Outcome, State, Step
from holdfast.campaign.planned import Coupons, Messages
from holdfast.campaign.policy import Selection
from holdfast.campaign.replies import Addressee, Choice, Told
from holdfast.contract import RowRule
from holdfast.effect.uplift_model import UpliftModel, UpliftRun
from holdfast.features.spec import Family
from holdfast.mapping import Format
from holdfast.model.approval import Approval
from holdfast.model.promotion import Verdict
from holdfast.model.record import CandidateRun, ModelVersion, RunRecord
from holdfast.model.served import ServedModel
from holdfast.rules import FrequencyCap, Outreach
from holdfast.windows import Window

Alias = Literal["champion", "challenger", "previous"]


@dataclass(frozen=True)
class BrokenRow:
    """A row that could not be read into columns: ``row`` its number, ``found`` what is there instead."""

    row: int
    rule: RowRule
    found: str


@dataclass(frozen=True)
class FileContent:
    """A file's rows: text columns under the file's own names, and ``row``, each row's number (the header is row 1)."""

    rows: pa.Table
    broken: tuple[BrokenRow, ...] = ()


@dataclass(frozen=True)
class Promise:
    """What a manifest says of a landing file: its rows and its content's SHA-256, as far as it says so."""

    file: str
    manifest: str
    rows: int | None = None
    sha256: str | None = None


class Landing(Protocol):
    """Where the shop's files arrive."""

    def paths(self) -> Sequence[str]:
        """All files that have landed, manifests apart, by their path below the landing directory, sorted."""
        ...

    def promise(self, path: str) -> Promise | None:
        """What a manifest says of the file, if any does. Raises SourceError when the manifest cannot be read."""
        ...

    def awaited(self) -> Sequence[Promise]:
        """The files that a readable manifest lists and that have not landed, sorted."""
        ...

    def batch(self, path: str) -> str:
        """The identity of the file's content: the SHA-256 of its bytes, whatever the file is called."""
        ...

    def read(self, path: str, form: Format) -> FileContent:
        """The file's rows as text.

        Raises SourceError, naming file, place and remedy, when the file as a whole cannot be read.
        """
        ...


class Quality(Protocol):
    """Expectations on rows before they are stored, and the record of every validation."""

    def check(self, table: str, rows: pd.DataFrame, name: str) -> None:
        """Validate rows of a lake table, or one cutoff's of a feature view, and record it under ``name``.

        Raises QualityError naming the expectation and the observed value.
        """
        ...

    def publish(self) -> Path:
        """Bring the readable record (Data Docs) up to date and return its first page."""
        ...


class Lake(Protocol):
    """Versioned tables of accepted data, features and scores. Readers never see a half-written change."""

    def append(self, table: str, rows: pd.DataFrame, batches: Sequence[str]) -> int:
        """Add the rows of these batches in one commit and return how many were added.

        ``rows`` has a column ``batch`` naming, for each row, one of ``batches``. A batch that this table already holds
        is left out, so that a repeated call changes nothing. A batch without rows is noted too: whatever a slower
        writer still appends under its name is left out.
        """
        ...

    def replace(self, table: str, rows: pd.DataFrame, where: Mapping[str, Sequence[str]]) -> None:
        """Put ``rows`` in the place of every row whose column values are among those of ``where``, in one commit."""
        ...

    def read(
        self,
        table: str,
        columns: Sequence[str] | None = None,
        where: Mapping[str, Sequence[str]] | None = None,
        version: int | None = None,
    ) -> pd.DataFrame:
        """The rows (those whose column values are among ``where``'s), in no particular order, as of ``version``.

        A column that the table does not have yet, since it came into the contract later, is null. Raises
        MissingDataError when the table has never been written or has no such version.
        """
        ...

    def exists(self, table: str) -> bool: ...

    def version(self, table: str) -> int:
        """The table's present version; a training set names it so that it can be read again."""
        ...


class Vault(Protocol):
    """Contact details and consents, in the operations database."""

    def append(self, table: str, rows: pd.DataFrame, batches: Sequence[str]) -> int:
        """As Lake.append, for tables whose home is the vault. A later contact replaces the customer's earlier one."""
        ...

    def identify(self, own_ids: Mapping[str, str]) -> None:
        """Keep the shop's own id of these customers, by pseudonym; those known already stay as they are."""
        ...


@dataclass(frozen=True)
class FeaturesAsOf:
    """The features of every customer known at one cutoff, by view (``holdfast.features.compute.assemble``)."""

    cutoff: date
    views: Mapping[str, pd.DataFrame]

    @property
    def customers(self) -> int:
        """How many customers are known; every view has them all."""
        return max(len(rows) for rows in self.views.values())


@dataclass(frozen=True)
class FeatureInputs:
    """What features are computed from: the lake's tables at these ``versions``, and the families that they feed."""

    versions: Mapping[str, int]
    families: tuple[Family, ...]


class FeatureEngine(Protocol):
    """Runs the feature kernel over the lake. Every engine gives the same bytes."""

    def inputs(self) -> FeatureInputs:
        """What the lake holds now; everything else this engine object does is about these versions."""
        ...

    def unchanged_before(self, versions: Mapping[str, int]) -> datetime | None:
        """The instant before which the lake is as it was at ``versions``: the earliest event that came in since.

        ``datetime.max`` (UTC) when none came in, and None when it cannot be told.
        """
        ...

    def compute(self, cutoffs: Sequence[date]) -> Iterator[FeaturesAsOf]:
        """The features as of each cutoff, ascending, one cutoff at a time."""
        ...


class HistoricalFeatures(Protocol):
    """Features as they were."""

    def historical(self, entities: pd.DataFrame) -> pd.DataFrame:
        """``entities`` (customer_id, event_timestamp) with every catalogue feature as of event_timestamp joined on.

        Every entity row comes back exactly once; a customer without a value gets NaN.
        """
        ...

    def lacking(self, cutoffs: Sequence[date]) -> list[date]:
        """Those of the cutoffs without features of their own: ``historical`` may answer for them with older ones."""
        ...


class FeatureStore(HistoricalFeatures, Protocol):
    """Feast, as the loop uses it: offline tables fed by us, the online store read by anyone."""

    def apply(self) -> list[str]:
        """Bring the registry in line with ``feature_repo/``; returns the names of the feature views."""
        ...

    def write(self, tables: Mapping[str, pd.DataFrame]) -> None:
        """Put each feature view's rows (``holdfast.features.compute``) in the place of those of the same cutoffs."""
        ...

    def stored(self, views: Sequence[str]) -> set[str]:
        """The cutoffs (ISO dates) that the offline tables of all these views hold."""
        ...

    def snapshot(self, cutoff: date) -> pd.DataFrame:
        """Every customer known at this cutoff: customer_id, cutoff, event_timestamp and the features that are on.

        Raises MissingDataError when the features of this cutoff have not been written.
        """
        ...

    def materialize(self, cutoff: datetime) -> None:
        """Copy the features as of ``cutoff`` online."""
        ...

    def online(self, customer_ids: Sequence[str]) -> pd.DataFrame:
        """Features and score (as ``write_scores`` has it) now served, one row a customer in the order asked."""
        ...

    def erase_scores(self, customer_ids: Sequence[str]) -> None:
        """Serve no score of these customers any more."""
        ...

    def write_scores(self, scores: pd.DataFrame) -> None:
        """Put scores online. Columns: customer_id, event_timestamp, and those of ``holdfast.scores.SCORE_FIELDS``."""
        ...


@dataclass(frozen=True)
class ServedFeature:
    """A feature that other services can read: a float64 (``number``) or ``text``."""

    name: str
    meaning: str
    kind: Literal["number", "text"]
    unit: str | None = None
    null: str | None = None


@dataclass(frozen=True)
class ServedView:
    """A feature view: ``ttl`` after its event time a value no longer counts as fresh (None: always does)."""

    name: str
    meaning: str
    ttl: timedelta | None
    features: tuple[ServedFeature, ...]


@dataclass(frozen=True)
class Served:
    """What Feast's registry declares of the customers' features, in the order of the feature service."""

    project: str
    views: tuple[ServedView, ...]


@dataclass(frozen=True)
class Asked:
    """What is read of each customer: of every view its event time, and these features of it (none: the time alone)."""

    project: str
    views: Mapping[str, tuple[str, ...]]


class OnlineReader(Protocol):
    """The online store, read beside an event loop without holding it up."""

    async def read(self, asked: Asked, customers: Sequence[str]) -> list[list[Any]]:
        """A row for each customer, in the order asked, from one round trip.

        A row is, view after view, its event time (seconds of the Unix epoch; None where the store knows no such
        customer) and then the features' values in the order of ``asked`` (None is null). Whether a value is still
        fresh, the store does not know. Raises FeatureStoreError when it cannot be read.
        """
        ...

    async def close(self) -> None: ...


class Scratch(Protocol):
    """Tables that one task of a DAG run hands to the next by name. Readers never see a half-written one."""

    def write(self, name: str, rows: pd.DataFrame) -> str:
        """Keep ``rows`` under ``name`` (``2017-11-26/training``) in the place of an earlier one; returns its path."""
        ...

    def read(self, path: str) -> pd.DataFrame:
        """The rows written to ``path``. Raises MissingDataError when they are gone."""
        ...


class ModelRegistry(Protocol):
    """Where models, and the story of how each came to be, are kept for people to review."""

    def log(self, run: CandidateRun) -> str:
        """Record the run with its model and return the run's id."""
        ...

    def register(self, run_id: str) -> ModelVersion:
        """Make the run's model a version and the challenger. A repeated call gives the same version."""
        ...

    def aliased(self, alias: Alias) -> ModelVersion | None:
        """The version that now holds this alias, if any."""
        ...

    def judge(self, version: ModelVersion, verdict: Verdict, story: str) -> None:
        """Write the gate's verdict on the version, and its ``story`` (Markdown) for whoever reviews it."""
        ...

    def decide(self, version: ModelVersion, decision: Approval, replacing: str | None) -> None:
        """Write the decision on the version and, if it is approved, make it the champion and its predecessor previous.

        Of several at once, one comes first. Raises ModelError when ``replacing`` (a version, None for nobody) is no
        longer the champion; a repeated approval changes nothing.
        """
        ...

    def rollback(self, decision: Approval) -> ModelVersion:
        """Let the previous champion and the present one change places; returns the version that is champion now.

        Raises ModelError when there is no previous champion.
        """
        ...

    def record(self, version: ModelVersion) -> RunRecord:
        """What the version was made of. Raises ModelError when its run does not tell."""
        ...

    def load(self, version: ModelVersion) -> ServedModel:
        """The version's model. Raises ModelError when its files are gone or are not those that were registered."""
        ...


class UpliftRegistry(Protocol):
    """Where the uplift models of one campaign are kept; as ``ModelRegistry``."""

    def log(self, run: UpliftRun) -> str: ...

    def register(self, run_id: str) -> ModelVersion: ...

    def aliased(self, alias: Alias) -> ModelVersion | None: ...

    def judge(self, version: ModelVersion, verdict: Verdict, story: str) -> None: ...

    def decide(self, version: ModelVersion, decision: Approval, replacing: str | None) -> None: ...

    def load(self, version: ModelVersion) -> UpliftModel: ...


class Outbox(Protocol):
    """The messages to deliver, on one open transaction."""

    def lease(self, batch: Batch, limit: int, worker: str, outreach: Outreach, at: datetime) -> Leased:
        """Ask the send gate about up to ``limit`` due messages and hand out those that may leave.

        The others are skipped, or wait until their quiet hours are over. Claims that have become stale are made
        ``unknown`` first. Nobody else is handed the same message until the lease ends.
        """
        ...

    def claim(self, lease: Lease, at: datetime) -> bool:
        """Claim a leased message; False, with nothing changed, when the lease is no longer good.

        It is not when it ended or was handed out anew, or when anything has changed that the gate was asked about.
        The claim holds once the transaction is committed; only then may the message be sent.
        """
        ...

    def finish(self, lease: Lease, outcome: Outcome, at: datetime) -> bool:
        """Record the outcome of a claim; False, with nothing changed, when the claim had lapsed meanwhile.

        A message that failed voids its coupon.
        """
        ...

    def release(self, leases: Sequence[Lease]) -> None:
        """Give back leases that were not claimed."""
        ...

    def answered(self, channel: str, up: bool, at: datetime) -> None:
        """Tell the channel's circuit breaker whether the other side was there."""
        ...

    def entries(self, state: State | None, campaign_id: str | None, limit: int) -> list[OutboxEntry]:
        """Messages as an operator sees them, in the order of planning."""
        ...

    def resolve(self, reference: str, delivered: bool, actor: str, at: datetime) -> None:
        """Settle a message in doubt by a person's finding. Raises CampaignError when there is none of that name."""
        ...

    def waiting(self) -> Mapping[str, int]:
        """How many messages are planned, by channel."""
        ...

    def next_due(self, channel: str) -> datetime | None:
        """When the next planned message of the channel is due; None when there is none."""
        ...


class Ledger(Protocol):
    """The coupon ledger, on one open transaction."""

    def import_codes(self, pool: str, codes: Sequence[str], actor: str, at: datetime) -> int:
        """Put the shop's own codes into a pool; returns how many were new."""
        ...

    def take_codes(self, pool: str, count: int) -> list[str]:
        """So many free codes of the pool, taken for good. Raises CampaignError when it holds too few."""
        ...

    def redeem(self, report: RedemptionReport, source: str, at: datetime) -> Redeemed:
        """Record a redemption and say whether it counts; a report told again gets the same answer."""
        ...

    def balances(self, at: datetime) -> list[Balance]:
        """What became of each campaign run's coupons."""
        ...

    def refusals(self) -> Mapping[str, int]:
        """How many redemptions were refused, by outcome."""
        ...


class Entitlements(Protocol):
    """The coupons that customers may use now."""

    def in_force(self, customers: Sequence[str], at: datetime) -> Mapping[str, Sequence[Entitlement]]:
        """The coupons of each of these customers that are issued and valid ``at``; whoever has none is left out.

        Raises StoreUnavailableError when the ledger cannot be read.
        """
        ...


class ApiKeys(Protocol):
    """The keys with which other services look customers up."""

    def all(self) -> list[ApiKey]:
        """Every key ever made, the oldest first. Raises StoreUnavailableError when they cannot be read."""
        ...

    def add(self, key: ApiKey, actor: str) -> None:
        """Keep a new key. Raises AccessError when two of its name are valid already."""
        ...

    def revoke(self, key_id: str, actor: str, at: datetime) -> ApiKey:
        """End a key; a repeated call changes nothing. Raises AccessError when there is none of that id."""
        ...


class OperationsTransaction(Protocol):
    """One transaction on the operations database: all of what is written through it is kept, or none."""

    @property
    def outbox(self) -> Outbox: ...

    @property
    def ledger(self) -> Ledger: ...

    def run(self, campaign_id: str) -> CampaignRun | None:
        """The campaign run as it was planned, or None."""
        ...

    def run_ids(self) -> list[str]:
        """The ids of all campaign runs, in the order of planning."""
        ...

    def known(
        self, customer_ids: Sequence[str], channels: Sequence[str], caps: Sequence[FrequencyCap], at: datetime
    ) -> Mapping[str, Known]:
        """What is known about contacting each of these customers, by channel; messages planned count as sent."""
        ...

    def add(
        self, run: CampaignRun, selection: Selection, coupons: Sequence[Coupons], messages: Sequence[Messages]
    ) -> None:
        """Write the run with its assignments, skips, coupons and planned messages."""
        ...

    def stop(self, campaign_id: str, actor: str, at: datetime) -> int:
        """End a campaign run: none of its messages is claimed after it; returns how many were still planned."""
        ...

    def counts(self, campaign_id: str) -> Counts:
        """The rows now held about the run."""
        ...

    def history(self, customer_id: str) -> list[CustomerRecord]:
        """Every campaign run that met this customer, the latest first."""
        ...

    def log(self, at: datetime, actor: str, action: str, subject: str, details: Mapping[str, Any]) -> None:
        """Add an entry to the audit log."""
        ...

    def audited(self) -> Iterator[Entry]:
        """The audit log in order."""
        ...


class KeptOperations(Protocol):
    """A connection that a sender keeps while it works off its leases."""

    def writing(self) -> AbstractContextManager[OperationsTransaction]:
        """Committed when the block ends, rolled back when it raises."""
        ...

    def step(self, last: tuple[Lease, Outcome] | None, following: Lease, at: datetime) -> Step:
        """``Outbox.finish`` the last message, if any, and ``Outbox.claim`` the next, in one transaction."""
        ...


class Operations(Protocol):
    """The operations database: campaign runs, assignments, coupons, the outbox; contacts and consents beside them."""

    def reading(self) -> AbstractContextManager[OperationsTransaction]:
        """A consistent view; nothing is written."""
        ...

    def writing(self) -> AbstractContextManager[OperationsTransaction]:
        """Committed when the block ends, rolled back when it raises."""
        ...

    def kept(self) -> AbstractContextManager[KeptOperations]:
        """One connection for many short transactions, one after the other."""
        ...

    def planning(self) -> AbstractContextManager[OperationsTransaction]:
        """As ``writing``, with every other planner kept waiting: what one plan reads no other changes meanwhile."""
        ...


class RepliesTransaction(Protocol):
    """What customers choose and channels report: all of what is written in one transaction is kept, or none."""

    def addressee(self, reference: str) -> Addressee | None:
        """Who the message that calls itself ``reference`` went to; None when there is no such message."""
        ...

    def choices(self, customer_id: str) -> list[Choice]:
        """Every channel that the customer can be reached by, or has decided about."""
        ...

    def profiled(self, customer_id: str) -> bool:
        """Whether the customer may be scored: they objected neither to profiling nor to direct marketing as such."""
        ...

    def decide(self, decision: Decision) -> None:
        """Record a customer's decision about a channel."""
        ...

    def suppress(self, customer_id: str, channel: str, reason: SuppressionReason, source: str, at: datetime) -> bool:
        """Contact the customer no more by ``channel`` ("all": by any); False when that was so already."""
        ...

    def lift(self, customer_id: str, channel: str) -> None:
        """End those suppressions of the channel that a customer can end by choosing it again."""
        ...

    def tell(self, channel: str, told: Told, received_at: datetime) -> bool:
        """Record a channel's report; False, with nothing changed, when it was recorded before."""
        ...


class Replies(Protocol):
    """Where replies are kept."""

    def reading(self) -> AbstractContextManager[RepliesTransaction]:
        """A consistent view; nothing is written."""
        ...

    def writing(self) -> AbstractContextManager[RepliesTransaction]:
        """Committed when the block ends, rolled back when it raises."""
        ...


class CampaignProgress(Protocol):
    """How far the customers of campaign runs came."""

    def runs(self, cutoff: date) -> list[str]:
        """The ids of the runs on this cutoff's scores, in the order of planning."""
        ...

    def of(self, campaign_id: str) -> list[Progress]:
        """Every assigned customer of the run, in no particular order."""
        ...

    def attention(self, at: datetime, failed_since: datetime) -> list[Attention]:
        """What needs a person ``at`` this moment, of all runs with such messages, in the order of planning.

        In doubt is what nobody has settled, failed what was refused ``failed_since`` or later, overdue what was due.
        """
        ...


class TrialLog(Protocol):
    """The log of who was assigned which arm, and what was reported of it, in bulk."""

    def assigned(self, campaign_id: str, window: Window) -> pd.DataFrame:
        """Every assigned customer of the run, sorted by id, with the columns ``trial.ASSIGNED`` and ``trial.REPORTED``.

        ``exposed``: the message was sent, or may have been; ``discount``: by coupons redeemed within ``window``.
        """
        ...

    def skipped(self, campaign_id: str) -> pd.DataFrame:
        """Every customer of the run's audience who was passed over: customer_id and reason, sorted by id."""
        ...


class ChannelConnection(Protocol):
    """An open way to a channel's other side."""

    def prepare(self, envelope: Envelope) -> Callable[[], None]:
        """Make, and sign, what is to leave: nothing has left when this raises, as SettingsError does.

        What it returns hands the message over, once; its returning means that the other side has taken responsibility
        for it. It raises TemporaryChannelError (refused for now), ChannelUnavailableError (nobody answers, or every
        message is turned away), MessageRefusedError (this message is refused for good), AmbiguousDeliveryError (broken
        off after the message was handed over).
        """
        ...


class Channel(Protocol):
    """Where the messages of one channel go: e-mail, SMS, push, care desk. Senders hold them by the channel's name."""

    def connect(self) -> AbstractContextManager[ChannelConnection]:
        """One connection for many messages, closed when the block ends. Raises ChannelUnavailableError."""
        ...


Row = Mapping[str, Any]
"""What a holding keeps about a person, by field."""


@dataclass(frozen=True)
class Person:
    """A customer by the shop's own id and by pseudonym, with the addresses that messages to them went to."""

    own_id: str
    customer_id: str
    addresses: tuple[str, ...] = ()


class Holding(Protocol):
    """One place where something about customers is kept.

    ``kept_by`` is who can erase it: what the shop itself delivered is only reported.
    """

    @property
    def name(self) -> str: ...

    @property
    def kept_by(self) -> Literal["us", "shop"]: ...

    def held(self, person: Person) -> Sequence[Row]:
        """All that is kept here about the person, a row each; nothing once it is erased."""
        ...

    def erase(self, person: Person) -> None:
        """Erase it. Broken off anywhere, a repeated call finishes the work."""
        ...


@dataclass(frozen=True)
class Erasure:
    """An erasure begun: its ``certificate``'s name, what was found in each holding so far, and whether it ended."""

    certificate: str
    begun_at: datetime
    counts: Mapping[str, int]
    finished_at: datetime | None


class Erasures(Protocol):
    """Who was erased, known by tombstones alone."""

    def begin(self, tombstone: str, at: datetime) -> Erasure:
        """The erasure of this person, begun ``at`` or before. From here on no file brings them back."""
        ...

    def found(self, tombstone: str, holding: str, count: int) -> None:
        """Note what was found in a holding before it is erased there."""
        ...

    def finish(self, tombstone: str, certificate: Mapping[str, Any], actor: str, at: datetime) -> None:
        """Note the end, and the certificate in the audit log, in one transaction."""
        ...

    def tombstones(self) -> frozenset[str]:
        """Everyone ever erased."""
        ...
