"""What a campaign did, as far as it may be claimed: the readout of one trial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal

import pandas as pd

from holdfast.campaign.definition import CONTROL
from holdfast.effect import guards
from holdfast.effect.estimate import CONFIDENCE, Effect, compare, ratio
from holdfast.effect.guards import Check, Level, Placebo
from holdfast.effect.outcomes import COVARIATES
from holdfast.effect.sequence import Look, looks
from holdfast.effect.trial import Trial

OUTCOMES = ("retained", "orders", "revenue", "margin", "net")
ADJUSTED_BY = (*COVARIATES, "probability", "value")
ALL_ARMS = "all arms"
NOT_CHOSEN = "not chosen"
"""What those are called who knew the shop and were not meant by a campaign without a control."""

Status = Literal["described", "too_early", "refused", "measured"]


@dataclass(frozen=True)
class Span:
    """A figure with its interval; a bound of None lies beyond all measure."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Group:
    """What the customers of one arm did, on average: no comparison, and no claim. Money is in the shop's currency."""

    arm: str
    customers: int
    exposed: int
    retained: float
    orders: float
    revenue: float
    net: float
    retained_before: float
    revenue_before: float


@dataclass(frozen=True)
class Reading:
    """An arm against the control.

    ``effects`` are adjusted by what was known before, as far as anything was; ``plain`` are not. ``kept`` is the
    difference in customers retained, over all who were assigned the arm; ``gained`` the difference in net margin.
    ``spent`` is what coupons and messages cost, and ``cost_per_kept`` that for each customer kept, None where none was.
    """

    arm: str
    customers: int
    controls: int
    effects: tuple[Effect, ...]
    plain: tuple[Effect, ...]
    order_value: Effect | None
    kept: Span
    gained: Span
    spent: float
    cost_per_kept: Span | None

    def effect(self, outcome: str) -> Effect:
        return next(one for one in self.effects if one.outcome == outcome)


@dataclass(frozen=True)
class Readout:
    """One trial read on data complete up to ``complete_to``.

    ``status`` says what may be claimed: nothing ever (``described``: chance had no part), nothing yet (``too_early``),
    nothing because a check failed (``refused``), or what ``readings`` say (``measured``): first all arms together, then
    arm by arm, with intervals that hold for all arms at once. ``claim`` is the result in one sentence.
    """

    campaign_id: str
    cutoff: date
    days: int
    planned_at: datetime
    stopped_at: datetime | None
    imported: bool
    complete_to: date
    currency: str
    status: Status
    claim: str
    checks: tuple[Check, ...]
    groups: tuple[Group, ...]
    readings: tuple[Reading, ...] = ()
    placebos: tuple[Placebo, ...] = ()
    looks: tuple[Look, ...] = ()

    @property
    def final(self) -> bool:
        """Whether the whole window lies within complete data, so that a later reading changes nothing."""
        return self.cutoff + timedelta(days=self.days) <= self.complete_to

    @property
    def harmful(self) -> tuple[str, ...]:
        """The arms whose customers have surely ordered less, on the terms of looking every day."""
        return tuple(dict.fromkeys(look.arm for look in self.looks if look.harms))

    def reading(self, arm: str) -> Reading:
        return next(one for one in self.readings if one.arm == arm)


def read_out(
    trial: Trial,
    results: pd.DataFrame,
    *,
    complete_to: date,
    currency: str,
    elsewhere: pd.DataFrame,
    others: pd.DataFrame | None = None,
) -> Readout:
    """Read the trial from its ``results`` (``Trial.results``).

    ``elsewhere`` are other campaigns' contacts meanwhile (campaign_id, customer_id). ``others`` are the outcomes of
    customers who were not assigned, for a campaign without a control: shown beside it, never compared with it.
    """
    groups = {arm: rows for arm in trial.arms if len(rows := results[results["arm"] == arm])}
    control = results[results["arm"] == CONTROL]
    beside = {CONTROL: control} if len(control) else {} if others is None else {NOT_CHOSEN: others}
    early, seen, readings = guards.maturity(trial, complete_to), [], []
    checks = [guards.chance(trial)]
    if trial.randomised:
        placebos = guards.placebo(groups, control)
        checks += [guards.sample_ratio(results), guards.exposure(results), guards.contamination(results, elsewhere)]
        if not any(check.level is Level.STOP for check in checks):
            elapsed = min((complete_to - trial.cutoff).days, trial.days)
            seen = looks(groups, {arm: _open_to(control, trial, arm) for arm in groups}, elapsed, 1 - CONFIDENCE)
        if early.level is Level.WELL:
            checks += [guards.size(control, groups)]
    else:
        alike = {arm: rows.assign(propensity=1.0) for arm, rows in groups.items()}
        placebos = [one for rows in beside.values() for one in guards.placebo(alike, rows.assign(propensity=1.0))]
    checks += [guards.alike_before(placebos), early]
    stops = [check for check in checks if check.level is Level.STOP]
    status: Status = "measured"
    if not trial.randomised:
        status = "described"
    elif stops:
        status = "too_early" if stops == [early] else "refused"
    else:
        readings = _readings(trial, groups, control)
    claim = _claim(readings, trial.days, currency) if readings else stops[0].text
    return Readout(
        campaign_id=trial.campaign_id,
        cutoff=trial.cutoff,
        days=trial.days,
        planned_at=trial.planned_at,
        stopped_at=trial.stopped_at,
        imported=trial.imported,
        complete_to=complete_to,
        currency=currency,
        status=status,
        claim=claim[0].upper() + claim[1:],
        checks=tuple(checks),
        groups=tuple(_group(arm, rows) for arm, rows in {**groups, **beside}.items()),
        readings=tuple(readings),
        placebos=tuple(placebos),
        looks=tuple(seen),
    )


