"""The training data set: who is in it, which cutoffs train and test, and the join of features with labels."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from zoneinfo import ZoneInfo

import pandas as pd

from holdfast import windows
from holdfast.errors import ImmatureLabelError, LeakageError, MissingDataError
from holdfast.labels import LABEL
from holdfast.rules import Training

KEYS = ("customer_id", "cutoff")
TIME = "event_timestamp"


@dataclass(frozen=True)
class Split:
    """One step of the backtest: a model fitted on the ``train`` cutoffs is tested on the later ``test`` cutoff."""

    test: date
    train: tuple[date, ...]


def active(features: pd.DataFrame, active_days: int) -> pd.DataFrame:
    """The rows of customers whose last order lies less than ``active_days`` (of 24 hours) before the cutoff.

    Only what was known at the cutoff decides who is in the population.
    """
    return features[features["days_since_order"] < active_days].reset_index(drop=True)


def matured(training: Training, horizon_days: int, complete_to: date) -> list[date]:
    """Every cutoff of the training grid whose horizon has fully elapsed: these train the model that goes live.

    Raises ImmatureLabelError when there is none.
    """
    last = complete_to - timedelta(days=horizon_days)
    cutoffs = windows.cutoffs(training.first_cutoff, last, training.step_days)
    if not cutoffs:
        raise ImmatureLabelError(
            f"labels for the first training cutoff {training.first_cutoff} mature on "
            f"{training.first_cutoff + timedelta(days=horizon_days)}, but orders end on {complete_to}. "
            f"Set training.first_cutoff no later than {last}, or wait for more orders."
        )
    return cutoffs


def splits(training: Training, horizon_days: int, complete_to: date) -> list[Split]:
    """The backtest: the last ``test_cutoffs`` matured cutoffs of the grid, ``test_step_days`` apart, the latest last.

    Each trains on every cutoff of the grid whose labels had matured by the test cutoff. Raises ImmatureLabelError when
    the history is too short for the first test cutoff to have a training cutoff.
    """
    grid = matured(training, horizon_days, complete_to)
    steps = reversed(range(training.test_cutoffs))
    tests = [grid[-1] - timedelta(days=training.test_step_days * step) for step in steps]
    first_ready = training.first_cutoff + timedelta(days=horizon_days)
    if tests[0] < first_ready:
        raise ImmatureLabelError(
            f"the backtest needs a training cutoff matured by its first test cutoff {tests[0]}, but the labels of the "
            f"first, {training.first_cutoff}, mature on {first_ready} (orders end on {complete_to}). Set "
            f"training.test_cutoffs below {training.test_cutoffs}, or training.first_cutoff no later than "
            f"{tests[0] - timedelta(days=horizon_days)}."
        )
    return [Split(test, tuple(day for day in grid if windows.is_mature(day, horizon_days, test))) for test in tests]


def study_splits(training: Training, horizon_days: int, complete_to: date) -> list[Split]:
    """The same for the ``study_cutoffs`` cutoffs before those of ``splits``, at the same distance.

    They help to decide how the first predictions of the backtest are treated, so their labels have matured by its first
    cutoff. Those that have no training cutoff are left out: with a short history there are fewer, or none.
    """
    first = splits(training, horizon_days, complete_to)[0].test
    grid = matured(training, horizon_days, first)
    steps = reversed(range(training.study_cutoffs))
    tests = [grid[-1] - timedelta(days=training.test_step_days * step) for step in steps]
    found = [Split(test, tuple(day for day in grid if windows.is_mature(day, horizon_days, test))) for test in tests]
    return [split for split in found if split.train]


def training_frame(features: pd.DataFrame, labels: pd.DataFrame, zone: ZoneInfo) -> pd.DataFrame:
    """``features`` with the label of each row's customer and cutoff joined on as the last column, ``churned``.

    ``features`` has customer_id, cutoff (ISO date), event_timestamp (UTC) and any feature columns; the order of its
    rows is kept. Labels of customers that are not in it are left out. Raises LeakageError when a row was computed
    after its cutoff or a label is among the features, and MissingDataError when a row has no label.
    """
    if LABEL in features.columns:
        raise LeakageError(f"the label {LABEL!r} is among the feature columns. Remove it from the feature view.")
    days = {day: windows.instant(date.fromisoformat(day), zone) for day in features["cutoff"].unique()}
    late = features[features[TIME] > features["cutoff"].map(days)]
    if len(late):
        row = late.iloc[0]
        raise LeakageError(
            f"{len(late)} feature row(s) are later than their cutoff: customer {row['customer_id']} at cutoff "
            f"{row['cutoff']} has {TIME} {row[TIME].isoformat()}, after {days[row['cutoff']].isoformat()}. "
            "Compute the features as of the cutoff."
        )
    keys = list(KEYS)
    joined = features.merge(labels[[*keys, LABEL]], on=keys, how="left", validate="one_to_one")
    unlabelled = joined[joined[LABEL].isna()]
    if len(unlabelled):
        row = unlabelled.iloc[0]
        raise MissingDataError(
            f"{len(unlabelled)} feature row(s) have no label, first customer {row['customer_id']} at cutoff "
            f"{row['cutoff']}. Compute labels for the same cutoffs and from the same orders."
        )
    return joined.astype({LABEL: "int8"})
