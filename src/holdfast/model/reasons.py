"""Why each customer's score is high, in words with the customer's own numbers, in every language."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from string import Formatter

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from holdfast.features.catalog import FAMILIES
from holdfast.features.spec import Family, Feature
from holdfast.language import LANGUAGES, Language, translate
from holdfast.model.matrix import Matrix

_DECIMALS = 6
"""Of a stored contribution: the last bits depend on which customers were explained together."""

COHORT = "has ordered once so far, and {rate:.0%} of such customers do not come back in time"

_COUNTED = next(family for family in FAMILIES if any(feature.name == "order_count" for feature in family.features))


@dataclass(frozen=True)
class Reason:
    """One driver of a score: what it says by language, and what the whole family adds to the log-odds."""

    family: str
    feature: str
    contribution: float
    text: dict[Language, str]


def top_reasons(
    contributions: Matrix, features: Sequence[str], rows: pd.DataFrame, families: Sequence[Family], count: int
) -> list[list[Reason]]:
    """Per row, the ``count`` families that push the score up most, the strongest first; fewer if fewer push up.

    ``contributions`` has one row per row of ``rows`` and one column per name in ``features``
    (``FittedModel.contributions``); ``rows`` holds every feature of ``families``. A family counts as the sum of its
    features and is told by the one that contributes most within it. A feature that the model does not know contributes
    nothing.
    """
    if not len(rows) or not families:
        return [[] for _ in range(len(rows))]
    by_family, strongest = _by_family(contributions, features, families)
    best = np.argsort(-by_family, axis=1, kind="stable")[:, :count]
    declared = {feature.name: feature for family in families for feature in family.features}
    reasons: list[list[Reason]] = [[] for _ in range(len(rows))]
    for place in range(best.shape[1]):
        for number, family in enumerate(families):
            pushed = (best[:, place] == number) & (by_family[:, number] > 0)
            for which, feature in enumerate(family.features):
                chosen = np.flatnonzero(pushed & (strongest[:, number] == which))
                for row, text in zip(chosen, _texts(feature, declared, rows, chosen), strict=True):
                    added = round(float(by_family[row, number]), _DECIMALS)
                    reasons[row].append(Reason(family.name, feature.name, added, text))
    return reasons


def cohort_reason(probability: float) -> Reason:
    """Why a single buyer has the rate of all single buyers: the model knows nothing that tells them apart."""
    told = {language: text.format(rate=probability) for language, text in _in_every_language(COHORT).items()}
    return Reason(_COUNTED.name, "order_count", 0.0, told)


def as_json(reasons: Sequence[Reason]) -> str:
    """The reasons as the lake and the online store keep them: JSON text, an object per reason."""
    return json.dumps([asdict(reason) for reason in reasons], ensure_ascii=False)


def told(reasons: str, language: Language) -> tuple[str, ...]:
    """The sentences of stored reasons (``as_json``) in one language, the strongest first."""
    return tuple(reason["text"][language] for reason in json.loads(reasons))


def _by_family(
    contributions: Matrix, features: Sequence[str], families: Sequence[Family]
) -> tuple[Matrix, NDArray[np.intp]]:
    """Per row and family: the sum of its features' contributions, and the place of the largest among its features."""
    known = {name: column for column, name in enumerate(features)}
    padded = np.column_stack([contributions, np.zeros(len(contributions))])
    sums = np.empty((len(contributions), len(families)))
    strongest = np.empty(sums.shape, dtype=np.intp)
    for number, family in enumerate(families):
        own = padded[:, [known.get(feature.name, -1) for feature in family.features]]
        sums[:, number] = own.sum(axis=1)
        strongest[:, number] = own.argmax(axis=1)
    return sums, strongest


def _texts(
    feature: Feature, declared: Mapping[str, Feature], rows: pd.DataFrame, chosen: NDArray[np.intp]
) -> list[dict[Language, str]]:
    """The feature's reason for each chosen row; where it would name a null, what that null means instead."""
    named = list(dict.fromkeys([feature.name, *_named(feature.reason)]))
    columns = [rows[name].to_numpy(dtype=float)[chosen].tolist() for name in named]
    reason = _in_every_language(feature.reason)
    texts = []
    for values in zip(*columns, strict=True):
        null = next((name for name, value in zip(named, values, strict=True) if math.isnan(value)), None)
        if null is None:
            own = dict(zip(named, values, strict=True))
            texts.append({language: template.format_map(own) for language, template in reason.items()})
        else:
            texts.append(_in_every_language(declared[null].null))
    return texts


def _in_every_language(text: str) -> dict[Language, str]:
    return {language: translate(text, language) for language in LANGUAGES}


def _named(template: str) -> list[str]:
    """The features that a reason names."""
    return [name for _, name, _, _ in Formatter().parse(template) if name]
