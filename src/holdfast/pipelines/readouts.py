"""The readouts that were made, in the lake: one a run and day, for pages, report and whoever learns from them."""

from __future__ import annotations

import pandas as pd
from pydantic import TypeAdapter

from holdfast.effect.readout import Readout
from holdfast.ports import Lake

READOUTS = "readouts"
"""Lake table: campaign_id, complete_to (ISO date), status, claim, and the whole readout as JSON."""

_STORED: TypeAdapter[Readout] = TypeAdapter(Readout)


def keep(lake: Lake, found: Readout) -> None:
    """Put the readout in the place of an earlier one of the same run and day."""
    key = {"campaign_id": found.campaign_id, "complete_to": found.complete_to.isoformat()}
    row = {**key, "status": found.status, "claim": found.claim, "readout": _STORED.dump_json(found).decode()}
    lake.replace(READOUTS, pd.DataFrame([row]), {name: [value] for name, value in key.items()})


def latest(lake: Lake) -> list[Readout]:
    """The latest readout of each run, imported campaign and quarter, in the order of their cutoffs."""
    if not lake.exists(READOUTS):
        return []
    rows = lake.read(READOUTS).sort_values(["campaign_id", "complete_to"])
    texts = rows.drop_duplicates("campaign_id", keep="last")["readout"]
    return sorted((_STORED.validate_json(text) for text in texts), key=lambda one: (one.cutoff, one.campaign_id))
