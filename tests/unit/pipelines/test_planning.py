"""From scores to a plan, on real operations databases."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
from sqlalchemy import Engine

from holdfast.adapters.operations import database
from holdfast.campaign.assignment import uniforms
from holdfast.errors import CampaignError, MissingDataError
from holdfast.pipelines.planning import Plan, refuse_nobody
from holdfast.rules import Holdout, Outreach, QuietHours
from tests.fakes.channel import FakeChannel
from tests.fakes.hundred import HUNDRED, RUN, TREATED, hundred, rows
from tests.fakes.operations import (
    CUTOFF,
    NOON,
    Intervention,
    campaign,
    composer,
    decide,
    intervention,
    reachable,
    scores,
)


def test_an_expected_cost_with_a_fraction_of_a_hundredth_of_a_cent_can_be_planned(use_case: Intervention) -> None:
    offer = {"kind": "amount", "amount": "4.99", "minimum_basket": "25", "valid_days": 14, "assumed_redemption": 0.125}
    planned = use_case.plan(campaign(offer=offer, cost_per_contact="0"))
    assert planned["expected_cost"] == pytest.approx(0.6238 * planned["treated"])


def send(use_case: Intervention, planned: Plan, at: datetime = NOON) -> None:
    for batch in use_case.batches([planned]):
        use_case.send(batch, lambda: at)


def test_a_plan_counts_everyone_once(use_case: Intervention) -> None:
    plan = use_case.plan(campaign(), CUTOFF, NOON)
    assert plan == {
        "campaign_id": RUN,
        "scored": 100,
        "audience": 100,
        "skipped": {},
        "control": 100 - len(TREATED),
        "treated": len(TREATED),
        "arms": {"treatment": len(TREATED)},
        "planned": len(TREATED),
        "expected_cost": 5.0 * len(TREATED),
        "chosen_by": "value_at_risk",
        "passed_over": None,
    }


def test_each_skip_is_stored_with_its_first_reason(url: str, channel: FakeChannel) -> None:
    engine = database.connect(url)
    reachable(engine, ["no", "yes", "poor", "list"], emails={"list": "a@shop.example, b@shop.example"})
    decide(engine, ["no"], "withdrawn", NOON)
    table = scores(
        ("unknown", 0.9, "high", 90.0),
        ("no", 0.8, "high", 90.0),
        ("list", 0.7, "high", 90.0),
        ("yes", 0.6, "medium", 90.0),
        ("poor", 0.5, "medium", 10.0),
        ("safe", 0.1, "low", 90.0),
    )
    plan = intervention(engine, table, channel).plan(campaign(budget={"money": 99, "contacts": 1}), CUTOFF, NOON)
    assert rows(engine, "SELECT customer_id, reason FROM skips ORDER BY customer_id") == [
        ("list", "no_contact"),
        ("no", "no_consent"),
        ("poor", "budget"),
        ("unknown", "no_contact"),
    ]
    assert (plan["scored"], plan["audience"], plan["control"] + plan["treated"]) == (6, 5, 1)


def test_planning_again_changes_nothing_and_reads_the_same_codes_back(engine: Engine, use_case: Intervention) -> None:
    first = use_case.plan(campaign(), CUTOFF, NOON)
    codes = rows(engine, "SELECT customer_id, code FROM offers ORDER BY customer_id")
    assert use_case.plan(campaign(), CUTOFF, NOON + timedelta(days=1)) == first
    assert rows(engine, "SELECT customer_id, code FROM offers ORDER BY customer_id") == codes
    assert len({code for _, code in codes}) == len(TREATED)


def test_planners_at_once_make_one_set_of_assignments_coupons_and_messages(url: str) -> None:
    reachable(database.connect(url), HUNDRED)

    def plan(_: int) -> Plan:
        return intervention(database.connect(url), hundred(), FakeChannel()).plan(campaign(), CUTOFF, NOON)

    with ThreadPoolExecutor(4) as planners:
        plans = list(planners.map(plan, range(4)))
    assert all(one == plans[0] for one in plans)
    for table, count in (("campaigns", 1), ("assignments", 100), ("offers", len(TREATED)), ("outbox", len(TREATED))):
        assert rows(database.connect(url), f"SELECT count(*) FROM {table}") == [(count,)]  # noqa: S608  (names above)


def test_a_planned_run_does_not_follow_a_changed_definition(use_case: Intervention) -> None:
    use_case.plan(campaign(), CUTOFF, NOON)
    with pytest.raises(CampaignError, match="win_back@2017-11-26 was planned on 2017-11-26 17:00 UTC by another"):
        use_case.plan(campaign(control_share=0.1), CUTOFF, NOON)


def test_the_frequency_cap_holds_over_campaigns_and_ends_with_its_window(use_case: Intervention) -> None:
    send(use_case, use_case.plan(campaign(), CUTOFF, NOON))
    second = use_case.plan(campaign(name="second"), CUTOFF, NOON + timedelta(days=13))
    send(use_case, second, NOON + timedelta(days=13))
    third = use_case.plan(campaign(name="third"), CUTOFF, NOON + timedelta(days=30))
    assert second["skipped"] == {"frequency_cap": len(TREATED)}
    assert second["audience"] == 100
    assert third["skipped"] == {}


def test_a_broken_template_is_found_before_anything_is_written(engine: Engine, channel: FakeChannel) -> None:
    broken = composer({"m/body.en.txt.j2": "{{ given_name.upper() }}"})
    with pytest.raises(CampaignError, match=r"m/body\.en\.txt"):
        intervention(engine, hundred(), channel, composer=broken).plan(campaign(), CUTOFF, NOON)
    assert rows(engine, "SELECT count(*) FROM campaigns") == [(0,)]


def test_a_score_that_is_no_number_is_refused_by_customer(engine: Engine, channel: FakeChannel) -> None:
    table = scores(("7", 0.9, "high", float("nan")), ("8", 0.9, "high", 1.0))
    with pytest.raises(CampaignError, match=r"1 scores of cutoff 2017-11-26 .* customer 7"):
        intervention(engine, table, channel).plan(campaign(), CUTOFF, NOON)


def test_a_cutoff_that_is_not_scored_is_refused_and_can_be_planned_once_it_is(
    engine: Engine, use_case: Intervention
) -> None:
    with pytest.raises(MissingDataError, match="as of 2017-11-19"):
        use_case.plan(campaign(), "2017-11-19", NOON)
    assert rows(engine, "SELECT count(*) FROM campaigns") == [(0,)]


# The campaign's days

DAYS = {"first_day": "2017-11-27", "last_day": "2017-11-28"}
BEFORE, AFTER = NOON, datetime(2017, 11, 29, 5, tzinfo=UTC)  # midnight in New York


@pytest.mark.parametrize(
    ("at", "why"), [(BEFORE, "begins on 2017-11-27"), (AFTER, "over since 2017-11-29")], ids=["before", "after"]
)
def test_outside_its_days_a_campaign_plans_nobody_and_takes_no_code_of_a_pool(
    engine: Engine, use_case: Intervention, at: datetime, why: str
) -> None:
    offer = {"kind": "amount", "amount": 5, "minimum_basket": 25, "valid_days": 21, "codes": "spring"}
    with use_case.planning.operations.writing() as tx:
        tx.ledger.import_codes("spring", [f"SPRING-{i:03}" for i in range(100)], "anna", NOON)
    plan = use_case.plan(campaign(schedule=DAYS, offer=offer), CUTOFF, at)
    assert (plan["passed_over"], plan["audience"], plan["treated"]) == (why, 0, 0)
    for table in ("campaigns", "assignments", "skips", "offers", "outbox"):
        assert rows(engine, f"SELECT count(*) FROM {table}") == [(0,)]  # noqa: S608  (names above)
    with use_case.planning.operations.writing() as tx:
        assert len(tx.ledger.take_codes("spring", 100)) == 100


def test_of_a_plan_passed_over_there_is_nothing_to_send(use_case: Intervention) -> None:
    over = use_case.plan(campaign(name="autumn", schedule=DAYS), CUTOFF, AFTER)
    plan = use_case.plan(campaign(), CUTOFF, AFTER)
    assert {batch.campaign_id for batch in use_case.batches([over, plan])} == {RUN}


def test_a_run_planned_within_its_days_keeps_its_answer_once_they_are_over(use_case: Intervention) -> None:
    within = use_case.plan(campaign(schedule=DAYS), CUTOFF, AFTER - timedelta(seconds=1))
    assert within["treated"] == len(TREATED)
    assert use_case.plan(campaign(schedule=DAYS), CUTOFF, AFTER) == within


def test_a_campaign_that_is_over_needs_neither_scores_nor_template(
    engine: Engine, use_case: Intervention, channel: FakeChannel
) -> None:
    gone = campaign(schedule=DAYS, message={"channel": "email", "template": "thrown_away"})
    assert use_case.plan(gone, "2017-11-19", AFTER)["passed_over"] == "over since 2017-11-29"


def test_a_dry_run_shows_a_campaign_that_has_yet_to_begin_and_nobody_of_one_that_is_over(
    use_case: Intervention,
) -> None:
    early, late = (use_case.planning.preview(campaign(schedule=DAYS), CUTOFF, at, first=3) for at in (BEFORE, AFTER))
    assert (early.plan["passed_over"], early.plan["treated"]) == ("begins on 2017-11-27", len(TREATED))
    assert len(early.first) == 3
    assert (late.plan["passed_over"], late.plan["treated"], len(late.first)) == ("over since 2017-11-29", 0, 0)
    refuse_nobody(early)
    with pytest.raises(CampaignError, match=r"would treat nobody of the 0 .* \(over since 2017-11-29\)"):
        refuse_nobody(late)


# What a plan takes into account


def test_a_dry_run_tells_what_a_plan_would_do_and_writes_nothing(engine: Engine, use_case: Intervention) -> None:
    dry = use_case.planning.preview(campaign(assumed_effect=0.1), CUTOFF, NOON, first=3)
    assert rows(engine, "SELECT count(*) FROM campaigns") == [(0,)]
    assert rows(engine, "SELECT count(*) FROM outbox") == [(0,)]
    assert dry.plan == use_case.plan(campaign(assumed_effect=0.1), CUTOFF, NOON)
    assert dry.first["customer_id"].tolist() == TREATED[:3]
    at_risk = sum(0.6 * (200 - int(c)) for c in TREATED)
    assert dry.expected_saved == pytest.approx(0.1 * at_risk)
    assert dry.liability == 5 * len(TREATED)


def test_the_global_holdout_is_in_no_campaign(engine: Engine, channel: FakeChannel) -> None:
    held_out = [c for c, number in zip(HUNDRED, uniforms("programme", HUNDRED), strict=True) if number < 0.3]
    outreach = Outreach(holdout=Holdout(name="programme", share=0.3))
    plan = intervention(engine, hundred(), channel, outreach=outreach).plan(campaign(), CUTOFF, NOON)
    assert plan["skipped"] == {"holdout": len(held_out)}
    assert {c for (c,) in rows(engine, "SELECT customer_id FROM skips")} == set(held_out)


def test_a_message_planned_in_quiet_hours_is_due_when_they_end(engine: Engine, channel: FakeChannel) -> None:
    quiet = Outreach(quiet_hours=QuietHours(start="11:00", end="15:00"))  # noon in New York is within
    use_case = intervention(engine, hundred(), channel, outreach=quiet)
    plan = use_case.plan(campaign(), CUTOFF, NOON)
    send(use_case, plan, NOON + timedelta(hours=2, minutes=59))
    assert channel.delivered == []
    send(use_case, plan, NOON + timedelta(hours=3))
    assert len(channel.delivered) == len(TREATED)


def test_a_campaign_that_ends_within_its_quiet_hours_skips_with_that_reason(
    engine: Engine, channel: FakeChannel
) -> None:
    use_case = intervention(engine, hundred(), channel)
    plan = use_case.plan(campaign(schedule={"within_days": 1}), CUTOFF, NOON)
    late = intervention(
        engine, hundred(), channel, outreach=Outreach(quiet_hours=QuietHours(start="11:30", end="13:00"))
    )
    send(late, plan, NOON + timedelta(hours=23, minutes=45))
    [after] = use_case.account([RUN])
    assert after["send_skips"] == {"quiet_hours": len(TREATED)}


def test_an_audience_may_be_narrowed_by_persona_and_by_features(engine: Engine, channel: FakeChannel) -> None:
    table = hundred().assign(persona=["bargain hunter", "regular"] * 50)
    features = pd.DataFrame({"customer_id": HUNDRED, "days_since_order": [float(i) for i in range(100)]})

    class Store:
        def snapshot(self, _: object) -> pd.DataFrame:
            return features

    use_case = intervention(engine, table, channel, store=Store)
    where = {"of": "days_since_order", "at_least": 90}
    audience = {"tiers": ["high"], "personas": ["regular"], "where": where}
    assert use_case.plan(campaign(audience=audience), CUTOFF, NOON)["audience"] == 5
    typo = audience | {"where": {"of": "days_since_oder", "below": 3}}
    with pytest.raises(CampaignError, match=r"where: no feature is called .* did you mean 'days_since_order'"):
        use_case.plan(campaign(name="other", audience=typo), CUTOFF, NOON)


def test_a_persona_that_nobody_is_of_is_refused_by_id(engine: Engine, channel: FakeChannel) -> None:
    table = hundred().assign(persona="P1")
    meant = campaign(audience={"tiers": ["high"], "personas": ["P1", "P9"]})
    with pytest.raises(CampaignError, match=r"names the personas P9, but the scored customers are of P1"):
        intervention(engine, table, channel).plan(meant, CUTOFF, NOON)
    assert rows(engine, "SELECT count(*) FROM campaigns") == [(0,)]


def test_personas_that_no_score_has_are_told(use_case: Intervention) -> None:
    with pytest.raises(MissingDataError, match="names personas, but the scores"):
        use_case.plan(campaign(audience={"tiers": ["high"], "personas": ["regular"]}), CUTOFF, NOON)


def test_a_channel_that_the_shop_does_not_have_is_told_before_anything_is_written(
    engine: Engine, use_case: Intervention
) -> None:
    with pytest.raises(CampaignError, match=r"goes by channel 'emial'; did you mean 'email'"):
        use_case.plan(campaign(message={"channel": "emial", "template": "m"}), CUTOFF, NOON)
    assert rows(engine, "SELECT count(*) FROM campaigns") == [(0,)]


def test_coupons_may_come_from_a_pool_of_the_shops_own_codes(engine: Engine, use_case: Intervention) -> None:
    offer = {"kind": "amount", "amount": 5, "minimum_basket": 25, "valid_days": 21, "codes": "spring"}
    codes = [f"SPRING-{i:03}" for i in range(len(TREATED))]
    with pytest.raises(CampaignError, match=r"'spring' holds 0 free codes"):
        use_case.plan(campaign(offer=offer), CUTOFF, NOON)
    with use_case.planning.operations.writing() as tx:
        tx.ledger.import_codes("spring", codes, "anna", NOON)
    use_case.plan(campaign(offer=offer), CUTOFF, NOON)
    assert sorted(code for (code,) in rows(engine, "SELECT code FROM offers")) == codes
