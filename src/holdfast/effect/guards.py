"""What must hold before an effect may be claimed, each check with its finding in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

import numpy as np
import pandas as pd

from holdfast.campaign.definition import CONTROL
from holdfast.effect.estimate import CONFIDENCE, Effect, compare
from holdfast.effect.outcomes import COVARIATES
from holdfast.effect.power import detectable, told
from holdfast.effect.trial import Trial

MISMATCH = 0.001
"""Below this p-value the numbers of the arms are no longer put down to chance."""

LEAST_CUSTOMERS, LEAST_OF_A_KIND = 50, 10
"""With fewer customers in a group, or fewer who stayed or left, a mean is not near enough to normal for an interval."""

_REACHED = 0.9  # chosen: with a tenth not reached, the effect on the others is a ninth larger, which is worth saying
_UNEVEN = 0.01  # a p-value, chosen: it only warns, so above MISMATCH; every run is asked, so below the usual 5 %


class Level(StrEnum):
    """What a check means for the claim: nothing is wrong, read it with care, or there is none."""

    WELL = "well"
    WARN = "warn"
    STOP = "stop"


@dataclass(frozen=True)
class Check:
    """One check and what it found."""

    name: str
    level: Level
    text: str


@dataclass(frozen=True)
class Placebo:
    """An arm's "effect" on what its customers did before the campaign, which it cannot have had."""

    arm: str
    effect: Effect


def chance(trial: Trial) -> Check:
    """Whether chance assigned the arms with known probabilities, and there is a control."""
    if trial.randomised:
        return Check("chance", Level.WELL, "arms were drawn by chance, with known probabilities")
    arms = set(trial.customers["arm"])
    if CONTROL not in arms:
        why = "there is no control: everybody was meant to be treated"
    elif len(arms) == 1:
        why = "everybody is in control: nobody was meant to be treated"
    else:
        why = "the arms come without the probabilities with which they were drawn, so somebody chose them"
    return Check(
        "chance",
        Level.STOP,
        f"no effect can be claimed: {why}. Who is chosen differs from who is not, and what follows may come from that "
        "alone. Only what happened is told",
    )


def maturity(trial: Trial, complete_to: date) -> Check:
    """Whether the data reach the end of the outcomes' window."""
    end = trial.cutoff + timedelta(days=trial.days)
    if end <= complete_to:
        return Check("maturity", Level.WELL, f"the window ended on {end}; data are complete up to {complete_to}")
    return Check(
        "maturity",
        Level.STOP,
        f"too early: the window ends on {end}, but data are complete up to {complete_to} only. The effect is read "
        f"once, at its end, {(end - complete_to).days} days of data from now",
    )


def sample_ratio(customers: pd.DataFrame) -> Check:
    """Whether the arms are as large as their probabilities say, by a χ² test.

    Where probabilities differ between customers, the control alone is tested: the inverses of its customers'
    probabilities must add up to everybody.

    Source: A. Fabijan et al., "Diagnosing sample ratio mismatch in online controlled experiments", KDD 2019.
    """
    from scipy.stats import chi2, chisquare

    by_arm = customers.groupby("arm")["propensity"].agg(["size", "min", "max"])
    total = len(customers)
    if np.allclose(by_arm["min"], by_arm["max"]):
        observed, expected = by_arm["size"].to_numpy(float), total * by_arm["min"].to_numpy(float)
        rest = total - expected.sum()  # of an arm that nobody is in
        if rest > 1e-6 * total:
            observed, expected = np.append(observed, 0.0), np.append(expected, rest)
        p_value = float(chisquare(observed, expected * observed.sum() / expected.sum()).pvalue)
        parts = ", ".join(f"{name} {row['size']:,.0f} of {total * row['min']:,.1f}" for name, row in by_arm.iterrows())
    else:
        drawn = customers.loc[customers["arm"] == CONTROL, "propensity"].to_numpy(float)
        stand_for, variance = (1 / drawn).sum(), ((1 - drawn) / drawn**2).sum()
        p_value = float(chi2.sf((stand_for - total) ** 2 / variance, 1))
        parts = f"the control stands for {stand_for:,.0f} of {total:,}"
    figures = f"{parts} expected (p = {p_value:.3g})"
    if p_value < MISMATCH:
        return Check(
            "sample ratio",
            Level.STOP,
            f"the arms are not as large as chance would make them: {figures}. Customers are missing from the log, or "
            "were added: find out which before anything is read from it",
        )
    return Check("sample ratio", Level.WELL, figures)


