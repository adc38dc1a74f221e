"""What learning hands to planning, in the lake: predicted effects by customer and arm, and the arms' learned shares."""

from __future__ import annotations

import pandas as pd

from holdfast.campaign.definition import Campaign
from holdfast.ports import Lake

UPLIFTS = "uplifts"
"""The lake table of predicted effects, one row a cutoff, campaign, customer and arm.

``uplift`` is the drop in churn probability that the arm brings, ``harms`` whether it surely does harm,
``model_version`` that of the campaign's uplift model."""

ARM_SHARES = "arm_shares"
"""The lake table of learned shares, one row a campaign, cutoff of learning, segment and arm.

``share`` is the arm's part of the treated; ``effect`` and ``error`` are what it brought a customer beyond the control in
matured runs, in money, with its standard error; ``customers`` is how many those runs treated with it."""


def predicted(lake: Lake, campaign: Campaign, cutoff: str) -> pd.DataFrame:
    """customer_id, uplift_version, and uplift_ARM and harms_ARM of each of the campaign's arms; or customer_id alone.

    The latter where the champion of the campaign did not score this cutoff, or does not know all of its arms.
    """
    nothing = pd.DataFrame({"customer_id": pd.Series(dtype=object)})
    if not lake.exists(UPLIFTS):
        return nothing
    rows = lake.read(UPLIFTS, where={"cutoff": [cutoff], "campaign": [campaign.name]})
    arms = [arm.name for arm in campaign.arms]
    if not set(arms) <= set(rows["arm"]):
        return nothing
    wide = rows.pivot(index="customer_id", columns="arm", values=["uplift", "harms"])
    columns = {f"{value}_{arm}": wide[value, arm] for arm in arms for value in ("uplift", "harms")}
    versions = rows.drop_duplicates("customer_id").set_index("customer_id")["model_version"]
    found = pd.DataFrame(columns).assign(uplift_version=versions).reset_index()
    return found.astype({f"uplift_{arm}": float for arm in arms} | {f"harms_{arm}": bool for arm in arms})


def shares_in_force(lake: Lake, campaign: Campaign, cutoff: str) -> dict[str, tuple[float, ...]]:
    """By segment, the shares of the campaign's arms as last learned at or before ``cutoff``; none where there are none."""
    if campaign.arm_shares is None or not lake.exists(ARM_SHARES):
        return {}
    rows = lake.read(ARM_SHARES, where={"campaign": [campaign.name]})
    rows = rows[rows["cutoff"] <= cutoff]
    rows = rows[rows["cutoff"] == rows["cutoff"].max()]
    arms = [arm.name for arm in campaign.arms]
    found: dict[str, tuple[float, ...]] = {}
    for segment, own in rows.groupby("segment"):
        by_arm = dict(zip(own["arm"], own["share"], strict=True))
        if set(arms) == set(by_arm):
            found[str(segment)] = tuple(float(by_arm[arm]) for arm in arms)
    return found
