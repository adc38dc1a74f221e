"""What the use cases need from the outside world, as small Protocols named for the need.

Each has one real adapter in ``holdfast.adapters`` and, where a test needs one, a fake in ``tests/fakes`` that passes
the same contract tests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

import pandas as pd


class Lake(Protocol):
    """Versioned tables of accepted data, features and scores. Readers never see a half-written change."""

    def append(self, table: str, rows: pd.DataFrame, batches: Sequence[str]) -> int:
        """Add the rows of these batches in one commit and return how many were added.

        ``rows`` has a column ``batch`` naming, for each row, one of ``batches``. A batch that this table already holds
        is left out, so that a repeated call changes nothing.
        """
        ...

    def replace(self, table: str, rows: pd.DataFrame, where: Mapping[str, Sequence[str]]) -> None:
        """Put ``rows`` in the place of every row whose column values are among those of ``where``, in one commit."""
        ...

    def read(
        self, table: str, columns: Sequence[str] | None = None, where: Mapping[str, Sequence[str]] | None = None
    ) -> pd.DataFrame:
        """The rows (those whose column values are among ``where``'s), in no particular order.

        Raises MissingDataError when the table has never been written.
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


class FeatureStore(Protocol):
    """Feast, as the loop uses it."""

    def historical(self, entities: pd.DataFrame) -> pd.DataFrame:
        """``entities`` (customer_id, event_timestamp) with every catalogue feature as of event_timestamp joined on.

        Every entity row comes back exactly once; a customer without a value gets NaN.
        """
        ...

    def materialize(self, cutoff: datetime) -> int:
        """Copy each customer's latest features up to and including ``cutoff`` online; returns customers written."""
        ...

    def online(self, customer_ids: Sequence[str]) -> pd.DataFrame:
        """Features, score, tier and reasons now served for these customers, one row each in the order asked."""
        ...

    def write_scores(self, scores: pd.DataFrame) -> None:
        """Put scores online.

        Columns: customer_id, event_timestamp, probability, tier, reasons (JSON text), model_version (text).
        """
        ...
