"""Reads what campaigns did: each run once its outcomes have matured, and every day for harm until then."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import TypedDict

import pandas as pd

from holdfast.effect.readout import Readout, read_out
from holdfast.effect.trial import Trial
from holdfast.errors import NobodyAssignedError
from holdfast.pipelines.canonical import read
from holdfast.pipelines.readouts import keep, latest
from holdfast.pipelines.trials import Trials


class Measured(TypedDict):
    """What one reading of all runs did: how many runs by status, and which were stopped for harm."""

    read: dict[str, int]
    stopped: list[str]


@dataclass(frozen=True)
class Measuring:
    """The use case. Data are complete up to (not including) ``complete_to``."""

    trials: Trials
    complete_to: date

    def readout(self, campaign_id: str, days: int | None = None) -> Readout:
        """Read a planned run or an imported campaign now; nothing is written. Raises as ``Trials.trial`` does."""
        evidence = self.trials.evidence(campaign_id, days)
        trial = evidence.trial
        return read_out(
            trial,
            evidence.results,
            complete_to=self.complete_to,
            currency=self.trials.rules.shop.currency,
            elsewhere=self._elsewhere(trial),
            others=None if trial.randomised else self._others(trial),
        )

    def measure(self, at: datetime) -> Measured:
        """Read every run and imported campaign that has no final readout; keep the readouts; stop what does harm.

        Of one run and day, a later reading replaces the earlier. A final readout stays: ``readout`` reads it anew.
        """
        final = {one.campaign_id for one in latest(self.trials.lake) if one.final}
        counts: Counter[str] = Counter()
        stopped = []
        for campaign_id in self._ids():
            if campaign_id in final:
                continue
            try:
                found = self.readout(campaign_id)
            except NobodyAssignedError:
                counts["nobody_assigned"] += 1
                continue
            keep(self.trials.lake, found)
            counts[found.status] += 1
            if self._stop_for_harm(found, at):
                stopped.append(campaign_id)
        return Measured(read=dict(counts), stopped=stopped)

    def _ids(self) -> list[str]:
        with self.trials.operations.reading() as tx:
            own = tx.run_ids()
        return [*own, *sorted(set(read(self.trials.lake, "past_campaigns")["campaign_id"]) - set(own))]

    def _stop_for_harm(self, found: Readout, at: datetime) -> bool:
        goes_on = found.status == "too_early" and found.stopped_at is None and not found.imported
        if not (goes_on and found.harmful and self.trials.rules.outreach.stop_for_harm):
            return False
        with self.trials.operations.writing() as tx:
            tx.stop(found.campaign_id, "measure", at)
            harm = next(look for look in reversed(found.looks) if look.harms)
            tx.log(at, "measure", "effect.harm", found.campaign_id, asdict(harm))
        return True

    def _elsewhere(self, trial: Trial) -> pd.DataFrame:
        """Who was contacted by another campaign while the trial's outcomes were observed."""
        past = read(self.trials.lake, "past_deliveries")
        inside = (past["sent_at"] >= trial.window.start) & (past["sent_at"] < trial.window.end)
        other = past["campaign_id"].notna() & (past["campaign_id"] != trial.campaign_id)
        found = [past.loc[inside & other, ["campaign_id", "customer_id"]]]
        with self.trials.operations.reading() as tx:
            runs = [run for name in tx.run_ids() if (run := tx.run(name)) is not None]
        for run in runs:
            if run.id != trial.campaign_id and run.planned_at in trial.window:
                assigned = self.trials.log.assigned(run.id, trial.window)
                found.append(assigned.loc[assigned["exposed"], ["customer_id"]].assign(campaign_id=run.id))
        return pd.concat(found, ignore_index=True)

    def _others(self, trial: Trial) -> pd.DataFrame | None:
        """The outcomes of those who had ordered before the campaign and were not assigned; None where nobody had."""
        orders = read(self.trials.lake, "orders")
        before = orders.loc[orders["ordered_at"] < trial.window.start, "customer_id"]
        ids = sorted(set(before) - set(trial.customers["customer_id"]))
        found = self.trials.outcomes(trial, ids)
        return found.assign(exposed=False, net=found["margin"]) if ids else None
