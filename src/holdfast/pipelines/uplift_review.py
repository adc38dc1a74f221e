"""What is kept of a comparison of uplift learners: what they were held against, the best one's model, its story."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, timedelta

import numpy as np
import pandas as pd

from holdfast.campaign import policy
from holdfast.campaign.definition import Campaign
from holdfast.effect import uplift_plots
from holdfast.effect.do_not_disturb import harmed_below
from holdfast.effect.randomised import Randomised
from holdfast.effect.uplift_gate import Assessed, Assessment, Terms, assess, by_merit, fresher, told
from holdfast.effect.uplift_model import UpliftModel, UpliftRun, fit_model
from holdfast.features.catalog import MODEL_SERVICE, present
from holdfast.model.matrix import Matrix, Vector
from holdfast.model.promotion import Verdict
from holdfast.model.record import FeatureService, ModelVersion, unserved
from holdfast.pipelines.uplift_scores import budget_points
from holdfast.ports import Lake, UpliftRegistry
from holdfast.rules import Rules

_TABLES = ("orders", "order_lines", "events")


@dataclass(frozen=True)
class Evidence:
    """The customers of a campaign's matured ``runs`` (``rows``, and ``on`` as learners take them).

    ``effects`` are each learner's, out of fold, with a row a customer and a column an arm.
    """

    campaign: Campaign
    runs: Sequence[str]
    rows: pd.DataFrame
    on: Randomised
    effects: Mapping[str, Matrix]
    rules: Rules

    @property
    def terms(self) -> Terms:
        return terms_of(self.rules)


def terms_of(rules: Rules) -> Terms:
    """On what the rules want policies compared."""
    own = rules.uplift
    return Terms(own.budget_share, own.folds, own.resamples, rules.training.seed)


def assessed(of: Evidence, champion: ModelVersion | None, registry: UpliftRegistry) -> Assessment:
    """Against the plain policy and chance, on all customers out of fold; against a champion that can still score, too.

    The latter on runs later than it has learned from.
    """
    rows, on, terms, currency = of.rows, of.on, of.terms, of.rules.shop.currency
    standing = by_merit(on, plain_merit(of.campaign, rows, of.rules.outreach.margin), terms.budget_share)
    name = f"choosing by {getattr(of.campaign.policy, 'until', of.campaign.policy).by}"
    found = assess(on, of.effects, terms, present=standing, present_name=name, unit=currency)
    model = _servable(champion, registry, rows, on)
    if champion is None or model is None:
        return found
    later = rows["run_cutoff"].to_numpy(str) >= champion.trained_to.isoformat()
    check = fresher(
        on.only(later),
        of.effects[found.best.learner.name][later],
        _in_order(model, rows[later], on.arms),
        terms,
        champion=f"the champion (version {champion.version})",
        unit=currency,
    )
    return replace(found, verdict=Verdict((*found.verdict.checks, check)))


def run_of(of: Evidence, found: Assessment, cutoff: date, lake: Lake) -> UpliftRun:
    """The best learner fitted on everybody, with all that a reviewer may ask."""
    on, terms, best = of.on, of.terms, found.best.learner
    limits = harmed_below(on, of.effects[best.name], terms.folds, terms.resamples, terms.seed)
    model = fit_model(best, on, limits)
    last = date.fromisoformat(of.rows["run_cutoff"].max())
    parameters: dict[str, str | float] = {
        "campaign": of.campaign.name,
        "runs": len(of.runs),
        "first_run": of.runs[0],
        "last_run": of.runs[-1],
        "rows": len(on),
        "overlap": int(on.overlap.sum()),
    }
    parameters |= {f"terms.{name}": value for name, value in asdict(terms).items()}
    for arm, limit in model.harmed_below.items():
        parameters[f"harmed_below.{arm}"] = "none" if limit is None else limit
    drawn = {f"gain_{arm}": uplift_plots.gain(on, k, of.effects, "kept") for k, arm in enumerate(on.arms, 1)}
    return UpliftRun(
        candidate=best.name,
        cutoff=cutoff,
        trained_to=last + timedelta(days=of.rules.label.horizon_days),
        rules=of.rules.model_dump_json(),
        model=model,
        service=FeatureService(MODEL_SERVICE, on.features),
        parameters=parameters,
        lake_versions={name: lake.version(name) for name in _TABLES if lake.exists(name)},
        example=of.rows[list(on.features)].median().fillna(0.0).to_frame().T,
        plots={**drawn, "budget": _budget(of, of.effects[best.name])},
        figures=_figures(found),
        notes={"decision": told(found.verdict)},
    )


def story_of(
    of: Evidence, found: Assessment, version: ModelVersion, champion: ModelVersion | None, *, page: str
) -> str:
    """What a reviewer reads, in Airflow and in MLflow (Markdown)."""
    replaces = f"instead of version {champion.version}" if champion else "as the first uplift model"
    checks = "\n".join(f"| {'✓' if one.passed else '✗'} {one.name} | {one.found} |" for one in found.verdict.checks)
    rows = "\n".join(_row(one, one is found.best) for one in found.learners)
    return (
        f"**{of.campaign.name}**, version {version.version} (`{version.candidate}`), {replaces}. "
        f"{told(found.verdict)}\n\n"
        f"| condition | found |\n|---|---|\n{checks}\n\n"
        f"{of.rules.shop.currency} per 1,000 customers beyond the rival at the same budget, out of fold, with 95 % "
        "intervals:\n\n"
        "| learner | Qini | over the present policy | over chance |\n|---|---|---|---|\n"
        f"{rows}\n\n[The version and its run in MLflow]({page}).\n"
    )


def plain_merit(campaign: Campaign, rows: pd.DataFrame, margin: float) -> Vector:
    """The merit that the policy before any uplift model gives these customers."""
    merit: Vector = policy.propose(policy.Case(rows, campaign, f"{campaign.name}@learning", margin)).merit
    return merit


def _budget(of: Evidence, effects: Matrix) -> bytes:
    """What more or less money would bring among the customers of the latest run, by their out-of-fold effects."""
    latest = (of.rows["run_cutoff"] == of.rows["run_cutoff"].max()).to_numpy(bool)
    points = budget_points(of.campaign, effects[latest] * of.on.worth[latest, None] - of.on.costs)
    return uplift_plots.budget(points, float(of.campaign.budget.money), of.rules.shop.currency)


def _servable(
    champion: ModelVersion | None, registry: UpliftRegistry, rows: pd.DataFrame, on: Randomised
) -> UpliftModel | None:
    """The champion's model, if it knows these arms and all that it reads is still there."""
    if champion is None or unserved(champion, FeatureService(MODEL_SERVICE, tuple(present(rows)))) is not None:
        return None
    model = registry.load(champion)
    return model if set(on.arms) <= set(model.arms) else None


