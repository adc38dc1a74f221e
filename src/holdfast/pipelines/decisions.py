"""The decision log as one table: who was given what, with which probability, or passed over, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import pandas as pd

from holdfast.campaign.definition import CampaignRun
from holdfast.effect.outcomes import OUTCOMES
from holdfast.effect.trial import CUSTOMERS
from holdfast.errors import NobodyAssignedError
from holdfast.pipelines.planning import known_run
from holdfast.pipelines.trials import Trials
from holdfast.windows import is_mature

COLUMNS = ("campaign_id", "cutoff", "planned_at", "decision", "reason", *CUSTOMERS, *OUTCOMES, "net")


def decisions(trials: Trials, campaign_ids: Sequence[str], complete_to: date) -> pd.DataFrame:
    """Every decision of these planned runs, a row a customer of the audience, with ``COLUMNS``.

    ``decision`` is assigned or skipped, the latter with its ``reason``. Outcomes are told of runs whose window lies
    within complete data, and empty for the others. Raises CampaignError when a run was never planned.
    """
    found = []
    for campaign_id in campaign_ids:
        with trials.operations.reading() as tx:
            run = known_run(tx, campaign_id)
        skipped = trials.log.skipped(campaign_id).assign(decision="skipped")
        rows = pd.concat([_assigned(trials, run, complete_to).assign(decision="assigned"), skipped], ignore_index=True)
        rows = rows.assign(campaign_id=run.id, cutoff=run.cutoff.isoformat(), planned_at=run.planned_at)
        found.append(rows.reindex(columns=[*COLUMNS]).sort_values("customer_id"))
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=[*COLUMNS])


def _assigned(trials: Trials, run: CampaignRun, complete_to: date) -> pd.DataFrame:
    try:
        trial = trials.trial(run.id)
    except NobodyAssignedError:
        return pd.DataFrame(columns=["customer_id"])
    mature = is_mature(trial.cutoff, trial.days, complete_to)
    return trials.observed(trial).results if mature else trial.customers
