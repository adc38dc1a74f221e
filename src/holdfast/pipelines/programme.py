"""Reads the effect of all campaigns together, quarter by quarter, from the global holdout."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date, timedelta

import pandas as pd

from holdfast.effect.programme import HoldoutInForce, Quarter, one_holdout, programme_trial, run_id
from holdfast.effect.readout import Readout, read_out
from holdfast.effect.trial import outcome_windows, trial_of
from holdfast.pipelines.readouts import keep, latest
from holdfast.pipelines.score import SCORES
from holdfast.pipelines.trials import Trials
from holdfast.windows import Window

HOLDOUTS = "holdouts"
"""Lake table: quarter, and the name and share of each holdout that the rules named in it."""

_NOBODY = pd.DataFrame({"campaign_id": [], "customer_id": []})


@dataclass(frozen=True)
class Programme:
    """The use case. Data are complete up to (not including) ``complete_to``."""

    trials: Trials
    complete_to: date

    def measure(self) -> list[Readout]:
        """Note the holdout now in force; read and keep the quarters that one holdout saw through, and return them all.

        The rules name only the present holdout, so that each day's reading notes it for the quarter of the last day
        that is complete. A quarter whose readout is final is not read again.
        """
        final = {one.campaign_id: one for one in latest(self.trials.lake) if one.final}
        found = []
        for quarter, holdout in self._quarters(self._recorded()):
            one = final.get(run_id(quarter))
            if one is None:
                one = self._read(quarter, holdout)
                keep(self.trials.lake, one)
            found.append(one)
        return found

    def _recorded(self) -> list[HoldoutInForce]:
        lake, rule = self.trials.lake, self.trials.rules.outreach.holdout
        present = HoldoutInForce(Quarter.of(self.complete_to - timedelta(days=1)).name, rule.name, rule.share)
        rows = lake.read(HOLDOUTS) if lake.exists(HOLDOUTS) else pd.DataFrame(columns=list(asdict(present)))
        known = [HoldoutInForce(*row) for row in rows[list(asdict(present))].to_numpy(object).tolist()]
        if rule.share == 0 or present in known:
            return known
        same = pd.DataFrame([asdict(one) for one in known if one.quarter == present.quarter])
        lake.replace(HOLDOUTS, pd.concat([same, pd.DataFrame([asdict(present)])]), where={"quarter": [present.quarter]})
        return [*known, present]

    def _quarters(self, recorded: list[HoldoutInForce]) -> list[tuple[Quarter, HoldoutInForce]]:
        quarters = {Quarter.of(day) for day in self._cutoffs()}
        chosen = ((one, one_holdout(one.name, recorded)) for one in sorted(quarters, key=lambda one: one.start))
        return [(quarter, holdout) for quarter, holdout in chosen if holdout is not None]

    def _cutoffs(self) -> list[date]:
        lake = self.trials.lake
        if not lake.exists(SCORES):
            return []
        return sorted(map(date.fromisoformat, lake.read(SCORES, columns=["cutoff"])["cutoff"].unique()))

    def _read(self, quarter: Quarter, holdout: HoldoutInForce) -> Readout:
        rules = self.trials.rules
        cutoff = min(day for day in self._cutoffs() if quarter.start <= day < quarter.end)
        window, _ = outcome_windows(cutoff, (quarter.end - cutoff).days, rules.shop.zone)
        trial = programme_trial(
            quarter,
            cutoff,
            self.trials.lake.read(SCORES, where={"cutoff": [cutoff.isoformat()]}),
            holdout,
            self._met(window),
            zone=rules.shop.zone,
            margin=rules.outreach.margin,
        )
        return read_out(
            trial,
            self.trials.observed(trial).results,
            complete_to=self.complete_to,
            currency=rules.shop.currency,
            elsewhere=_NOBODY,
        )

    def _met(self, window: Window) -> pd.DataFrame:
        """What campaigns for marketing did to customers within the window, a row a run and customer."""
        rules, found = self.trials.rules, [pd.DataFrame(columns=["customer_id", "exposed", "discount", "contact_cost"])]
        with self.trials.operations.reading() as tx:
            runs = [run for name in tx.run_ids() if (run := tx.run(name)) is not None]
        for run in runs:
            if run.campaign.purpose == "marketing" and run.planned_at in window:
                assigned = self.trials.log.assigned(run.id, window)
                if len(assigned):
                    trial = trial_of(run, assigned, 1, rules.shop.zone, rules.outreach.margin)
                    found.append(trial.customers[found[0].columns])
        return pd.concat(found[1:] or found, ignore_index=True)