def _in_order(model: UpliftModel, rows: pd.DataFrame, arms: Sequence[str]) -> Matrix:
    return model.answers(rows)[[f"uplift_{arm}" for arm in arms]].to_numpy(float)


def _figures(found: Assessment) -> dict[str, float]:
    figures: dict[str, float] = {"random_per_1000": 1000 * found.random.value}
    for one in found.learners:
        name = one.learner.name
        for arm, ranking in one.rankings.items():
            figures |= {f"{name}/{arm}.qini": ranking.qini, f"{name}/{arm}.auuc": ranking.auuc}
        for rival, gain in (("present", one.over_present), ("random", one.over_random)):
            figures[f"{name}/over_{rival}_per_1000"] = 1000 * gain.value
            figures[f"{name}/over_{rival}_per_1000.low"] = 1000 * gain.interval.low
            figures[f"{name}/over_{rival}_per_1000.high"] = 1000 * gain.interval.high
    return {name: value for name, value in figures.items() if np.isfinite(value)}


def _row(one: Assessed, best: bool) -> str:
    name = f"**{one.learner.name}**" if best else one.learner.name
    qini = ", ".join(f"{arm} {ranking.qini:.3f}" for arm, ranking in one.rankings.items())
    gains = [
        f"{1000 * gain.value:+,.1f} ({1000 * gain.interval.low:+,.1f} to {1000 * gain.interval.high:+,.1f})"
        for gain in (one.over_present, one.over_random)
    ]
    return f"| {name} | {qini} | {gains[0]} | {gains[1]} |"
