"""Uplift learners side by side on one finished campaign, its own or imported. Nothing is registered or kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from holdfast.campaign.definition import CONTROL
from holdfast.effect.do_not_disturb import harmed_below
from holdfast.effect.randomised import Randomised
from holdfast.effect.trial import Trial
from holdfast.effect.uplift_gate import Assessment, Terms, assess, cross_fitted, policy_of
from holdfast.errors import CampaignError, SourceError
from holdfast.features.catalog import present
from holdfast.mapping import nearest
from holdfast.model.matrix import Matrix, Vector
from holdfast.pipelines.trials import Trials
from holdfast.ports import HistoricalFeatures
from holdfast.windows import instant

BINARY = ("retained", "visited")
OUTCOMES = (*BINARY, "orders", "revenue", "margin", "net")


@dataclass(frozen=True)
class ComparedUplift:
    """The customers, each learner's effects out of fold, the comparison, and from where on each arm surely harms."""

    on: Randomised
    effects: Mapping[str, Matrix]
    assessment: Assessment
    harmed_below: tuple[float | None, ...]

    def chosen(self, terms: Terms) -> pd.DataFrame:
        """Whom the best learner would give which arm: customer_id, ``uplift_ARM``, and ``arm`` (or control)."""
        effects = self.effects[self.assessment.best.learner.name]
        policy = policy_of(self.on, effects, terms.budget_share)
        names = np.array([CONTROL, *self.on.arms], dtype=object)
        table = pd.DataFrame(effects, columns=[f"uplift_{arm}" for arm in self.on.arms])
        table.insert(0, "customer_id", self.on.customers)
        return table.assign(arm=names[policy.argmax(axis=1)])


def compare_uplift(
    trials: Trials,
    store: HistoricalFeatures,
    campaign_id: str,
    *,
    outcome: str,
    learners: Sequence[str],
    terms: Terms,
    days: int | None = None,
    arm: str | None = None,
    covariates: pd.DataFrame | None = None,
) -> ComparedUplift:
    """Learn from a campaign run or an imported campaign whose arms were drawn by known chances.

    ``outcome`` is one of ``OUTCOMES`` within ``days`` of the campaign's start (default: the label's horizon); ``arm``
    looks at one arm and the control only. What was known of customers before are ``covariates`` (``covariates_of``), or
    else their features as of the start. Raises CampaignError where chance had no part, so that nothing can be learned.
    """
    if outcome not in OUTCOMES:
        raise CampaignError(f"no outcome is called {outcome!r}; {nearest(outcome, list(OUTCOMES))}")
    evidence = trials.evidence(campaign_id, days)
    trial, rows = evidence.trial, evidence.results
    if not trial.randomised:
        raise CampaignError(
            f"{campaign_id}: chance did not assign its customers, or the chances are not known, so that whom it moved "
            "cannot be told from whom it was aimed at. Learn from a campaign with a random control."
        )
    names = [CONTROL, *trial.arms] if arm is None else [CONTROL, arm]
    if arm is not None and arm not in trial.arms:
        raise CampaignError(f"{campaign_id} has no arm {arm!r}; {nearest(arm, list(trial.arms))}")
    chances = {name: _chance(trial, name) for name in names}
    kept = rows[rows["arm"].isin(names)].reset_index(drop=True)
    total = sum(chances.values())
    known, features = _known(kept, trial, store, trials, covariates)
    on = Randomised.of(
        known,
        features=features,
        outcome=outcome,
        chances={name: np.full(len(known), chance / total) for name, chance in chances.items()},
        binary=outcome in BINARY,
    )
    effects = cross_fitted(on, learners, terms)
    found = assess(on, effects, terms, unit=outcome)
    limits = harmed_below(on, effects[found.best.learner.name], terms.folds, terms.resamples, terms.seed)
    return ComparedUplift(on, effects, found, limits)


def covariates_of(rows: pd.DataFrame, columns: Sequence[str], file: str) -> pd.DataFrame:
    """A file's columns as covariates: numbers as they are, each word of a text column as an indicator of its own.

    A file without customer_id has its rows numbered from 1, as ``{row_number: …}`` does in a mapping. Raises
    SourceError naming a column that is not there, or a customer with several rows.
    """
    unknown = [name for name in columns if name not in rows]
    if unknown:
        names = [str(name) for name in rows.columns]
        raise SourceError(f"{file} has no column {unknown[0]!r}; {nearest(unknown[0], names)}")
    ids = rows["customer_id"] if "customer_id" in rows else pd.Series(np.arange(1, len(rows) + 1), index=rows.index)
    if ids.duplicated().any():
        raise SourceError(f"{file} has more than one row of customer {str(ids[ids.duplicated()].iloc[0])!r}; keep one")
    found = pd.get_dummies(rows[list(columns)], dtype=float)
    return found.assign(customer_id=ids.astype(str).to_numpy(object))


def _chance(trial: Trial, arm: str) -> float:
    drawn: Vector = trial.customers.loc[trial.customers["arm"] == arm, "propensity"].unique()
    if len(drawn) != 1:
        raise CampaignError(
            f"{trial.campaign_id}: the chance of {arm} differed between customers ({len(drawn)} values), which is told "
            "of nobody who was given another arm. The learn DAG reads the chances of planned runs from the log."
        )
    return float(drawn[0])


def _known(
    rows: pd.DataFrame, trial: Trial, store: HistoricalFeatures, trials: Trials, covariates: pd.DataFrame | None
) -> tuple[pd.DataFrame, list[str]]:
    """The rows with what was known before, and the names of it."""
    if covariates is not None:
        joined = rows.merge(covariates, on="customer_id", how="left", validate="1:1", suffixes=("", "_known"))
        names = [name for name in joined.columns if name not in rows.columns]
        if joined[names].isna().all(axis=1).any():
            missing = joined.loc[joined[names].isna().all(axis=1), "customer_id"].iloc[0]
            raise SourceError(f"the covariates have no row of customer {missing!r}, whom {trial.campaign_id} assigned")
        return joined, names
    at = pd.Timestamp(instant(trial.cutoff, trials.rules.shop.zone))
    entities = rows[["customer_id"]].assign(event_timestamp=at)
    features = store.historical(entities)
    joined = rows.merge(features.drop(columns="event_timestamp"), on="customer_id", how="left", validate="1:1")
    return joined, present(features)