def _open_to(rows: pd.DataFrame, trial: Trial, arm: str) -> pd.DataFrame:
    """Those of ``rows`` to whom chance might have given the arm; all of them where that was not logged."""
    place = list(trial.arms).index(arm)
    return rows[[not isinstance(each, list) or each[place] > 0 for each in rows["chances"]]]


def _readings(trial: Trial, groups: Mapping[str, pd.DataFrame], control: pd.DataFrame) -> list[Reading]:
    simultaneous = 1 - (1 - CONFIDENCE) / len(groups)
    found = [_reading(arm, rows, _open_to(control, trial, arm), simultaneous) for arm, rows in groups.items()]
    if len(groups) > 1 and control["propensity"].nunique() == 1:
        # Chance gives everybody some arm with the same probability, whichever the arm: nobody stands for more.
        treated = pd.concat(groups.values()).assign(propensity=1.0)
        found.insert(0, _reading(ALL_ARMS, treated, control.assign(propensity=1.0), CONFIDENCE))
    return found


def _reading(arm: str, treated: pd.DataFrame, control: pd.DataFrame, confidence: float) -> Reading:
    visits = any(one["visited"].any() for one in (treated, control))
    names = (*OUTCOMES, "visited") if visits else OUTCOMES
    adjusted = [compare(control, treated, name, ADJUSTED_BY, confidence) for name in names]
    plain = [compare(control, treated, name, confidence=confidence) for name in names]
    effects = {one.outcome: one for one in adjusted if one is not None}
    spent = float(treated["discount"].sum() + treated["contact_cost"].sum())
    kept = _times(len(treated), effects.get("retained"))
    return Reading(
        arm=arm,
        customers=len(treated),
        controls=len(control),
        effects=tuple(effects.values()),
        plain=tuple(one for one in plain if one is not None),
        order_value=ratio(control, treated, "revenue", "orders"),
        kept=kept,
        gained=_times(len(treated), effects.get("net")),
        spent=spent,
        cost_per_kept=_each(spent, kept),
    )


def _times(customers: int, effect: Effect | None) -> Span:
    if effect is None:
        return Span(0.0, None, None)
    return Span(customers * effect.difference, customers * effect.low, customers * effect.high)


def _each(spent: float, kept: Span) -> Span | None:
    """What each customer kept cost; without an upper bound where it may be that nobody was kept."""
    if kept.value <= 0 or kept.low is None or kept.high is None:
        return None
    return Span(spent / kept.value, spent / kept.high, spent / kept.low if kept.low > 0 else None)


def _group(arm: str, rows: pd.DataFrame) -> Group:
    def mean(name: str) -> float:
        return float(rows[name].mean())

    return Group(
        arm=arm,
        customers=len(rows),
        exposed=int(rows["exposed"].sum()),
        retained=mean("retained"),
        orders=mean("orders"),
        revenue=mean("revenue"),
        net=mean("net"),
        retained_before=mean("retained_before"),
        revenue_before=mean("revenue_before"),
    )


def _claim(readings: Sequence[Reading], days: int, currency: str) -> str:
    """All arms together in one sentence; each arm in its own where they cannot be put together."""
    if len(readings) == 1 or readings[0].arm == ALL_ARMS:
        return _told(readings[0], days, currency)
    return "; ".join(f"{one.arm}: {_told(one, days, currency)}" for one in readings)


def _told(reading: Reading, days: int, currency: str) -> str:
    retained, kept, gained = reading.effect("retained"), reading.kept, reading.gained
    points = (
        f"{100 * retained.difference:+.1f} points, {100 * retained.low:+.1f} to {100 * retained.high:+.1f} "
        f"at {100 * retained.confidence:.3g} %"
    )
    treated = f"{reading.customers:,} treated customers"
    if retained.low > 0:
        cost = f", at {reading.cost_per_kept.value:,.2f} {currency} each" if reading.cost_per_kept else ""
        told = f"kept {kept.value:,.0f} ({kept.low:,.0f} to {kept.high:,.0f}) of {treated} for {days} days{cost}"
    elif retained.high < 0:
        told = f"lost {-kept.value:,.0f} of {treated} who would have stayed: the campaign did harm"
    else:
        told = f"no effect on retention is shown among {treated}"
    money = f"net {gained.value:+,.0f} {currency}"
    if gained.low is not None and gained.high is not None:
        money += f" ({gained.low:+,.0f} to {gained.high:+,.0f})"
    return f"{told} ({points}); {money}"
