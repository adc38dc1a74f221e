"""What campaigns achieve and what is learned of it: trials, readouts, uplift, rehearsals, the report."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd

from holdfast.adapters.atomic import write_bytes
from holdfast.adapters.csv_export import write_csv
from holdfast.adapters.operations.progress import ProgressDatabase
from holdfast.adapters.operations.trials import TrialDatabase
from holdfast.adapters.registry import uplift_of
from holdfast.effect import uplift_plots
from holdfast.effect.power import Design
from holdfast.effect.uplift_gate import Terms
from holdfast.errors import SettingsError
from holdfast.pipelines import effect_page, readouts
from holdfast.pipelines.accounting import accounts_of
from holdfast.pipelines.compare_uplift import ComparedUplift, covariates_of
from holdfast.pipelines.compare_uplift import compare_uplift as _compare_uplift
from holdfast.pipelines.decisions import decisions
from holdfast.pipelines.funnels import campaign_funnels
from holdfast.pipelines.learn import Learning, Prepared
from holdfast.pipelines.measure import Measuring
from holdfast.pipelines.planning import refuse_nobody
from holdfast.pipelines.programme import Programme
from holdfast.pipelines.rehearse_campaign import CampaignRehearsal
from holdfast.pipelines.rehearse_campaign import rehearse_campaign as _rehearse_campaign
from holdfast.pipelines.report import Reporting
from holdfast.pipelines.trials import Trials
from holdfast.pipelines.uplift_review import terms_of
from holdfast.pipelines.uplift_scores import BudgetCurve, UpliftScoring, UpliftStanding, budget_of, standing_uplift
from holdfast.wiring.intake import arrivals, latest_cutoff, shop_config
from holdfast.wiring.outreach import campaign, campaign_names, planning
from holdfast.wiring.stores import (
    customer_ids,
    engine,
    feature_store,
    lake,
    now,
    operations,
    registry,
    rules,
    scratch,
    settings,
    uplift_registry,
    vault,
)


def trials() -> Trials:
    return Trials(lake(), operations(), TrialDatabase(engine()), rules())


def measuring() -> Measuring:
    return Measuring(trials(), latest_cutoff())


def programme() -> Programme:
    return Programme(trials(), latest_cutoff())


def publish_effects() -> list[str]:
    """Write the pages of the latest readouts beside the reports; returns their places."""
    folder = settings().reports / "effect"

    def write(name: str, page: str) -> str:
        folder.mkdir(parents=True, exist_ok=True)
        write_bytes(folder / name, page.encode())
        return str(folder / name)

    return effect_page.publish(readouts.latest(lake()), rules().shop, programme().unread(), write)


def export(path: Path, rows: pd.DataFrame) -> None:
    """Write rows as CSV for people."""
    write_csv(path, rows)


def export_decisions(path: Path, campaign_ids: Sequence[str]) -> int:
    """Write these runs' decisions (all runs', if none is named) as CSV or Parquet; returns their number.

    Raises SettingsError when the file's name ends on neither.
    """
    if path.suffix not in (".csv", ".parquet"):
        raise SettingsError(
            f"{path.name}: the decision log is written as .csv or .parquet; end the name on one of them"
        )
    with operations().reading() as tx:
        wanted = list(campaign_ids) or tx.run_ids()
    rows = decisions(trials(), wanted, latest_cutoff())
    if path.suffix == ".csv":
        write_csv(path, rows)
    else:
        buffer = BytesIO()
        rows.to_parquet(buffer, index=False)
        write_bytes(path, buffer.getvalue())
    return len(rows)


def campaign_design(name: str, cutoff: str, at: datetime) -> Design:
    """What a campaign planned on ``cutoff`` would have to measure with. Raises CampaignError when it treats nobody."""
    one = campaign(name)
    found = planning().preview(one, cutoff, at, first=sys.maxsize)
    refuse_nobody(found)
    customers = found.plan["control"] + found.plan["treated"]
    return Design(customers, one.control_share, 1 - float(found.first["probability"].mean()))


def rehearse_campaign(name: str, cutoff: str, config: Path | None) -> CampaignRehearsal:
    """The campaign on a simulated shop like this one. Writes nothing."""
    one = campaign(name)
    preview = planning().preview(one, cutoff, now(), first=sys.maxsize)
    own, assumed = rules(), shop_config(config)
    return _rehearse_campaign(
        lake(), operations(), one, preview, shop=own.shop, horizon_days=own.label.horizon_days, assumed=assumed
    )


def learning() -> Learning:
    return Learning(trials(), feature_store(), uplift_registry, scratch())


def learning_campaigns() -> list[str]:
    """The campaigns that learn: those that choose by uplift, or whose arms' shares follow what they bring."""
    known = [campaign(name) for name in campaign_names()]
    return [one.name for one in known if one.policy.by == "uplift" or one.arm_shares is not None]


