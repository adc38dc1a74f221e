"""What is kept about a model: the run that made it, and the registered version that came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Generic, TypeVar

import pandas as pd

from holdfast.model.evaluation import Evaluation
from holdfast.model.served import ServedModel

_Model = TypeVar("_Model")


@dataclass(frozen=True)
class FeatureService:
    """What models are offered, in training and in scoring: a Feast feature service by name, and its features."""

    name: str
    features: tuple[str, ...]


@dataclass(frozen=True)
class ModelRun(Generic[_Model]):
    """A model fitted as of ``cutoff``, with all that a reviewer may ask.

    ``cutoff`` is the day the run pretends to be, ``rules`` the shop's rules as JSON; ``trained_to`` the end (exclusive)
    of the last label window that the final fit has read. ``service`` is what it was trained on; ``lake_versions``
    (table → version) say which data; ``example`` is one made-up row of features; ``plots`` are PNG images by name.
    ``figures`` are further figures by name, ``notes`` what was decided on the way, each in a sentence, and ``texts``
    documents by path.
    """

    candidate: str
    cutoff: date
    trained_to: date
    rules: str
    model: _Model
    service: FeatureService
    parameters: Mapping[str, str | float]
    lake_versions: Mapping[str, int]
    example: pd.DataFrame
    plots: Mapping[str, bytes]
    figures: Mapping[str, float] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class CandidateRun(ModelRun[ServedModel]):
    """One candidate, backtested and then fitted on every matured cutoff."""

    evaluation: Evaluation = field(kw_only=True)


@dataclass(frozen=True)
class RunRecord:
    """What is needed to make a run's model again.

    ``rules`` are the shop's rules as JSON; ``feature_code`` is the fingerprint of the code that computed the features.
    """

    cutoff: date
    rules: str
    lake_versions: Mapping[str, int]
    feature_code: str


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
    service: FeatureService
    verdict: str | None = None


def unserved(version: ModelVersion, present: FeatureService) -> str | None:
    """Why the model cannot score on what is served at present; None if it can.

    It can as long as every feature of its service is still served under the same service name. Features that were
    added since do no harm: the model does not read them.
    """
    trained, model = version.service, f"version {version.version} ({version.candidate})"
    if trained.name != present.name:
        return (
            f"{model} was trained on the feature service {trained.name!r}, but {present.name!r} is served now: "
            "features were removed or redefined"
        )
    gone = sorted(set(trained.features) - set(present.features))
    if gone:
        return (
            f"{model} was trained on {len(trained.features)} features of {trained.name!r}, of which "
            f"{', '.join(gone)} are no longer served"
        )
    return None
