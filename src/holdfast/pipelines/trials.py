"""From the log of assignments and the lake to a trial with its outcomes, by the id of a campaign run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from holdfast.effect.outcomes import outcomes
from holdfast.effect.trial import Trial, imported_trial, outcome_windows, trial_of
from holdfast.pipelines.canonical import read
from holdfast.pipelines.planning import known_run
from holdfast.ports import Lake, Operations, TrialLog
from holdfast.rules import Rules


@dataclass(frozen=True)
class Evidence:
    """A trial and, for each of its customers in the same order, what came of it (``Trial.results``)."""

    trial: Trial
    results: pd.DataFrame


@dataclass(frozen=True)
class Trials:
    """The use case and its ports."""

    lake: Lake
    operations: Operations
    log: TrialLog
    rules: Rules

    def trial(self, campaign_id: str, days: int | None = None) -> Trial:
        """The trial of a planned run, or of an imported campaign of this id.

        Outcomes are observed for ``days`` from the cutoff on (default: the label's horizon). Raises CampaignError when
        there is no such run or campaign, NobodyAssignedError when it assigned nobody.
        """
        days, zone, margin = days or self.rules.label.horizon_days, self.rules.shop.zone, self.rules.outreach.margin
        with self.operations.reading() as tx:
            if tx.run(campaign_id) is None:
                past = self._imported("past_campaigns", campaign_id)
                if len(past):
                    return imported_trial(
                        campaign_id,
                        past["started_at"].iloc[0].to_pydatetime(),
                        self._imported("past_assignments", campaign_id),
                        self._imported("past_deliveries", campaign_id),
                        days=days,
                        zone=zone,
                        margin=margin,
                    )
            run = known_run(tx, campaign_id)
        window, _ = outcome_windows(run.cutoff, days, zone)
        return trial_of(run, self.log.assigned(campaign_id, window), days, zone, margin)

    def evidence(self, campaign_id: str, days: int | None = None) -> Evidence:
        """The trial with what the lake knows of its outcomes by now, complete or not. Raises as ``trial`` does."""
        return self.observed(self.trial(campaign_id, days))

    def observed(self, trial: Trial) -> Evidence:
        """The trial with what the lake knows of its outcomes."""
        return Evidence(trial, trial.results(self.outcomes(trial, trial.customers["customer_id"].tolist())))

    def outcomes(self, trial: Trial, customers: Sequence[str]) -> pd.DataFrame:
        """What the lake knows that these customers, assigned or not, did within the trial's windows."""
        return outcomes(
            read(self.lake, "orders"),
            read(self.lake, "order_lines"),
            read(self.lake, "events"),
            customers,
            window=trial.window,
            before=trial.before,
            margin=trial.margin,
        )

    def _imported(self, table: str, campaign_id: str) -> pd.DataFrame:
        rows = read(self.lake, table)
        return rows[rows["campaign_id"] == campaign_id]
