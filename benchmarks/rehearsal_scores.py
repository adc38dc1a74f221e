"""Readout and learned policies held against simulated shops' truth.

``python -m benchmarks.rehearsal_scores PART [SEEDS [FIRST]]``: PART is ``coverage`` (intervals, false claims) or
``policies`` (what the learned policy brings beside others). FIRST is the first seed, 1 by default; the simulator was
tuned while looking at policies on seeds 1 to 4, so that ``policies`` wants others. Rewrites results/rehearsal_PART.json
as it goes. All figures are of simulated shops.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.measured import record
from holdfast import proving
from holdfast.adapters.yaml_files import load
from holdfast.simulator.config import ShopConfig

HISTORY_DAYS, SHOPS, CUSTOMERS = 112, 2, 4096
POLICY_CUSTOMERS, CAMPAIGNS, TREATED_SHARE = 16_384, 12, 0.3
LEARNERS = ("s_logistic", "dr_logistic", "x_lightgbm")
ORACLE_SEEDS = (1_000_001, 1_000_002, 1_000_003)
EVERY = 50
"""A row of results after so many seeds: each sums up all seeds up to it."""


def config() -> ShopConfig:
    return load(Path(__file__).parents[1] / "config" / "simulator.yaml", ShopConfig)


def rounded(told: Any) -> Any:
    return {key: round(value, 4) if isinstance(value, float) else value for key, value in asdict(told).items()}


def coverage(seeds: range) -> Iterator[Mapping[str, Any]]:
    done: list[proving.Trialled] = []
    for count, seed in enumerate(seeds, 1):
        done += proving.experiments(config(), seed, SHOPS, CUSTOMERS, HISTORY_DAYS)
        if count % EVERY == 0:
            found = {name: rounded(share) for name, share in proving.coverage(done).items()}
            yield {"simulated": True, "seeds": count, "first_seed": seeds[0], "customers_each": CUSTOMERS, **found}


def policies(seeds: range) -> Iterator[Mapping[str, Any]]:
    oracles = {
        name: proving.Oracle.of(config(), ORACLE_SEEDS, 40_000, 168, seeing=seeing)
        for name, seeing in (("oracle", False), ("seeing oracle", True))
    }
    done: list[proving.Policies] = []
    for count, seed in enumerate(seeds, 1):
        one = proving.learned_policies(
            config(),
            seed,
            customers=POLICY_CUSTOMERS,
            history_days=HISTORY_DAYS,
            campaigns=CAMPAIGNS,
            share=TREATED_SHARE,
            learners=LEARNERS,
            oracles=oracles,
        )
        done.append(one)
        if count % EVERY == 0 or count == len(seeds):
            names = [name for name in one.net if name != "nobody"]
            yield {
                "simulated": True,
                "seeds": count,
                "first_seed": seeds[0],
                "customers": POLICY_CUSTOMERS,
                "campaigns": CAMPAIGNS,
                "treated_share": TREATED_SHARE,
                "money_a_campaign": {name: round(sum(each.net[name] for each in done) / count) for name in names},
                "share_of_oracle": {name: rounded(proving.share_of(done, name, "oracle")) for name in names},
                "share_of_seeing_oracle": {
                    name: rounded(proving.share_of(done, name, "seeing oracle")) for name in names
                },
                "below_random": {name: sum(each.net[name] < each.net["random"] for each in done) for name in names},
                **{
                    key: {name: rounded(proving.churn_cut(done, name, wavering=wavering)) for name in names}
                    for key, wavering in (
                        ("churn_of_wavering_persuadables_cut", True),
                        ("churn_of_all_persuadables_cut", False),
                    )
                },
            }


if __name__ == "__main__":
    part, *numbers = sys.argv[1:]
    seeds, first = [*map(int, numbers), *(200, 1)[len(numbers) :]]
    done = {"coverage": coverage, "policies": policies}[part](range(first, first + seeds))
    record(f"rehearsal_{part}", done, ["numpy", "tea-tasting"])
