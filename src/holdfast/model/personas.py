"""Personas: kinds of customers found by k-means on what they do, with ids that stay the same from fit to fit."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from holdfast.errors import MissingDataError, ModelError
from holdfast.language import LANGUAGES, Language, translate
from holdfast.model.matrix import Matrix, Vector, matrix

NUMBERS = range(2, 9)
"""The numbers of personas that are tried."""
_MEMBERS = 10
FEWEST = NUMBERS[0] * _MEMBERS
"""Fewer customers than this are not told apart."""
STABLE = 0.8
"""From which mean adjusted Rand index on a number of personas counts as stable."""
CLEAR_CUT = 0.9
"""A number of personas may have a silhouette as much smaller than another's and still be preferred to it."""
_RESAMPLES = 20
_FITTED_ON = 5_000
"""No more customers than this are clustered; the rest are given to the nearest centroid like those of later days."""
_SURELY = 3.0
_NAMED_BY = 2
_NOTEWORTHY = 0.5
"""A centroid this many standard deviations off the average customer is worth a word."""
_SAME = 1.0
"""A centroid further than this from every earlier one, in standard deviations per trait, is another persona."""


@dataclass(frozen=True)
class Trait:
    """A feature that tells kinds of customers apart, and what to call those who have much or little of it."""

    feature: str
    much: str
    little: str


# What customers do, not how much at risk they are: the score says that already. At most one trait for each habit.
TRAITS: tuple[Trait, ...] = (
    Trait("orders_84d", "orders often", "orders rarely"),
    Trait("amount_per_order", "spends much an order", "spends little an order"),
    Trait("tenure_days", "long a customer", "new customer"),
    Trait("products_84d", "buys many different products", "buys few different products"),
    Trait("new_product_share_84d", "tries new products", "buys the same again"),
    Trait("discount_share", "buys by discount", "buys at full price"),
    Trait("coupon_share", "uses coupons", "uses no coupons"),
    Trait("weekend_share", "orders at weekends", "orders on weekdays"),
    Trait("evening_share", "orders in the evening", "orders by day"),
    Trait("sessions_84d", "visits often", "visits rarely"),
    Trait("returns_per_order_84d", "sends much back", "sends nothing back"),
    Trait("rating_mean", "rates highly", "rates low"),
)
AVERAGE = "like most customers"


@dataclass(frozen=True)
class Persona:
    """One kind of customer: a stable id, a name by language, the typical member's traits in their own units.

    ``centroid`` holds the same in standard deviations from the average customer; ``share`` is the share of customers
    at the fit.
    """

    id: str
    name: Mapping[Language, str]
    centroid: Mapping[str, float]
    typical: Mapping[str, float]
    share: float


@dataclass(frozen=True)
class Trial:
    """How good a number of personas is: mean silhouette, and mean adjusted Rand index over bootstrap resamples."""

    number: int
    silhouette: float
    stability: float


@dataclass(frozen=True)
class Personas:
    """A fitted segmentation. ``centre``, ``scale`` and ``median`` are those of each trait's feature at the fit.

    ``ids_given`` counts the ids that were ever given, so that one whose persona is gone is never another's.
    """

    features: tuple[str, ...]
    centre: tuple[float, ...]
    scale: tuple[float, ...]
    median: tuple[float, ...]
    personas: tuple[Persona, ...]
    trials: tuple[Trial, ...]
    ids_given: int

    def assign(self, rows: pd.DataFrame) -> list[str]:
        """The id of each row's persona: the nearest centroid's. Raises ModelError when a trait's feature is missing."""
        known = (np.array(one) for one in (self.centre, self.scale, self.median))
        values = _standardised(matrix(rows, self.features), *known)
        nearest = _distances(values, self._centroids).argmin(axis=1)
        return [self.personas[number].id for number in nearest.tolist()]

    @property
    def chosen(self) -> Trial:
        """The trial of the number of personas that was taken."""
        return next(one for one in self.trials if one.number == len(self.personas))

    @property
    def _centroids(self) -> Matrix:
        return np.array([[persona.centroid[name] for name in self.features] for persona in self.personas])

    def in_units(self, features: Sequence[str], centre: Vector, scale: Vector) -> Matrix:
        """The centroids of these features, standardised by another fit's ``centre`` and ``scale``."""
        typical = np.array([[persona.typical[name] for name in features] for persona in self.personas])
        again: Matrix = (typical - centre) / scale
        return again


