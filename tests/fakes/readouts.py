"""Readouts of simulated trials, for the pages: one measured with two arms, one too early, history, and quarters."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pandas as pd

from holdfast.effect.readout import Readout, read_out
from tests.fakes.trials import CUTOFF, NOBODY, simulated

MATURE = CUTOFF + timedelta(days=28)


def _read(seed: int, name: str, complete_to: date = MATURE, **changes: object) -> Readout:
    of, results = simulated(seed, effect=0.06, customers=3_000)
    customers = of.customers.assign(**changes)
    results = results.assign(**changes)
    arms = dict.fromkeys(sorted(set(customers["arm"]) - {"control"}), 0.1)
    of = replace(of, campaign_id=name, customers=customers, arms=arms)
    return read_out(of, results, complete_to=complete_to, currency="EUR", elsewhere=NOBODY)


def _two_arms(seed: int) -> pd.Series:
    of, _ = simulated(seed, effect=0.06, customers=3_000)
    half = np.arange(3_000) % 2 == 0
    return of.customers["arm"].where(of.customers["arm"] == "control", np.where(half, "mail", "mail_and_coupon"))


def measured() -> Readout:
    arm = _two_arms(1)
    return _read(1, "win_back@2018-03-05", arm=arm, propensity=np.where(arm == "control", 0.2, 0.4))


def too_early() -> Readout:
    return _read(2, "keep@2018-03-05", CUTOFF + timedelta(days=18))


def described() -> Readout:
    return replace(_read(3, "spring", propensity=np.nan), imported=True)


def quarter(name: str) -> Readout:
    return _read(
        4 + int(name[-1]),
        f"programme@{name}",
        arm=simulated(4 + int(name[-1]), effect=0.06, customers=3_000)[0]
        .customers["arm"]
        .replace("treatment", "programme"),
    )
