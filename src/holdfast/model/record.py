"""What is kept about a model: the run that made it, and the registered version that came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import pandas as pd

from holdfast.model.candidates import FittedModel
from holdfast.model.evaluation import Evaluation


@dataclass(frozen=True)
class CandidateRun:
    """One candidate, backtested and then fitted on every matured cutoff.

    ``cutoff`` is the day the run pretends to be; ``trained_to`` the end (exclusive) of the last label window that the
    final fit has read. ``lake_versions`` (table → version) say which data; ``example`` is one made-up row of features;
    ``plots`` are PNG images by name.
    """

    candidate: str
    cutoff: date
    trained_to: date
    model: FittedModel
    evaluation: Evaluation
    parameters: Mapping[str, str | float]
    lake_versions: Mapping[str, int]
    example: pd.DataFrame
    plots: Mapping[str, bytes]


@dataclass(frozen=True)
class ModelVersion:
    """A registered model.

    ``sha256`` is the fingerprint of its files (``holdfast.model.artifacts``); ``verdict`` is what the gate said of it,
    None before it was asked.
    """

    version: str
    run_id: str
    candidate: str
    trained_to: date
    sha256: str
    verdict: str | None = None
