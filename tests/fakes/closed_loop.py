"""The whole of learning on customers whose response is known: campaign after campaign, scored against the truth.

Everything but the customers is what production uses: the selection with its budget, hashed control and exploration, the
learners, the gate, the fresher model against the champion. So what is measured is the product's learning, not a sketch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from holdfast.campaign.assignment import uniforms
from holdfast.campaign.definition import CONTROL, Campaign
from holdfast.campaign.policy import Case, Selection, propose, select
from holdfast.effect.do_not_disturb import harmed_below
from holdfast.effect.learners import learner
from holdfast.effect.randomised import Randomised
from holdfast.effect.uplift_gate import LEAST_CUSTOMERS, Terms, assess, by_merit, cross_fitted, fresher
from holdfast.effect.uplift_model import UpliftModel, fit_model
from holdfast.model.matrix import Matrix

RIVALS = ("risk", "value_at_risk", "random")
ORACLE = "oracle"
LEARNED = "learned"


@dataclass(frozen=True)
class Population:
    """Customers of a known truth.

    ``customers`` has customer_id, probability (of churning untreated), value (spend if kept) and the ``features`` that
    learners may see. ``effects`` is the true drop in churn probability by each arm of the campaign (a column each).
    """

    customers: pd.DataFrame
    features: tuple[str, ...]
    effects: Matrix


@dataclass(frozen=True)
class Round:
    """One campaign: whether a model chose, and what each policy was worth in truth.

    ``net_values`` are expected net values over the draw of control and arms, in money: of the policy that was in force
    (``LEARNED``), of knowing the truth (``ORACLE``) and of ``RIVALS``, all within the same budget and control share.
    """

    number: int
    by_model: bool
    net_values: dict[str, float]

    @property
    def share_of_oracle(self) -> float:
        """The learned policy's net value as a share of the oracle's; NaN where nothing can be gained."""
        best = self.net_values[ORACLE]
        return self.net_values[LEARNED] / best if best > 0 else float("nan")


@dataclass(frozen=True)
class Loop:
    """A campaign that chooses by uplift, run again and again on the same customers, who answer each time anew.

    ``margin`` is the share of a sale that the shop keeps. Until a model has passed the gate, the campaign's policy
    ``until`` decides; random gives learning a good start. ``seed`` names the draws, so that a run can be repeated.
    """

    population: Population
    campaign: Campaign
    margin: float = 1.0
    learners: Sequence[str] = ("s_logistic", "t_logistic", "dr_logistic", "x_lightgbm")
    terms: Terms = field(default_factory=lambda: Terms(resamples=300))
    seed: str = "loop"

    def run(self, rounds: int = 12) -> list[Round]:
        """So many campaigns, learning after each from all before."""
        told, seen = [], []
        champion: UpliftModel | None = None
        learned_to = -1
        rivals = {name: self._by({"by": name}) for name in RIVALS}
        oracle = self._by({"by": "uplift", "explore": 1e-9})
        for number in range(rounds):
            run_id = f"{self.campaign.name}@{self.seed}-{number}"
            chosen = self._selected(self.campaign, run_id, *self._predicted(champion))
            worth = {name: self._worth(self._selected(one, run_id)) for name, one in rivals.items()}
            worth[ORACLE] = self._worth(self._selected(oracle, run_id, self.population.effects))
            worth[LEARNED] = self._worth(chosen)
            told.append(Round(number, champion is not None, worth))
            seen.append(self._outcomes(chosen, run_id).assign(round=number))
            found = self._learned(pd.concat(seen, ignore_index=True), champion, learned_to)
            if found is not None:
                champion, learned_to = found, number
        return told

    def _by(self, policy: dict[str, Any]) -> Campaign:
        return Campaign.model_validate(self.campaign.model_dump(mode="json", exclude_none=True) | {"policy": policy})

    def _predicted(self, champion: UpliftModel | None) -> tuple[Matrix | None, NDArray[np.bool_] | None]:
        if champion is None:
            return None, None
        uplifts = champion.uplifts(self.population.customers)
        return uplifts, champion.harms(uplifts)

    def _selected(
        self, campaign: Campaign, run_id: str, effects: Matrix | None = None, harms: NDArray[np.bool_] | None = None
    ) -> Selection:
        candidates, names = self.population.customers, [arm.name for arm in campaign.arms]
        for prefix, known in (("uplift", effects), ("harms", harms)):
            if known is not None:
                candidates = candidates.assign(**{f"{prefix}_{name}": known[:, k] for k, name in enumerate(names)})
        return select(Case(candidates, campaign, run_id, self.margin), np.full(len(candidates), None, dtype=object))

    def _truth(self, rows: pd.DataFrame) -> Matrix:
        places = pd.Index(self.population.customers["customer_id"]).get_indexer(rows["customer_id"])
        found: Matrix = self.population.effects[places]
        return found

    @property
    def _costs(self) -> dict[str, float]:
        return {arm.name: float(arm.cost) for arm in self.campaign.arms}

    def _worth(self, selection: Selection) -> float:
        """The expected net value over the draw, in truth."""
        assigned = selection.assigned
        if assigned.empty:
            return 0.0
        money = assigned["value"].to_numpy(float)[:, None] * self.margin
        each = self._truth(assigned) * money - np.array(list(self._costs.values()))
        return float((np.array(assigned["chances"].tolist(), dtype=float) * each).sum())

    def _outcomes(self, selection: Selection, run_id: str) -> pd.DataFrame:
        """The assigned customers with ``kept``, 1 or 0, drawn from the truth."""
        assigned, truth = selection.assigned, self._truth(selection.assigned)
        stays = 1 - assigned["probability"].to_numpy(float)
        for place, arm in enumerate(self.campaign.arms):
            stays = stays + np.where(assigned["arm"] == arm.name, truth[:, place], 0.0)
        drawn = uniforms(f"{run_id}:outcome", assigned["customer_id"].tolist())
        return assigned.assign(kept=(drawn < stays).astype(float))

    def _randomised(self, rows: pd.DataFrame) -> Randomised:
        chances = np.array(rows["chances"].tolist(), dtype=float)
        by_arm = {arm.name: chances[:, place] for place, arm in enumerate(self.campaign.arms)}
        return Randomised.of(
            rows,
            features=self.population.features,
            outcome="kept",
            chances={CONTROL: np.full(len(rows), self.campaign.control_share), **by_arm},
            binary=True,
            worth=rows["value"].to_numpy(float) * self.margin,
            costs=self._costs,
        )

    def _learned(self, rows: pd.DataFrame, champion: UpliftModel | None, learned_to: int) -> UpliftModel | None:
        """The model that takes its place now, if one passes the gate."""
        on, terms = self._randomised(rows), self.terms
        counts = np.bincount(on.given[on.overlap], minlength=len(on.arms) + 1)
        if counts.min() < LEAST_CUSTOMERS:
            return None
        effects = cross_fitted(on, self.learners, terms)
        merit = propose(Case(rows, self.campaign, "learning", self.margin)).merit
        found = assess(on, effects, terms, present=by_merit(on, merit, terms.budget_share))
        best = found.best.learner
        passed = found.verdict.passed
        if champion is not None:
            later = (rows["round"] > learned_to).to_numpy()
            rival = champion.uplifts(rows[later])
            check = fresher(on.only(later), effects[best.name][later], rival, terms, champion="it", unit="money")
            passed &= check.passed
        if not passed:
            return None
        limits = harmed_below(on, effects[best.name], terms.folds, terms.resamples, terms.seed)
        return fit_model(learner(best.name), on, limits)


FEATURES = ("rhythm", "spend", "browse", "noise", "probability")
MESSAGE = {"channel": "email", "template": "m"}


def population(count: int, seed: int, strength: float = 1.0) -> Population:
    """Persuadable, sure, lost and do-not-disturb customers; who is most at risk is lost, not persuadable."""
    draw = np.random.default_rng(seed)
    columns = pd.DataFrame({name: draw.normal(size=count) for name in FEATURES[:-1]})
    persuadable = columns["rhythm"] + 0.3 * draw.normal(size=count) > 0.6
    disturbed, lost = columns["rhythm"] < -1.0, columns["browse"] > 0
    kinds = [persuadable, disturbed, lost]
    risk = np.select(kinds, [0.45, 0.3, 0.8], default=0.1) + 0.05 * draw.normal(size=count)
    coupon = np.select(kinds, [0.25, -0.12, 0.02], default=0.01)
    reminder = np.select(kinds, [0.1, -0.06, 0.0], default=0.01)
    customers = columns.assign(
        customer_id=[f"c{i}" for i in range(count)],
        probability=np.clip(risk, 0.02, 0.95),
        value=np.exp(3.5 + 0.5 * columns["spend"]),
    )
    return Population(customers, FEATURES, strength * np.column_stack([coupon, reminder]))


def campaign(count: int) -> Campaign:
    """Money for about one coupon in five customers, and messages for four in ten."""
    return Campaign.model_validate(
        {
            "name": "loop",
            "audience": {"tiers": ["high"]},
            "control_share": 0.2,
            "policy": {"by": "uplift", "until": {"by": "random"}, "explore": 0.1},
            "arms": [
                {"name": "coupon", "message": MESSAGE, "cost_per_contact": "1.50"},
                {"name": "reminder", "message": MESSAGE, "cost_per_contact": "0.05"},
            ],
            "budget": {"money": 0.3 * count, "contacts": int(0.4 * count)},
        }
    )


def loop(count: int, seed: int, strength: float = 1.0) -> Loop:
    return Loop(
        population(count, seed, strength),
        campaign(count),
        margin=0.3,
        learners=("s_logistic", "t_logistic", "dr_logistic"),
        terms=Terms(resamples=100, folds=3),
        seed=f"seed {seed}",
    )
