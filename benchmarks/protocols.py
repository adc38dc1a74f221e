"""The backtest of every candidate on the two public shops, by the protocol that others can repeat.

    HOLDFAST_HOME=FOLDER holdfast run --sample complete-journey --cutoff 2017-12-24
    HOLDFAST_HOME=FOLDER python -m benchmarks.protocols complete_journey

    HOLDFAST_HOME=OTHER HOLDFAST_RULES=config/online_retail.yaml holdfast run     (its files landed before)
    HOLDFAST_HOME=OTHER HOLDFAST_RULES=config/online_retail.yaml python -m benchmarks.protocols online_retail

writes benchmarks/results/protocol_NAME.json. Features read events strictly before the cutoff; a customer is active, and
in the table, by the rules' population; the label is no order of positive value within the horizon; each test cutoff is
predicted by models fitted on the cutoffs whose labels had matured by then. ``holdfast backtest`` prints the same.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import date
from importlib.util import find_spec
from time import process_time
from typing import Any

from benchmarks.measured import record
from holdfast import wiring
from holdfast.backtest_cli import as_json
from holdfast.model.candidates import CANDIDATES

COMPLETE_TO = {"complete_journey": date(2017, 12, 24), "online_retail": date(2011, 12, 10)}
"""The end of each shop's data: the last test cutoff is a horizon earlier, or the last before that on the grid."""

BLEND = ("lightgbm", "logistic", "bgnbd", "random_forest")
"""Chosen on cutoffs before the test cutoffs: of Complete Journey's 2017-07-09, 08-06 and 09-03."""


def rows(complete_to: date) -> Iterator[dict[str, Any]]:
    known = [name for name in CANDIDATES if name != "gru" or find_spec("torch")]
    began = process_time()
    for one in wiring.compare(known, complete_to, BLEND):
        yield as_json(one) | {"cpu_seconds": round(process_time() - began, 1)}
        began = process_time()


if __name__ == "__main__":
    wiring.prepare()
    record(f"protocol_{sys.argv[1]}", rows(COMPLETE_TO[sys.argv[1]]), ["lightgbm", "scikit-learn", "numpy"])