def to_json(personas: Personas) -> str:
    """The segmentation as JSON text: numbers and words, nothing that runs."""
    return json.dumps(
        {
            **{name: list(getattr(personas, name)) for name in ("features", "centre", "scale", "median")},
            "personas": [vars(one) for one in personas.personas],
            "trials": [vars(one) for one in personas.trials],
            "ids_given": personas.ids_given,
        },
        ensure_ascii=False,
    )


def from_json(text: str) -> Personas:
    """The segmentation of ``to_json``. Raises ModelError when the text is not one."""
    try:
        content = json.loads(text)
        return Personas(
            features=tuple(content["features"]),
            centre=tuple(content["centre"]),
            scale=tuple(content["scale"]),
            median=tuple(content["median"]),
            personas=tuple(Persona(**one) for one in content["personas"]),
            trials=tuple(Trial(**one) for one in content["trials"]),
            ids_given=int(content["ids_given"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"the stored personas cannot be read: {error!r}. Run the train DAG, which fits them."
        ) from error


def fit_personas(rows: pd.DataFrame, seed: int, previous: Personas | None = None) -> Personas:
    """Find the personas among these customers by the traits whose features are there.

    Features are standardised, at most three deviations out, nulls at the median. The number of
    personas is stable when their clusters come back from bootstrap resamples (mean adjusted Rand index of at least
    ``STABLE``). Of the stable numbers the largest is taken whose silhouette is at least ``CLEAR_CUT`` of the best of
    them: more personas say more, as long as they are no accident and no vaguer. Where none is stable, it is the most
    stable one. Each persona keeps the id of the previous
    fit's persona that it is nearest to, matched one to one. Raises MissingDataError for fewer than
    ``FEWEST`` customers.
    """
    if len(rows) < FEWEST:
        raise MissingDataError(f"{len(rows)} customers are too few to tell personas apart; {FEWEST} are needed.")
    features, values, centre, scale, median = _traits(rows)
    some = np.random.default_rng(seed).permutation(len(values))[:_FITTED_ON]
    numbers = [number for number in NUMBERS if len(some) >= _MEMBERS * number]
    trials = [_try(values[some], number, seed) for number in numbers]
    chosen = _choose(trials)
    centroids = _cluster(values[some], chosen.number, seed)
    members = np.bincount(_distances(values, centroids).argmin(axis=1), minlength=chosen.number)
    ids = _ids(centroids, previous, features, centre, scale)
    personas = [
        Persona(
            id=ids[number],
            name=_name(dict(zip(features, centroid, strict=True))),
            centroid=dict(zip(features, centroid.tolist(), strict=True)),
            typical=dict(zip(features, (centroid * scale + centre).tolist(), strict=True)),
            share=float(members[number] / len(values)),
        )
        for number, centroid in enumerate(centroids)
    ]
    return Personas(
        features=features,
        centre=tuple(centre.tolist()),
        scale=tuple(scale.tolist()),
        median=tuple(median.tolist()),
        personas=tuple(sorted(personas, key=lambda one: int(one.id[1:]))),
        trials=tuple(trials),
        ids_given=max(previous.ids_given if previous else 0, *(int(one[1:]) for one in ids)),
    )


def _choose(trials: Sequence[Trial]) -> Trial:
    stable = [one for one in trials if one.stability >= STABLE]
    if not stable:
        return max(trials, key=lambda one: one.stability)
    clear = CLEAR_CUT * max(one.silhouette for one in stable)
    return max((one for one in stable if one.silhouette >= clear), key=lambda one: one.number)


def _traits(rows: pd.DataFrame) -> tuple[tuple[str, ...], Matrix, Vector, Vector, Vector]:
    """The traits' features that are there and vary, their standardised values, and centre, scale and median of each."""
    there = [trait.feature for trait in TRAITS if trait.feature in rows]
    varying = tuple(name for name in there if rows[name].nunique() > 1)
    if not varying:
        raise MissingDataError("no trait differs between these customers, so that there are no personas to find.")
    raw = matrix(rows, varying)
    median = np.nanmedian(raw, axis=0)
    filled = np.where(np.isnan(raw), median, raw)
    centre, scale = filled.mean(axis=0), filled.std(axis=0)
    return varying, _standardised(raw, centre, scale, median), centre, scale, median


def _standardised(raw: Matrix, centre: Vector, scale: Vector, median: Vector) -> Matrix:
    clipped: Matrix = np.clip((np.where(np.isnan(raw), median, raw) - centre) / scale, -_SURELY, _SURELY)
    return clipped


def _try(values: Matrix, number: int, seed: int) -> Trial:
    """Silhouette of this many clusters, and how well resampled customers give the same ones.

    Source of the stability: A. Ben-Hur, A. Elisseeff, I. Guyon, "A stability based method for discovering structure in
    clustered data", Pacific Symposium on Biocomputing 2002, with L. Hubert and P. Arabie's adjusted Rand index.
    """
    from sklearn.metrics import adjusted_rand_score, silhouette_score

    own = _distances(values, _cluster(values, number, seed)).argmin(axis=1)
    draw = np.random.default_rng(seed)
    agreement = []
    for _ in range(_RESAMPLES):
        resampled = _cluster(values[draw.integers(0, len(values), len(values))], number, seed)
        agreement.append(adjusted_rand_score(own, _distances(values, resampled).argmin(axis=1)))
    silhouette = silhouette_score(values, own, sample_size=min(2_000, len(values)), random_state=seed)
    return Trial(number, float(silhouette), float(np.mean(agreement)))


def _cluster(values: Matrix, number: int, seed: int) -> Matrix:
    from sklearn.cluster import KMeans

    centroids: Matrix = KMeans(number, n_init=4, random_state=seed).fit(values).cluster_centers_
    return centroids


def _distances(values: Matrix, centroids: Matrix) -> Matrix:
    """Root mean square difference of each row to each centroid, over the traits."""
    squares = (values**2).sum(axis=1)[:, None] - 2 * values @ centroids.T + (centroids**2).sum(axis=1)
    distances: Matrix = np.sqrt(np.maximum(squares, 0) / values.shape[1])
    return distances


def _ids(
    centroids: Matrix, previous: Personas | None, features: Sequence[str], centre: Vector, scale: Vector
) -> list[str]:
    """An id for each centroid: its counterpart's among the previous ones, or the next that nobody has had."""
    from scipy.optimize import linear_sum_assignment

    ids: dict[int, str] = {}
    shared = [place for place, name in enumerate(features) if previous is not None and name in previous.features]
    if previous is not None and shared:
        earlier = previous.in_units([features[place] for place in shared], centre[shared], scale[shared])
        distances = _distances(centroids[:, shared], earlier)
        pairs: NDArray[np.intp] = np.array(linear_sum_assignment(distances))
        ids = {int(new): previous.personas[old].id for new, old in pairs.T.tolist() if distances[new, old] <= _SAME}
    given = previous.ids_given if previous is not None else 0
    for number in range(len(centroids)):
        if number not in ids:
            given += 1
            ids[number] = f"P{given}"
    return [ids[number] for number in range(len(centroids))]


def _name(centroid: Mapping[str, float]) -> dict[Language, str]:
    """What most sets the persona apart, in words: the traits furthest from the average customer's."""
    telling = [trait for trait in TRAITS if abs(centroid.get(trait.feature, 0.0)) >= _NOTEWORTHY]
    telling.sort(key=lambda trait: -abs(centroid[trait.feature]))
    words = [one.much if centroid[one.feature] > 0 else one.little for one in telling[:_NAMED_BY]] or [AVERAGE]
    joiner: dict[Language, str] = {"en": ", ", "zh": "、"}
    return {language: joiner[language].join(translate(word, language) for word in words) for language in LANGUAGES}
