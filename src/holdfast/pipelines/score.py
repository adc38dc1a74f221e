"""Scoring as of a cutoff: each shard of customers by itself, then tiers over all and one publication."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from typing import Any

import pandas as pd

from holdfast import dataset
from holdfast.errors import MissingDataError, ModelError
from holdfast.features.catalog import MODEL_SERVICE, families_in, present
from holdfast.model.candidates import FittedModel
from holdfast.model.reasons import top_reasons
from holdfast.model.record import FeatureService, unserved
from holdfast.ports import FeatureStore, Lake, ModelRegistry, Scratch
from holdfast.risk import Tier, tiers
from holdfast.rules import Rules

SCORES = "scores"
"""The lake table of scores, one row per cutoff and customer."""

_VALUE_DAYS = 84


class Scoring:
    """The steps of one scoring run, each fit to be a task; tables go through ``scratch``."""

    def __init__(
        self, lake: Lake, store: FeatureStore, registry: ModelRegistry, scratch: Scratch, rules: Rules
    ) -> None:
        self._lake = lake
        self._store = store
        self._registry = registry
        self._scratch = scratch
        self._rules = rules

    def shards(self) -> list[int]:
        """The numbers of the shards, which together hold every customer once."""
        return list(range(self._rules.scoring.shards))

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
        rows = everyone[[shard_of(one, self._rules.scoring.shards) == shard for one in everyone["customer_id"]]]
        model = self._registry.load(champion)
        scored = rows[["customer_id", "cutoff", "event_timestamp"]].assign(
            probability=model.probabilities(rows),
            value=_expected_value(rows, self._rules.label.horizon_days),
            reasons=_reasons(model, rows, self._rules.scoring.reasons),
            model_version=champion.version,
            run_id=champion.run_id,
        )
        return self._scratch.write(f"{cutoff}/scores-{shard}", scored)

    def publish(self, cutoff: str, parts: Sequence[str]) -> dict[str, Any]:
        """Give tiers over all shards' customers; replace the cutoff's scores in the lake, then online.

        Raises ModelError when the champion changed while the shards were scored.
        """
        scores = pd.concat([self._scratch.read(part) for part in parts], ignore_index=True)
        versions = sorted(scores["model_version"].unique())
        if len(versions) > 1:
            raise ModelError(
                f"the shards of cutoff {cutoff} were scored by versions {', '.join(versions)}: the champion changed in "
                "between. Clear the score run, so that one model scores everyone."
            )
        if scores.empty:
            raise MissingDataError(f"no customer is active at {cutoff}, so there is nobody to score.")
        by_customer = tiers(dict(zip(scores["customer_id"], scores["probability"], strict=True)), self._rules.tiers)
        scores["tier"] = scores["customer_id"].map(by_customer).astype(str)
        scores["value_at_risk"] = scores["probability"] * scores["value"]
        self._lake.replace(SCORES, scores, where={"cutoff": [cutoff]})
        self._store.write_scores(scores)
        counts = scores["tier"].value_counts()
        return {
            "cutoff": cutoff,
            "customers": len(scores),
            "tiers": {tier.value: int(counts.get(tier.value, 0)) for tier in Tier},
            "value_at_risk": float(scores["value_at_risk"].sum()),
            "model_version": versions[0],
        }


def shard_of(customer_id: str, shards: int) -> int:
    """The customer's shard: a hash, so that it is the same in every process and for ever."""
    return int.from_bytes(hashlib.sha256(customer_id.encode()).digest()[:8], "big") % shards


def _expected_value(rows: pd.DataFrame, horizon_days: int) -> pd.Series:
    """What the customer would spend within the horizon at the pace of the last 84 days, in the shop's currency."""
    return rows[f"amount_{_VALUE_DAYS}d"] / _VALUE_DAYS * horizon_days


def _reasons(model: FittedModel, rows: pd.DataFrame, count: int) -> list[str]:
    """Per row, the customer's top reasons as JSON text."""
    contributions = model.contributions(rows)
    names, families = present(rows), families_in(rows)
    values = rows[names].to_numpy(dtype=float)
    return [
        json.dumps(
            [
                asdict(reason)
                for reason in top_reasons(
                    dict(zip(model.features, effect, strict=True)),
                    dict(zip(names, own, strict=True)),
                    families,
                    count,
                )
            ],
            ensure_ascii=False,
        )
        for effect, own in zip(contributions.tolist(), values.tolist(), strict=True)
    ]