def weigh_uplift(prepared: Prepared, fitted: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Compare the learners of one campaign and register the best (``Learning.weigh``)."""
    pages, name = settings().mlflow_pages, prepared["campaign"]
    return learning().weigh(
        campaign(name), prepared, fitted, lambda version: f"{pages}/#/models/{uplift_of(name).name}/versions/{version}"
    )


def uplift_terms() -> Terms:
    return terms_of(rules())


def compare_uplift(
    campaign_id: str,
    *,
    outcome: str,
    arm: str | None,
    days: int | None,
    covariates: Path | None,
    columns: str | None,
    learners: Sequence[str],
) -> ComparedUplift:
    """Uplift learners on a finished campaign; ``columns`` (with commas) of the file ``covariates`` instead of features.
    The file calls customers as the shop does, or by their pseudonyms.

    Raises SettingsError when only one of the two is given: a file may hold outcomes, which nobody knew before.
    """
    if (covariates is None) != (columns is None):
        raise SettingsError("covariates and columns belong together: name the columns that were known beforehand")
    known = None
    if covariates is not None and columns is not None:
        names = [one.strip() for one in columns.split(",")]
        known = covariates_of(pd.read_csv(covariates, dtype={"customer_id": str}), names, str(covariates))
        known["customer_id"] = customer_ids(known["customer_id"])
    return _compare_uplift(
        trials(),
        feature_store(),
        campaign_id,
        outcome=outcome,
        learners=learners,
        terms=uplift_terms(),
        days=days,
        arm=arm,
        covariates=known,
    )


def uplift_standing(name: str) -> UpliftStanding:
    """Which uplift models the campaign has, and its arms' learned shares."""
    return standing_uplift(lake(), uplift_registry(name), campaign(name))


def uplift_standings(cutoff: str) -> list[UpliftStanding]:
    """``uplift_standing`` of every campaign that learns, as of the cutoff."""
    return [standing_uplift(lake(), uplift_registry(name), campaign(name), cutoff) for name in learning_campaigns()]


def uplift_budget(name: str, cutoff: str) -> BudgetCurve:
    """What budgets would bring on the scores of the cutoff, drawn beside the reports."""
    own, one = rules(), campaign(name)
    points = budget_of(lake(), one, cutoff, own.outreach.margin)
    path = settings().reports / f"budget-{name}-{cutoff}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, uplift_plots.budget(points, float(one.budget.money), own.shop.currency))
    return BudgetCurve(points, path)


def score_uplifts(cutoff: str) -> list[dict[str, Any]]:
    """Predict what each arm does to each active customer, for every campaign that chooses by uplift."""
    use_case = UpliftScoring(lake(), feature_store(), uplift_registry, rules(), vault().objectors)
    chosen = [campaign(name) for name in campaign_names()]
    return [use_case.score(one, cutoff) for one in chosen if one.policy.by == "uplift"]


def reporting() -> Reporting:
    here, own = settings(), rules()

    def publish(cutoff: str, page: str) -> str:
        path = here.reports / f"{cutoff}.html"
        write_bytes(path, page.encode())
        return str(path)

    landed = arrivals()
    return Reporting(
        lake=lake(),
        store=feature_store(),
        registry=registry(),
        operations=operations(),
        accounts=partial(accounts_of, operations()),
        uplifts=uplift_standings,
        funnels=lambda cutoff: campaign_funnels(ProgressDatabase(engine()), lake(), own, cutoff),
        rules=own,
        complete_to=landed.complete_to(),
        findings=landed.findings(),
        publish=publish,
        note=own.shop.note,
    )
