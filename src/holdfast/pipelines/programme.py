"""Reads the effect of all campaigns together, quarter by quarter, from the global holdout."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from datetime import date, timedelta

import pandas as pd

from holdfast.effect.programme import HoldoutInForce, Quarter, one_holdout, programme_trial, run_id, why_unread
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
        self._note()
        final = {one.campaign_id: one for one in latest(self.trials.lake) if one.final}
        recorded, found = self._in_force(), []
        for quarter in self._scored():
            holdout = one_holdout(quarter.name, recorded)
            if holdout is None:
                continue
            one = final.get(run_id(quarter))
            if one is None:
                one = self._read(quarter, holdout)
                keep(self.trials.lake, one)
            found.append(one)
        return found

    def unread(self) -> dict[str, str]:
        """Why it cannot be read, by the name of each such quarter since the first scores; nothing is written."""
        scored, recorded = self._scored(), self._in_force()
        quarter, found = scored[0] if scored else Quarter.of(self.complete_to), {}
        while quarter.start < self.complete_to:
            if quarter not in scored:
                found[quarter.name] = "nobody was scored in it"
            elif one_holdout(quarter.name, recorded) is None:
                found[quarter.name] = why_unread(quarter.name, recorded)
            quarter = Quarter.of(quarter.end)
        return found

    def _note(self) -> None:
        """Keep the holdout now in force."""
        present, recorded = self._present(), self._recorded()
        if present is None or present in recorded:
            return
        of_quarter = [one for one in recorded if one.quarter == present.quarter] + [present]
        rows = pd.DataFrame([asdict(one) for one in of_quarter])
        self.trials.lake.replace(HOLDOUTS, rows, where={"quarter": [present.quarter]})

    def _in_force(self) -> list[HoldoutInForce]:
        """Every holdout that was noted, and the present one."""
        present, recorded = self._present(), self._recorded()
        return recorded if present is None or present in recorded else [*recorded, present]

    def _present(self) -> HoldoutInForce | None:
        rule = self.trials.rules.outreach.holdout
        quarter = Quarter.of(self.complete_to - timedelta(days=1)).name
        return HoldoutInForce(quarter, rule.name, rule.share) if rule.share else None

    def _recorded(self) -> list[HoldoutInForce]:
        lake, columns = self.trials.lake, [one.name for one in fields(HoldoutInForce)]
        rows = lake.read(HOLDOUTS)[columns].to_numpy(object).tolist() if lake.exists(HOLDOUTS) else []
        return [HoldoutInForce(*row) for row in rows]

    def _scored(self) -> list[Quarter]:
        """The quarters of the cutoffs that were scored, in order."""
        return sorted({Quarter.of(day) for day in self._cutoffs()}, key=lambda one: one.start)

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
