"""Reading all runs: what is kept, what is read again, what is stopped for harm, and the programme by quarter."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy import Engine

from holdfast.adapters.operations.repository import OperationsDatabase
from holdfast.adapters.operations.trials import TrialDatabase
from holdfast.errors import CampaignError
from holdfast.pipelines.decisions import decisions
from holdfast.pipelines.measure import Measuring
from holdfast.pipelines.programme import HOLDOUTS, Programme
from holdfast.pipelines.readouts import READOUTS, latest
from holdfast.pipelines.trials import Trials
from holdfast.rules import Rules
from tests.fakes.channel import FakeChannel
from tests.fakes.lake import FakeLake
from tests.fakes.operations import (
    CUTOFF,
    NOON,
    Intervention,
    campaign,
    intervention,
    operations_engine,
    reachable,
    scores,
)
from tests.fakes.shop import Line, tables
from tests.fakes.small_shop import RULES

RUN = f"win_back@{CUTOFF}"
CUSTOMERS = [f"{i:03}" for i in range(400)]
DAY = date.fromisoformat(CUTOFF)
END = DAY + timedelta(days=14)  # of the small shop's horizon
LATER = datetime(2017, 12, 24, 9, tzinfo=UTC)


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    engine = operations_engine(tmp_path)
    reachable(engine, CUSTOMERS)
    return engine


@pytest.fixture
def planned(engine: Engine) -> Intervention:
    use_cases = intervention(engine, scores(*((one, 0.5, "high", 40.0) for one in CUSTOMERS)), FakeChannel())
    plan = use_cases.plan(campaign())
    for batch in use_cases.batches([plan]):
        use_cases.send(batch, lambda: NOON)
    return use_cases


def arms(engine: Engine) -> dict[str, str]:
    window = Trials(FakeLake(), OperationsDatabase(engine), TrialDatabase(engine), RULES).trial(RUN).window
    log = TrialDatabase(engine).assigned(RUN, window)
    return dict(zip(log["customer_id"], log["arm"], strict=True))


def shop(engine: Engine, orders: Callable[[str, int], bool]) -> FakeLake:
    """A lake in which every other customer ordered before, and after the cutoff who ``orders`` (arm, number)."""
    lines = [Line(one, "2017-11-20T12:00") for one in CUSTOMERS[::2]]
    given = arms(engine)
    for number, one in enumerate(CUSTOMERS):
        if orders(given.get(one, "held out"), number):
            lines.append(Line(one, f"2017-11-{27 + number % 4}T12:00", amount=20))
    lake, shop = FakeLake(), tables(lines)
    for name in ("orders", "order_lines", "events"):
        lake.replace(name, getattr(shop, name), where={})
    return lake


def measuring(lake: FakeLake, engine: Engine, complete_to: date = END, rules: Rules = RULES) -> Measuring:
    return Measuring(Trials(lake, OperationsDatabase(engine), TrialDatabase(engine), rules), complete_to)


def helps(arm: str, number: int) -> bool:
    return number % 10 < (7 if arm == "treatment" else 4)


def harms(arm: str, number: int) -> bool:
    return number % 10 < (2 if arm == "treatment" else 7)


def test_a_matured_run_is_read_once_and_kept(engine: Engine, planned: Intervention) -> None:
    lake = shop(engine, helps)
    assert measuring(lake, engine).measure(LATER) == {"read": {"measured": 1}, "stopped": []}
    (kept,) = latest(lake)
    assert kept.readings[0].effect("retained").difference == pytest.approx(0.3, abs=0.05)
    assert kept.claim.startswith("Kept ")
    assert measuring(lake, engine).measure(LATER) == {"read": {}, "stopped": []}
    assert measuring(lake, engine, END + timedelta(days=30)).measure(LATER)["read"] == {}
    assert len(lake.read(READOUTS)) == 1


def test_a_run_on_its_way_is_looked_at_each_day_and_the_day_again_replaces_itself(
    engine: Engine, planned: Intervention
) -> None:
    lake = shop(engine, helps)
    for day in (5, 6, 6):
        done = measuring(lake, engine, DAY + timedelta(days=day)).measure(LATER)
        assert done == {"read": {"too_early": 1}, "stopped": []}
    assert sorted(lake.read(READOUTS)["complete_to"]) == ["2017-12-01", "2017-12-02"]
    (kept,) = latest(lake)
    assert kept.looks[-1].day == 6


def test_a_run_that_surely_harms_is_stopped_once_with_an_entry_in_the_audit_log(
    engine: Engine, planned: Intervention
) -> None:
    lake = shop(engine, harms)
    early = measuring(lake, engine, DAY + timedelta(days=6))
    assert early.measure(LATER)["stopped"] == [RUN]
    assert early.measure(LATER)["stopped"] == []
    with OperationsDatabase(engine).reading() as tx:
        assert tx.run(RUN).stopped_at == LATER
        entries = [(one.action, one.subject) for one in tx.audited() if one.actor == "measure"]
    assert entries == [("campaign.stop", RUN), ("effect.harm", RUN)]
    measuring(lake, engine).measure(LATER)
    assert "did harm" in latest(lake)[0].claim


def test_the_audit_log_tells_the_arm_that_does_harm_though_another_is_read_after_it(engine: Engine) -> None:
    use_cases = intervention(engine, scores(*((one, 0.5, "high", 40.0) for one in CUSTOMERS)), FakeChannel())
    message = {"channel": "email", "template": "m"}
    arms = [{"name": name, "message": message, "cost_per_contact": "0"} for name in ("coupon", "reminder")]
    plan = use_cases.plan(campaign(arms=arms))
    for batch in use_cases.batches([plan]):
        use_cases.send(batch, lambda: NOON)
    lake = shop(engine, lambda arm, number: number % 10 < (1 if arm == "coupon" else 8))
    assert measuring(lake, engine, DAY + timedelta(days=6)).measure(LATER)["stopped"] == [RUN]
    with OperationsDatabase(engine).reading() as tx:
        [harm] = [one.details for one in tx.audited() if one.action == "effect.harm"]
    assert harm["arm"] == "coupon"
    assert harm["high"] < 0


def test_a_shop_may_leave_the_stopping_to_people(engine: Engine, planned: Intervention) -> None:
    rules = RULES.model_copy(update={"outreach": RULES.outreach.model_copy(update={"stop_for_harm": False})})
    early = measuring(shop(engine, harms), engine, DAY + timedelta(days=6), rules)
    assert early.measure(LATER)["stopped"] == []
    assert early.readout(RUN).harmful == ("treatment",)


def test_imported_history_is_read_with_the_rest_and_described(engine: Engine) -> None:
    lake = FakeLake()
    for name, rows in vars(tables([Line(one, "2017-11-20T12:00") for one in CUSTOMERS])).items():
        lake.replace(name, rows, where={})
    started = pd.DataFrame({"campaign_id": ["spring"], "started_at": [datetime(2017, 11, 26, 12, tzinfo=UTC)]})
    lake.replace("past_campaigns", started, where={})
    chosen = pd.DataFrame({"campaign_id": "spring", "customer_id": CUSTOMERS[:100], "arm": "mail", "propensity": None})
    lake.replace("past_assignments", chosen, where={})
    lake.replace("past_deliveries", chosen.assign(sent_at=started["started_at"][0]), where={})
    assert measuring(lake, engine).measure(LATER) == {"read": {"described": 1}, "stopped": []}
    (kept,) = latest(lake)
    assert [(one.arm, one.customers) for one in kept.groups] == [("mail", 100), ("not chosen", 300)]
    assert kept.readings == ()


def test_who_another_campaign_contacted_meanwhile_is_told(engine: Engine, planned: Intervention) -> None:
    plan = planned.plan(campaign(name="second", control_share=0.1), at=NOON + timedelta(days=20))
    assert plan["treated"] > 0
    for batch in planned.batches([plan]):
        planned.send(batch, lambda: NOON + timedelta(days=20))
    lake = shop(engine, helps)
    checks = {one.name: one.text for one in measuring(lake, engine, date(2018, 2, 1)).readout(RUN, 28).checks}
    assert "second@2017-11-26 contacted" in checks["contamination"]
    checks = {one.name: one.text for one in measuring(lake, engine, date(2018, 2, 1)).readout(RUN, 14).checks}
    assert checks["contamination"] == "no other campaign contacted these customers meanwhile"


def test_the_decision_log_has_everybody_and_outcomes_once_they_are_known(engine: Engine, planned: Intervention) -> None:
    trials = measuring(shop(engine, helps), engine).trials
    early, late = (decisions(trials, [RUN], day) for day in (END - timedelta(days=1), END))
    assert early["customer_id"].tolist() == late["customer_id"].tolist() == CUSTOMERS
    assert (early["decision"] == "assigned").all()
    assert early["retained"].isna().all()
    assert late["retained"].sum() > 100
    assert (late["propensity"] == 0.5).all()
    with pytest.raises(CampaignError, match="never planned"):
        decisions(trials, ["autumn"], END)


def test_the_decision_log_says_why_somebody_was_passed_over(engine: Engine) -> None:
    use_cases = intervention(engine, scores(("000", 0.5, "high", 9.0), ("stranger", 0.5, "high", 9.0)), FakeChannel())
    use_cases.plan(campaign())
    found = decisions(measuring(shop(engine, helps), engine).trials, [RUN], END).set_index("customer_id")
    assert found["decision"].to_dict() == {"000": "assigned", "stranger": "skipped"}
    assert found.loc["stranger", "reason"] == "no_contact"


HELD = {"holdout": {"name": "2017Q4", "share": 0.5}}


def with_holdout(**outreach: object) -> Rules:
    return Rules.model_validate(RULES.model_dump() | {"outreach": outreach})


def programme(lake: FakeLake, engine: Engine, complete_to: date, rules: Rules) -> Programme:
    return Programme(measuring(lake, engine, rules=rules).trials, complete_to)


def scored(lake: FakeLake, *cutoffs: str) -> FakeLake:
    rows = [scores(*((one, 0.5, "high", 40.0) for one in CUSTOMERS), cutoff=one) for one in cutoffs]
    lake.replace("scores", pd.concat(rows), where={})
    return lake


def test_the_programme_is_read_quarter_by_quarter_from_the_holdout(engine: Engine) -> None:
    rules = with_holdout(**HELD)
    table = scores(*((one, 0.5, "high", 40.0) for one in CUSTOMERS))
    use_cases = intervention(engine, table, FakeChannel(), outreach=rules.outreach)
    plan = use_cases.plan(campaign(cost_per_contact="0.5"))
    for batch in use_cases.batches([plan]):
        use_cases.send(batch, lambda: NOON)
    lake = scored(shop(engine, helps), CUTOFF, "2017-12-10", "2018-01-07")
    (early,) = programme(lake, engine, date(2017, 12, 20), rules).measure()
    assert early.status == "too_early"
    assert early.campaign_id == "programme@2017Q4"
    (kept,) = programme(lake, engine, date(2017, 12, 31), rules).measure()
    assert kept.cutoff == DAY
    assert kept.days == 36
    groups = {group.arm: group for group in kept.groups}
    assert groups["programme"].exposed == plan["treated"]
    assert groups["control"].exposed == 0
    assert kept.status == "too_early"
    (kept,) = programme(lake, engine, date(2018, 1, 1), rules).measure()
    assert kept.status == "measured"
    assert kept.claim.startswith("Kept ")
    assert kept.readings[0].spent == pytest.approx(0.5 * plan["treated"])


def test_a_holdout_that_was_contacted_after_all_is_none(engine: Engine, planned: Intervention) -> None:
    lake = scored(shop(engine, helps), CUTOFF)
    (kept,) = programme(lake, engine, date(2018, 1, 1), with_holdout(**HELD)).measure()
    assert kept.status == "refused"
    assert "the control is none" in kept.claim


def test_a_holdout_that_changed_within_the_quarter_withheld_nobody_all_along(engine: Engine) -> None:
    lake = scored(FakeLake(), CUTOFF)
    other = with_holdout(holdout={"name": "another", "share": 0.5})
    for name, rows in vars(tables([Line("000", "2017-11-20T12:00")])).items():
        lake.replace(name, rows, where={})
    assert len(programme(lake, engine, date(2017, 12, 1), with_holdout(**HELD)).measure()) == 1
    changed = programme(lake, engine, date(2017, 12, 2), other)
    assert changed.unread() == {
        "2017Q4": "the holdout changed within it (2017Q4 (0.5), another (0.5)), so that nobody was withheld all along"
    }
    assert changed.measure() == []
    assert sorted(lake.read(HOLDOUTS)["name"]) == ["2017Q4", "another"]


def test_without_a_holdout_there_is_no_programme_to_read(engine: Engine) -> None:
    without = programme(scored(FakeLake(), CUTOFF), engine, END, RULES)
    assert without.measure() == []
    assert without.unread() == {
        "2017Q4": "no global holdout was in force (outreach.holdout in the rules), so that nobody was withheld"
    }


def test_every_quarter_since_the_first_scores_is_read_or_says_why_not(engine: Engine) -> None:
    lake = scored(FakeLake(), "2017-02-05", "2017-11-26")
    told = programme(lake, engine, date(2017, 12, 1), with_holdout(**HELD)).unread()
    assert {quarter: why[:25] for quarter, why in told.items()} == {
        "2017Q1": "no global holdout was in ",
        "2017Q2": "nobody was scored in it",
        "2017Q3": "nobody was scored in it",
    }
    assert not lake.exists(HOLDOUTS)
    assert programme(FakeLake(), engine, date(2017, 12, 1), RULES).unread() == {"2017Q4": "nobody was scored in it"}
