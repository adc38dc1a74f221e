"""How far each arm of a cutoff's campaign runs came, from the outbox to the orders that followed."""

from __future__ import annotations

from datetime import date, timedelta

from holdfast import windows
from holdfast.campaign.funnel import ArmFunnel, funnel
from holdfast.pipelines.canonical import read
from holdfast.ports import CampaignProgress, Lake
from holdfast.purchases import purchases
from holdfast.rules import Rules


def campaign_funnels(progress: CampaignProgress, lake: Lake, rules: Rules, cutoff: str) -> dict[str, list[ArmFunnel]]:
    """The arms of every run on ``cutoff`` (ISO date), by the run's id, in the order of planning.

    Orders count from the cutoff to the end of the label's horizon, as far as the lake knows them.
    """
    runs = progress.runs(date.fromisoformat(cutoff))
    if not runs:
        return {}
    start = windows.instant(date.fromisoformat(cutoff), rules.shop.zone)
    end = start + timedelta(days=rules.label.horizon_days)
    bought = purchases(read(lake, "orders"), read(lake, "order_lines"))
    ordered = set(bought.loc[(bought["ordered_at"] >= start) & (bought["ordered_at"] < end), "customer_id"])
    return {run: funnel(progress.of(run), ordered) for run in runs}
