"""Scoring as of a cutoff: each shard of customers by itself, then tiers over all and one publication."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence, Set
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from holdfast import dataset
from holdfast.errors import MissingDataError, ModelError
from holdfast.features.catalog import MODEL_SERVICE, families_in, present
from holdfast.model.matrix import Vector
from holdfast.model.personas import Personas
from holdfast.model.reasons import as_json, cohort_reason, top_reasons
from holdfast.model.record import FeatureService, unserved
from holdfast.model.served import ServedModel
from holdfast.pipelines import personas
from holdfast.ports import FeatureStore, Lake, ModelRegistry, Scratch
from holdfast.risk import Tier, tiers
from holdfast.rules import Rules
from holdfast.rules import Scoring as ScoringRule
from holdfast.weeks import WEEK_COLUMNS, weekly

SCORES = "scores"
"""The lake table of scores, one row per cutoff and customer.

Beside probability and tier: ``basis`` (model, or cohort for single buyers whom no model can tell apart), and in the
shop's currency ``value`` (spend within the horizon, given that the customer buys), ``expected_spend`` (times the
probability of buying), ``value_at_risk`` (times that of churning) and ``lifetime_value`` (spend within a year)."""


class Scoring:
    """The steps of one scoring run, each fit to be a task; tables go through ``scratch``.

    The ``objectors`` are neither scored nor served a score.
    """

    def __init__(
        self,
        lake: Lake,
        store: FeatureStore,
        registry: ModelRegistry,
        scratch: Scratch,
        rules: Rules,
        *,
        objectors: Callable[[], Set[str]] = frozenset,
    ) -> None:
        self._lake = lake
        self._store = store
        self._registry = registry
        self._scratch = scratch
        self._rules = rules
        self._objectors = objectors

    def shards(self) -> list[int]:
        """The numbers of the shards, which together hold every customer once."""
        return list(range(self._rules.scoring.shards))

    def personas(self, cutoff: str) -> dict[str, Any]:
        """Find the personas anew if those in use are old (``personas.refresh``), before any shard is scored."""
        return personas.refresh(self._lake, self._store, self._rules, cutoff)

    def score(self, cutoff: str, shard: int) -> str:
        """Score this shard's customers who are active at the cutoff, by the champion; returns the path of the rows.

        Raises MissingDataError when there is no champion or no features of this cutoff, and ModelError when the
        champion was trained on features that are no longer served, or its files are not those that were registered.
        """
        champion = self._registry.aliased("champion")
        if champion is None:
            raise MissingDataError("no model is champion yet. Run the train DAG first.")
        known = self._store.snapshot(date.fromisoformat(cutoff))
        why = unserved(champion, FeatureService(MODEL_SERVICE, tuple(present(known))))
        if why is not None:
            raise ModelError(f"{why}. Run the train DAG, so that a model of the present features takes its place.")
        everyone = dataset.active(known, self._rules.population.active_days)
        everyone = everyone[~everyone["customer_id"].isin(self._objectors())]
        rows = everyone[[shard_of(one, self._rules.scoring.shards) == shard for one in everyone["customer_id"]]]
        model, segments = self._registry.load(champion), personas.standing(self._lake, cutoff)
        if set(WEEK_COLUMNS) <= set(model.features):
            orders, lines = self._lake.read("orders"), self._lake.read("order_lines")
            rows = rows.join(weekly(orders, lines, rows, self._rules.shop.zone))
        probability = model.probabilities(rows)
        scored = rows[["customer_id", "cutoff", "event_timestamp"]].assign(
            probability=probability,
            basis=model.basis(rows),
            value=model.spend_if_buying(rows),
            lifetime_value=model.lifetime_value(rows),
            reasons=_reasons(model, rows, probability, self._rules.scoring),
            model_version=champion.version,
            run_id=champion.run_id,
        )
        scored[["persona", "persona_name"]] = _persona(segments, rows)
        return self._scratch.write(f"{cutoff}/scores-{shard}", scored)

    def publish(self, cutoff: str, parts: Sequence[str]) -> dict[str, Any]:
        """Give tiers over all shards' customers; replace the cutoff's scores in the lake, then online.

        Raises ModelError when the champion changed while the shards were scored.
        """
        scores = pd.concat([self._scratch.read(part) for part in parts], ignore_index=True)
        objectors = self._objectors()
        scores = scores[~scores["customer_id"].isin(objectors)].reset_index(drop=True)
        versions = sorted(scores["model_version"].unique())
        if len(versions) > 1:
            raise ModelError(
                f"the shards of cutoff {cutoff} were scored by versions {', '.join(versions)}: the champion changed in "
                "between. Clear the score run, so that one model scores everyone."
            )
        if scores.empty:
            raise MissingDataError(f"no customer is active at {cutoff}, so there is nobody to score.")
        scores["tier"] = tiers(
            scores.set_index("customer_id")["probability"], self._rules.tiers, self._previous_tiers(cutoff)
        ).to_numpy()
        scores["expected_spend"] = (1 - scores["probability"]) * scores["value"]
        scores["value_at_risk"] = scores["probability"] * scores["value"]
        self._lake.replace(SCORES, scores, where={"cutoff": [cutoff]})
        self._store.write_scores(scores)
        self._store.erase_scores(sorted(objectors))
        counts = scores["tier"].value_counts()
        return {
            "cutoff": cutoff,
            "customers": len(scores),
            "tiers": {tier.value: int(counts.get(tier.value, 0)) for tier in Tier},
            "value_at_risk": float(scores["value_at_risk"].sum()),
            "model_version": versions[0],
        }

    def _previous_tiers(self, cutoff: str) -> dict[str, str]:
        """The tiers of the latest scoring as of an earlier cutoff, by customer."""
        if not self._lake.exists(SCORES):
            return {}
        earlier = self._lake.read(SCORES, columns=["cutoff"])["cutoff"]
        earlier = earlier[earlier < cutoff]
        if earlier.empty:
            return {}
        held = self._lake.read(SCORES, columns=["customer_id", "tier"], where={"cutoff": [earlier.max()]})
        return dict(zip(held["customer_id"], held["tier"], strict=True))


def shard_of(customer_id: str, shards: int) -> int:
    """The customer's shard: a hash, so that it is the same in every process and for ever."""
    return int.from_bytes(hashlib.sha256(customer_id.encode()).digest()[:8], "big") % shards


def _persona(segments: Personas | None, rows: pd.DataFrame) -> pd.DataFrame:
    """Per row, the id of the customer's persona and its name as JSON text by language; null where none were found."""
    ids = segments.assign(rows) if segments else [None] * len(rows)
    found = segments.personas if segments else ()
    names: dict[str | None, str] = {one.id: json.dumps(one.name, ensure_ascii=False) for one in found}
    told = {"persona": ids, "persona_name": [names.get(one) for one in ids]}
    return pd.DataFrame(told, index=rows.index, dtype=object)


def _reasons(model: ServedModel, rows: pd.DataFrame, probability: Vector, rule: ScoringRule) -> list[str]:
    """Per row, the customer's top reasons as JSON text: none below the probability that the rule asks for."""
    asked, cohort = probability >= rule.reasons_from, model.basis(rows) == "cohort"
    explained, texts = asked & ~cohort, np.full(len(rows), as_json([]), dtype=object)
    some = rows[explained]
    told = top_reasons(model.contributions(some), model.features, some, families_in(rows), rule.reasons)
    texts[explained] = [as_json(one) for one in told]
    texts[asked & cohort] = [as_json([cohort_reason(one)]) for one in probability[asked & cohort]]
    return list(texts)
