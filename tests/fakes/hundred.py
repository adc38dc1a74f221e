"""A hundred customers at high risk, and who of them a campaign with half in control treats."""

from __future__ import annotations

import pandas as pd
from sqlalchemy import Engine, text

from holdfast.adapters.operations import database
from holdfast.campaign.assignment import uniforms
from tests.fakes.operations import CUTOFF, scores

RUN = f"win_back@{CUTOFF}"
HUNDRED = [str(i) for i in range(100)]
TREATED = [c for c, number in zip(HUNDRED, uniforms(RUN, HUNDRED), strict=True) if number >= 0.5]


def hundred() -> pd.DataFrame:
    """Their scores; the first is worth most."""
    return scores(*((c, 0.6, "high", 200.0 - int(c)) for c in HUNDRED))


def rows(engine: Engine, query: str) -> list[tuple]:
    """What an operations database answers."""
    with database.reading(engine) as connection:
        return [tuple(row) for row in connection.execute(text(query))]