def exposure(customers: pd.DataFrame) -> Check:
    """Whether the treated were reached and the control was not. Nobody is left out for it: intention to treat."""
    control = customers["arm"] == CONTROL
    leaked = int(customers.loc[control, "exposed"].sum())
    if leaked:
        return Check(
            "exposure",
            Level.STOP,
            f"{leaked:,} of {int(control.sum()):,} control customers were sent the campaign's message: the control is "
            "none. Find out who sent it",
        )
    treated = customers.loc[~control, "exposed"]
    figures = f"{int(treated.sum()):,} of {len(treated):,} treated customers were sent the message, no control was"
    if len(treated) and treated.mean() < _REACHED:
        return Check(
            "exposure", Level.WARN, f"{figures}: the effect on those reached is larger than the effect told here"
        )
    return Check("exposure", Level.WELL, figures)


def size(control: pd.DataFrame, groups: Mapping[str, pd.DataFrame]) -> Check:
    """Whether the control and the arms' groups are large enough to say anything, and which effect they can show."""
    everyone = [control, *groups.values()]
    smallest = min(map(len, everyone))
    kinds = min(min(one["retained"].sum(), (1 - one["retained"]).sum()) for one in everyone)
    if smallest < LEAST_CUSTOMERS or kinds < LEAST_OF_A_KIND:
        return Check(
            "size",
            Level.STOP,
            f"too small: the smallest group has {smallest:,} customers, and in one group only {kinds:,.0f} stayed or "
            f"left; at least {LEAST_CUSTOMERS} and {LEAST_OF_A_KIND} are needed for an interval that can be trusted",
        )
    both = len(control) + min(map(len, groups.values()))
    retained = float(control["retained"].mean())
    least = detectable(both, len(control) / both, retained, 1 - (1 - CONFIDENCE) / len(groups))
    words = told(both, len(control) / both, least)
    if least > 1 - retained:
        return Check(
            "size",
            Level.STOP,
            f"too small: {words}, but only {100 * (1 - retained):.2g} % of the control left: even if the campaign had "
            "kept every one of them, it could not be shown",
        )
    return Check("size", Level.WELL, words)


def placebo(groups: Mapping[str, pd.DataFrame], against: pd.DataFrame) -> list[Placebo]:
    """Each arm's group against another on what they did before the cutoff."""
    compared = ((arm, compare(against, rows, name)) for arm, rows in groups.items() for name in COVARIATES)
    return [Placebo(arm, effect) for arm, effect in compared if effect is not None]


def alike_before(placebos: Sequence[Placebo]) -> Check:
    """Whether the groups did alike before the campaign, over all that was compared (Bonferroni)."""
    if not placebos:
        return Check("placebo", Level.WARN, "nothing is known of what the groups did before the campaign")
    worst = min(placebos, key=lambda one: one.effect.p_value)
    p_value = min(1.0, worst.effect.p_value * len(placebos))
    seen = (
        f"{worst.effect.outcome.replace('_', ' ')} was {worst.effect.treated:.3g} in {worst.arm} against "
        f"{worst.effect.control:.3g} (p = {p_value:.2g} over {len(placebos)} comparisons)"
    )
    if p_value < MISMATCH:
        return Check("placebo", Level.WARN, f"the groups differed before the campaign began: {seen}")
    return Check("placebo", Level.WELL, f"the groups did alike before the campaign began; furthest apart, {seen}")


def contamination(customers: pd.DataFrame, elsewhere: pd.DataFrame) -> Check:
    """How many customers were contacted by other campaigns whose windows overlap (campaign_id, customer_id)."""
    from scipy.stats import chi2_contingency

    met = customers["customer_id"].isin(elsewhere["customer_id"])
    if not met.any():
        return Check("contamination", Level.WELL, "no other campaign contacted these customers meanwhile")
    control = customers["arm"] == CONTROL
    shares = [float(met[group].mean()) for group in (~control, control)]
    names = sorted(elsewhere.loc[elsewhere["customer_id"].isin(customers["customer_id"]), "campaign_id"].unique())
    figures = (
        f"{', '.join(names)} contacted {shares[0]:.1%} of the treated and {shares[1]:.1%} of the control meanwhile"
    )
    table = pd.crosstab(control, met)
    uneven = table.shape == (2, 2) and chi2_contingency(table, correction=False).pvalue < _UNEVEN
    if uneven:
        return Check(
            "contamination",
            Level.WARN,
            f"{figures}: the effect told is that of this campaign with all that it brought or kept from others",
        )
    return Check("contamination", Level.WELL, f"{figures}: alike, so that the comparison holds")
