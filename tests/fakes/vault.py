"""A vault in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from holdfast.schemas import TABLES, Home


class FakeVault:
    """The Vault port; ``tables`` holds what was appended, all of it, and ``own_ids`` who is who."""

    def __init__(self) -> None:
        self.own_ids: dict[str, str] = {}
        self.tables: dict[str, pd.DataFrame] = {}
        self._batches: set[tuple[str, str]] = set()

    def append(self, table: str, rows: pd.DataFrame, batches: Sequence[str]) -> int:
        if table not in TABLES or TABLES[table].home is not Home.VAULT:
            raise ValueError(f"table {table!r} does not belong to the vault")
        new = [batch for batch in batches if (table, batch) not in self._batches]
        fresh = rows[rows["batch"].isin(new)]
        self._batches.update((table, batch) for batch in new)
        self.tables[table] = pd.concat([self.tables[table], fresh]) if table in self.tables else fresh
        return len(fresh)

    def identify(self, own_ids: Mapping[str, str]) -> None:
        self.own_ids = {**own_ids, **self.own_ids}

    def own_id(self, customer_id: str) -> str | None:
        return self.own_ids.get(customer_id)

    def contact(self, customer_id: str) -> dict[str, str]:
        """The customer's latest contact details, as far as there are any."""
        rows = self.tables["contacts"]
        latest = rows[rows["customer_id"] == customer_id].drop(columns=["customer_id", "batch"]).tail(1)
        return {str(name): value for row in latest.to_dict("records") for name, value in row.items() if pd.notna(value)}
