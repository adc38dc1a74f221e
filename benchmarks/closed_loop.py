"""Learning campaign after campaign on simulated customers of a known truth, scored against the oracle, over seeds.

``python -m benchmarks.closed_loop [SEEDS CUSTOMERS]`` writes ``results/closed_loop.json``: for each seed, twelve
campaigns of the learned policy beside the oracle, top risk, value at risk and random, within the same budget.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from benchmarks.measured import record
from tests.fakes.closed_loop import LEARNED, ORACLE, RIVALS, loop


def rounds(seeds: int, customers: int, campaigns: int = 12) -> Iterator[dict[str, Any]]:
    for seed in range(seeds):
        started = time.process_time()
        one = loop(customers, seed)
        told = replace(one, terms=replace(one.terms, resamples=200)).run(campaigns)
        last, oracle = told[-1].net_values, told[-1].net_values[ORACLE]
        yield {
            "simulated": True,
            "seed": seed,
            "customers": customers,
            "share_of_oracle": [round(one.share_of_oracle, 3) for one in told],
            "by_model_from": next((one.number + 1 for one in told if one.by_model), None),
            "last": {name: round(last[name] / oracle, 3) for name in (LEARNED, *RIVALS)},
            "below_random": sum(one.by_model and one.net_values[LEARNED] < one.net_values["random"] for one in told),
            "cpu_seconds": round(time.process_time() - started, 1),
        }


if __name__ == "__main__":
    record(
        "closed_loop",
        rounds(*(int(one) for one in (sys.argv[1:] or ["8", "12000"]))),
        ("scikit-learn", "scipy", "numpy"),
    )
