"""How far each arm of a cutoff's campaign runs came, from the outbox to the orders that followed."""

from __future__ import annotations

from datetime import date

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
    within = windows.horizon(date.fromisoformat(cutoff), rules.label.horizon_days, rules.shop.zone)
    bought = purchases(read(lake, "orders"), read(lake, "order_lines"))
    inside = (bought["ordered_at"] >= within.start) & (bought["ordered_at"] < within.end)
    ordered = set(bought.loc[inside, "customer_id"])
    return {run: funnel(progress.of(run), ordered) for run in runs}
