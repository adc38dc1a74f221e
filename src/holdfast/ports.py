"""What the use cases need from the outside world, as small Protocols named for the need.

Each has one real adapter in ``holdfast.adapters`` and, where a test needs one, a fake in ``tests/fakes`` that passes
the same contract tests.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Literal, Protocol

import pandas as pd
import pyarrow as pa

from holdfast.campaign.definition import CampaignRun
from holdfast.campaign.eligibility import Standing
from holdfast.campaign.offers import Coupon
from holdfast.campaign.outbox import Claim, Counts, CustomerRecord, Outcome
from holdfast.campaign.policy import Selection
from holdfast.contract import RowRule
from holdfast.features.spec import Family
from holdfast.mapping import Format
from holdfast.model.decision import Decision
from holdfast.model.promotion import Verdict
from holdfast.model.record import CandidateRun, ModelVersion, RunRecord
from holdfast.model.served import ServedModel

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

    def write_scores(self, scores: pd.DataFrame) -> None:
        """Put scores online.

        Columns: customer_id, event_timestamp, probability, tier, reasons (JSON text), model_version, persona and
        persona_name (JSON text; both null where no personas were found).
        """
        ...


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

    def decide(self, version: ModelVersion, decision: Decision, replacing: str | None) -> None:
        """Write the decision on the version and, if it is approved, make it the champion and its predecessor previous.

        Of several at once, one comes first. Raises ModelError when ``replacing`` (a version, None for nobody) is no
        longer the champion; a repeated approval changes nothing.
        """
        ...

    def rollback(self, decision: Decision) -> ModelVersion:
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


class OperationsTransaction(Protocol):
    """One transaction on the operations database: all of what is written through it is kept, or none."""

    def run(self, campaign_id: str) -> CampaignRun | None:
        """The campaign run as it was planned, or None."""
        ...

    def standings(self, customer_ids: Sequence[str], since: datetime) -> Mapping[str, Standing]:
        """What is known about e-mailing each of these customers; ``recent_messages`` counts those planned since."""
        ...

    def add(self, run: CampaignRun, selection: Selection, coupons: Sequence[Coupon]) -> None:
        """Write the run, its assignments and skips, and per coupon the offer and its planned message."""
        ...

    def counts(self, campaign_id: str) -> Counts:
        """The rows now held about the run."""
        ...

    def planned(self, campaign_id: str, shard: int, shards: int) -> list[int]:
        """Outbox ids of the shard's planned messages, in the order of planning."""
        ...

    def claim(self, outbox_id: int, worker: str, at: datetime) -> Claim | None:
        """Claim a planned message; None when it is no longer planned. Holds once the transaction is committed."""
        ...

    def coupon(self, campaign_id: str, customer_id: str) -> Coupon: ...

    def finish(self, claim: Claim, outcome: Outcome, at: datetime) -> bool:
        """Record the outcome of a claim; False, with nothing changed, when the claim had lapsed meanwhile.

        A message that failed or was skipped voids its coupon.
        """
        ...

    def history(self, customer_id: str) -> list[CustomerRecord]:
        """Every campaign run that met this customer, the latest first."""
        ...

    def run_ids(self) -> list[str]:
        """The ids of all campaign runs, in the order of planning."""
        ...

    def lapse_claims(self, campaign_id: str, claimed_before: datetime) -> int:
        """Make messages claimed before that moment ``unknown`` and return their number."""
        ...


class Operations(Protocol):
    """The operations database: campaign runs, assignments, coupons, the outbox; contacts and consents beside them."""

    def reading(self) -> AbstractContextManager[OperationsTransaction]:
        """A consistent view; nothing is written."""
        ...

    def writing(self) -> AbstractContextManager[OperationsTransaction]:
        """Committed when the block ends, rolled back when it raises."""
        ...

    def planning(self) -> AbstractContextManager[OperationsTransaction]:
        """As ``writing``, with every other planner kept waiting: what one plan reads no other changes meanwhile."""
        ...


class MailConnection(Protocol):
    """An open way to the mail server."""

    def send(self, message: EmailMessage) -> None:
        """Hand the message over; returning means that the server has taken responsibility for it.

        Raises TemporaryChannelError (refused for now), ChannelUnavailableError (nobody answers), MessageRefusedError
        (refused for good), AmbiguousDeliveryError (broken off after the message was handed over).
        """
        ...


class MailChannel(Protocol):
    """Where e-mail goes."""

    def connect(self) -> AbstractContextManager[MailConnection]:
        """One connection for many messages, closed when the block ends. Raises ChannelUnavailableError."""
        ...
