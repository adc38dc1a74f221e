"""A search for better parameters by Optuna, within a stated budget, on cutoffs earlier than those that judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from holdfast.dataset import Split
from holdfast.errors import SettingsError
from holdfast.model.backtest import backtest
from holdfast.model.candidates import Candidate, Range
from holdfast.model.evaluation import evaluate
from holdfast.rules import Training


@dataclass(frozen=True)
class Tuned:
    """The candidate with the best parameters found, and what a run's record tells of the search (nothing: no search).

    Among them are the budget (``search_trials``, ``search_seconds``) and the best mean metric on the study's cutoffs.
    """

    candidate: Candidate
    told: Mapping[str, str | float] = field(default_factory=dict)


def tuned(
    candidate: Candidate,
    rows: pd.DataFrame,
    splits: Sequence[Split],
    features: Sequence[str],
    *,
    rules: Training,
    journal: Path | None = None,
) -> Tuned:
    """Search the candidate's ``space`` by the mean ``rules.metric`` over ``splits``, if the rules ask for a search.

    The first trial has the candidate's own parameters. A trial that falls behind the median of the others after a split
    is pruned. With a ``journal`` (a file of Optuna's) a search that was broken off goes on where it stopped, as long as
    the training set is the same; its trials count towards the budget. Raises SettingsError when there are no splits.
    """
    budget = rules.search
    if budget is None or not candidate.space:
        return Tuned(candidate)
    if not splits:
        raise SettingsError(
            "training.search needs cutoffs before the first test cutoff to search on, but the history is too short for "
            "any. Set training.first_cutoff earlier, training.study_cutoffs above 0, or leave training.search out."
        )
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)

    def objective(trial: Any) -> float:
        chosen = candidate.with_parameters({name: _suggest(trial, name, one) for name, one in candidate.space.items()})
        values: list[float] = []
        for step, split in enumerate(splits):
            found = evaluate(backtest(chosen, rows, [split], features, rules.seed))
            values.append(found.mean.as_dict()[rules.metric])
            trial.report(float(np.mean(values)), step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return float(np.mean(values))

    study = optuna.create_study(
        storage=None if journal is None else _storage(journal),
        study_name=f"{candidate.name} {rules.metric} {_fingerprint(rows, splits)}",
        load_if_exists=True,
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=rules.seed),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=5),
    )
    if not study.trials:
        study.enqueue_trial({name: candidate.parameters[name] for name in candidate.space})
    left = budget.trials - sum(trial.state.is_finished() for trial in study.trials)
    if left > 0:
        study.optimize(objective, n_trials=left, timeout=budget.seconds)
    pruned = sum(trial.state == optuna.trial.TrialState.PRUNED for trial in study.trials)
    return Tuned(
        candidate.with_parameters(study.best_params),
        {
            "search_trials": budget.trials,
            "search_seconds": budget.seconds,
            "search_done": len(study.trials),
            "search_pruned": pruned,
            "search_best": study.best_value,
        },
    )


def _suggest(trial: Any, name: str, one: Range) -> float:
    if isinstance(one.low, int) and isinstance(one.high, int):
        whole: int = trial.suggest_int(name, one.low, one.high, log=one.log)
        return whole
    value: float = trial.suggest_float(name, one.low, one.high, log=one.log)
    return value


def _storage(journal: Path) -> Any:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    journal.parent.mkdir(parents=True, exist_ok=True)
    return JournalStorage(JournalFileBackend(str(journal)))


def _fingerprint(rows: pd.DataFrame, splits: Sequence[Split]) -> str:
    """The same for the same rows and splits, so that a search never goes on upon others."""
    content = int(pd.util.hash_pandas_object(rows, index=False).sum())
    return f"{content & 0xFFFFFFFFFFFFFFFF:016x} {splits[0].test}–{splits[-1].test}"
