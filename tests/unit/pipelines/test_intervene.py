"""From scores to messages, on a real operations database and a fake mail channel."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from email.message import EmailMessage
from email.utils import parseaddr
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Barrier

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jinja2 import DictLoader
from sqlalchemy import Engine, text

from holdfast.adapters.operations import database
from holdfast.campaign.assignment import Arm, arm
from holdfast.campaign.messages import environment
from holdfast.campaign.outbox import MAX_ATTEMPTS, STALE_AFTER
from holdfast.errors import CampaignError, ChannelUnavailableError, MissingDataError, TemporaryChannelError
from holdfast.pipelines.intervene import Account, Intervention, Plan
from tests.fakes.mail import OUTCOMES, FakeMailChannel
from tests.fakes.operations import (
    CUTOFF,
    NOON,
    campaign,
    decide,
    intervention,
    operations_engine,
    operations_url,
    reachable,
    scores,
)

RUN = f"win_back@{CUTOFF}"
HUNDRED = [str(i) for i in range(100)]
TREATED = [c for c in HUNDRED if arm(RUN, c, 0.5) is Arm.TREATMENT]


def hundred() -> pd.DataFrame:
    """A hundred high-risk customers, the first worth most."""
    return scores(*((c, 0.6, "high", 200.0 - int(c)) for c in HUNDRED))


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    engine = operations_engine(tmp_path)
    reachable(engine, HUNDRED)
    return engine


@pytest.fixture
def channel() -> FakeMailChannel:
    return FakeMailChannel()


@pytest.fixture
def use_case(engine: Engine, channel: FakeMailChannel) -> Intervention:
    return intervention(engine, hundred(), channel)


def send(use_case: Intervention, planned: Plan, at: datetime = NOON) -> None:
    """Send every batch once; those that were refused for now stay for another time."""
    for batch in use_case.batches([planned]):
        try:
            use_case.send(batch, lambda: at)
        except TemporaryChannelError:
            continue


def account(use_case: Intervention) -> Account:
    (one,) = use_case.account([RUN])
    return one


def rows(engine: Engine, query: str) -> list[tuple]:
    with database.reading(engine) as connection:
        return [tuple(row) for row in connection.execute(text(query))]


# Planning


def test_a_plan_counts_everyone_once(use_case: Intervention) -> None:
    plan = use_case.plan(campaign(), CUTOFF, NOON)
    assert plan == {
        "campaign_id": RUN,
        "scored": 100,
        "audience": 100,
        "skipped": {},
        "control": 100 - len(TREATED),
        "treated": len(TREATED),
        "planned": len(TREATED),
        "expected_cost": 5.0 * len(TREATED),
    }


def test_each_skip_is_stored_with_its_first_reason(tmp_path: Path, channel: FakeMailChannel) -> None:
    engine = operations_engine(tmp_path)
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


def test_planners_at_once_make_one_set_of_assignments_coupons_and_messages(tmp_path: Path) -> None:
    url = operations_url(tmp_path)
    reachable(database.connect(url), HUNDRED)

    def plan(_: int) -> Plan:
        return intervention(database.connect(url), hundred(), FakeMailChannel()).plan(campaign(), CUTOFF, NOON)

    with ThreadPoolExecutor(4) as planners:
        plans = list(planners.map(plan, range(4)))
    assert all(one == plans[0] for one in plans)
    for table, count in (("campaigns", 1), ("assignments", 100), ("offers", len(TREATED)), ("outbox", len(TREATED))):
        assert rows(database.connect(url), f"SELECT count(*) FROM {table}") == [(count,)]  # noqa: S608  (names above)


def test_a_planned_run_does_not_follow_a_changed_definition(use_case: Intervention) -> None:
    use_case.plan(campaign(), CUTOFF, NOON)
    with pytest.raises(CampaignError, match="win_back@2017-11-26 was planned on 2017-11-26 17:00 UTC by another"):
        use_case.plan(campaign(control_share=0.1), CUTOFF, NOON)


def test_the_contact_cap_holds_over_campaigns_and_ends_with_its_window(use_case: Intervention) -> None:
    use_case.plan(campaign(), CUTOFF, NOON)
    second = use_case.plan(campaign(name="second"), CUTOFF, NOON + timedelta(days=13))
    third = use_case.plan(campaign(name="third"), CUTOFF, NOON + timedelta(days=30))
    assert second["skipped"] == {"contact_cap": len(TREATED)}
    assert second["audience"] == 100
    assert third["skipped"] == {}


def test_a_broken_template_is_found_before_anything_is_written(engine: Engine, channel: FakeMailChannel) -> None:
    templates = environment(DictLoader({"m.txt": "{{ given_name.upper() }}", "m.html": "x"}))
    with pytest.raises(CampaignError, match=r"m\.txt"):
        intervention(engine, hundred(), channel, templates=templates).plan(campaign(), CUTOFF, NOON)
    assert rows(engine, "SELECT count(*) FROM campaigns") == [(0,)]


def test_a_score_that_is_no_number_is_refused_by_customer(engine: Engine, channel: FakeMailChannel) -> None:
    table = scores(("7", 0.9, "high", float("nan")), ("8", 0.9, "high", 1.0))
    with pytest.raises(CampaignError, match=r"1 scores of cutoff 2017-11-26 .* customer 7"):
        intervention(engine, table, channel).plan(campaign(), CUTOFF, NOON)


def test_a_campaign_reaches_the_personas_it_names_and_no_other(engine: Engine, channel: FakeMailChannel) -> None:
    table = hundred().assign(persona=["P1" if int(one) < 40 else "P2" for one in HUNDRED])
    meant = campaign(audience={"tiers": ["high"], "personas": ["P1"]})
    assert intervention(engine, table, channel).plan(meant, CUTOFF, NOON)["audience"] == 40


def test_a_persona_that_nobody_is_of_is_refused_by_id(engine: Engine, channel: FakeMailChannel) -> None:
    table = hundred().assign(persona="P1")
    meant = campaign(audience={"tiers": ["high"], "personas": ["P1", "P9"]})
    with pytest.raises(CampaignError, match=r"names P9, but the scored customers are of P1"):
        intervention(engine, table, channel).plan(meant, CUTOFF, NOON)
    assert rows(engine, "SELECT count(*) FROM campaigns") == [(0,)]


def test_a_cutoff_that_is_not_scored_is_refused_and_can_be_planned_once_it_is(
    engine: Engine, use_case: Intervention
) -> None:
    with pytest.raises(MissingDataError, match="as of 2017-11-19"):
        use_case.plan(campaign(), "2017-11-19", NOON)
    assert rows(engine, "SELECT count(*) FROM campaigns") == [(0,)]


# Sending


def test_every_treated_customer_gets_one_message_with_the_own_code_and_nobody_else_gets_any(
    engine: Engine, use_case: Intervention, channel: FakeMailChannel
) -> None:
    send(use_case, use_case.plan(campaign(), CUTOFF, NOON))
    sent = {parseaddr(m["To"])[1]: m.get_body(("plain",)).get_content().split()[-1] for m in channel.delivered}
    assert sent == {
        f"{customer}@shop.example": code for customer, code in rows(engine, "SELECT customer_id, code FROM offers")
    }
    assert len(channel.delivered) == len(TREATED)
    assert account(use_case)["sent"] == len(TREATED)


def test_sending_again_sends_nothing_and_needs_no_server(use_case: Intervention, channel: FakeMailChannel) -> None:
    plan = use_case.plan(campaign(), CUTOFF, NOON)
    send(use_case, plan)
    channel.running = False
    done = [use_case.send(batch, lambda: NOON) for batch in use_case.batches([plan])]
    assert [one["sent"] for one in done] == [0, 0]
    assert len(channel.delivered) == len(TREATED)


def test_senders_of_the_same_batch_at_once_send_no_message_twice(tmp_path: Path) -> None:
    class StartingTogether(FakeMailChannel):
        """Lets nobody send before all have read which messages are planned."""

        together = Barrier(3)

        @contextmanager
        def connect(self) -> Iterator[FakeMailChannel]:
            self.together.wait(timeout=30)
            yield self

    url, channel = operations_url(tmp_path), StartingTogether()
    reachable(database.connect(url), HUNDRED)
    use_cases = [intervention(database.connect(url), hundred(), channel, shards=1) for _ in range(3)]
    plan = use_cases[0].plan(campaign(), CUTOFF, NOON)
    (batch,) = use_cases[0].batches([plan])
    with ThreadPoolExecutor(3) as senders:
        done = list(senders.map(lambda one: one.send(batch, lambda: NOON), use_cases))
    assert sorted(channel.recipients) == sorted(f"{c}@shop.example" for c in TREATED)
    assert sum(one["sent"] for one in done) == len(TREATED)


def test_an_opt_out_between_plan_and_send_is_respected(
    engine: Engine, use_case: Intervention, channel: FakeMailChannel
) -> None:
    plan = use_case.plan(campaign(), CUTOFF, NOON)
    decide(engine, TREATED[:3], "withdrawn", NOON)
    send(use_case, plan)
    assert not {f"{c}@shop.example" for c in TREATED[:3]} & set(channel.recipients)
    after = account(use_case)
    assert (after["skipped_at_send"], after["sent"]) == (3, len(TREATED) - 3)
    assert after["offers"] == {"issued": len(TREATED) - 3, "void": 3}
    assert rows(engine, "SELECT DISTINCT detail FROM outbox WHERE state = 'skipped'") == [
        ("consent to marketing by e-mail is withdrawn",)
    ]


def test_an_opt_out_while_the_batch_is_being_sent_is_respected(
    engine: Engine, use_case: Intervention, channel: FakeMailChannel
) -> None:
    plan = use_case.plan(campaign(), CUTOFF, NOON)
    deliver = channel.send

    def withdraw_then_deliver(message: EmailMessage) -> None:
        if not channel.delivered:
            decide(engine, TREATED, "withdrawn", NOON)
        deliver(message)

    channel.send = withdraw_then_deliver
    send(use_case, plan)
    assert len(channel.delivered) == 1


def test_an_offer_that_has_ended_is_not_sent(use_case: Intervention, channel: FakeMailChannel) -> None:
    plan = use_case.plan(campaign(), CUTOFF, NOON)
    send(use_case, plan, at=NOON + timedelta(days=22))
    assert channel.delivered == []
    assert account(use_case)["skipped_at_send"] == len(TREATED)


def test_a_sender_that_dies_between_claim_and_mark_leaves_a_doubt_that_is_never_sent_again(
    use_case: Intervention, channel: FakeMailChannel
) -> None:
    class PowerCutError(BaseException):
        pass

    plan = use_case.plan(campaign(), CUTOFF, NOON)
    deliver = channel.send

    def deliver_then_die(message: EmailMessage) -> None:
        deliver(message)
        raise PowerCutError

    channel.send = deliver_then_die
    with pytest.raises(PowerCutError):
        use_case.send(use_case.batches([plan])[0], lambda: NOON)
    channel.send = deliver
    send(use_case, plan, at=NOON + timedelta(minutes=1))
    assert (account(use_case)["waiting"], account(use_case)["unknown"]) == (1, 0)  # its sender might yet be alive
    send(use_case, plan, at=NOON + STALE_AFTER + timedelta(seconds=1))
    assert (account(use_case)["waiting"], account(use_case)["unknown"]) == (0, 1)
    assert max(Counter(channel.recipients).values()) == 1
    assert len(channel.delivered) == len(TREATED)


def test_an_error_before_the_message_leaves_gives_the_claim_back(engine: Engine, channel: FakeMailChannel) -> None:
    good = intervention(engine, hundred(), channel)
    plan = good.plan(campaign(), CUTOFF, NOON)
    broken = intervention(engine, hundred(), channel, templates=environment(DictLoader({})))
    with pytest.raises(CampaignError, match="does not exist"):
        broken.send(broken.batches([plan])[0], lambda: NOON)
    send(good, plan)
    assert account(good)["sent"] == len(TREATED)


def test_a_server_that_is_down_costs_no_message_an_attempt(
    engine: Engine, use_case: Intervention, channel: FakeMailChannel
) -> None:
    plan = use_case.plan(campaign(), CUTOFF, NOON)
    channel.running = False
    with pytest.raises(ChannelUnavailableError):
        use_case.send(use_case.batches([plan])[0], lambda: NOON)
    assert rows(engine, "SELECT DISTINCT state, attempts FROM outbox") == [("planned", 0)]


def story(folder: Path, words: dict[str, str]) -> tuple[Intervention, FakeMailChannel, Engine]:
    """The hundred customers, some with an address that decides what the server does."""
    engine, channel = operations_engine(folder), FakeMailChannel()
    reachable(engine, HUNDRED, emails={c: f"{word}.{c}@shop.example" for c, word in words.items()})
    return intervention(engine, hundred(), channel, shards=1), channel, engine


def test_each_outcome_ends_in_its_own_state(tmp_path: Path) -> None:
    use_case, channel, engine = story(tmp_path, dict(zip(TREATED, ["later", "never", "lost"], strict=False)))
    plan = use_case.plan(campaign(), CUTOFF, NOON)
    with pytest.raises(TemporaryChannelError, match=r"1 of .* stay planned"):
        use_case.send(use_case.batches([plan])[0], lambda: NOON)
    after = account(use_case)
    assert (after["waiting"], after["failed"], after["unknown"]) == (1, 1, 1)
    assert after["sent"] == len(channel.delivered) == len(TREATED) - 3
    assert after["offers"] == {"issued": len(TREATED) - 1, "void": 1}
    assert all("shop.example" not in (detail or "") for (detail,) in rows(engine, "SELECT detail FROM outbox"))


def test_a_message_refused_for_now_is_tried_once_a_call_and_fails_at_the_limit(tmp_path: Path) -> None:
    use_case, channel, engine = story(tmp_path, {TREATED[0]: "later"})
    plan = use_case.plan(campaign(), CUTOFF, NOON)
    attempts = []
    for _ in range(MAX_ATTEMPTS + 1):
        send(use_case, plan)
        attempts += rows(engine, f"SELECT state, attempts FROM outbox WHERE customer_id = '{TREATED[0]}'")  # noqa: S608
    assert attempts == [*(("planned", n) for n in range(1, MAX_ATTEMPTS)), *[("failed", MAX_ATTEMPTS)] * 2]
    assert len(channel.delivered) == len(TREATED) - 1


def test_when_the_server_goes_the_rest_is_left_untouched(tmp_path: Path) -> None:
    use_case, channel, engine = story(tmp_path, {TREATED[1]: "gone"})
    plan = use_case.plan(campaign(), CUTOFF, NOON)
    in_outbox = [customer for (customer,) in rows(engine, "SELECT customer_id FROM outbox ORDER BY id")]
    before_it = in_outbox.index(TREATED[1])
    with pytest.raises(ChannelUnavailableError):
        use_case.send(use_case.batches([plan])[0], lambda: NOON)
    assert len(channel.delivered) == before_it
    assert rows(engine, "SELECT sum(attempts) FROM outbox") == [(before_it + 1,)]
    assert account(use_case)["waiting"] == len(TREATED) - before_it


# Accounts


def test_a_run_that_was_never_planned_is_told(use_case: Intervention) -> None:
    with pytest.raises(CampaignError, match="'nothing@2017-11-26' was never planned"):
        use_case.account(["nothing@2017-11-26"])


def test_a_row_that_vanished_is_noticed(engine: Engine, use_case: Intervention) -> None:
    use_case.plan(campaign(), CUTOFF, NOON)
    with database.writing(engine) as connection:
        connection.execute(text("DELETE FROM outbox WHERE id = (SELECT min(id) FROM outbox)"))
    with pytest.raises(CampaignError, match="messages in all states"):
        account(use_case)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    people=st.lists(
        st.tuples(
            st.sampled_from(["high", "medium", "low"]),
            st.floats(0, 1),
            st.floats(0, 500),
            st.sampled_from(["given", "withdrawn", "never asked", "unknown"]),
            st.sampled_from(["fine", *OUTCOMES]),
        ),
        min_size=1,
        max_size=25,
    ),
    share=st.floats(0.05, 0.95),
    contacts=st.integers(0, 25),
    opt_outs=st.sets(st.integers(0, 24)),
    calls=st.integers(0, 3),
)
def test_whatever_happens_the_sums_are_exact_and_nobody_gets_what_they_should_not(
    people: list[tuple[str, float, float, str, str]], share: float, contacts: int, opt_outs: set[int], calls: int
) -> None:
    with TemporaryDirectory() as folder:
        engine, channel = operations_engine(Path(folder)), FakeMailChannel()
        known = {
            str(i): f"{word}.{i}@shop.example" for i, (*_, consent, word) in enumerate(people) if consent != "unknown"
        }
        asked = [c for c in known if people[int(c)][3] != "never asked"]
        reachable(engine, asked, known)
        decide(engine, [c for c in asked if people[int(c)][3] == "withdrawn"], "withdrawn", NOON)
        table = scores(*((str(i), p, tier, value) for i, (tier, p, value, *_) in enumerate(people)))
        use_case = intervention(engine, table, channel)
        plan = use_case.plan(
            campaign(control_share=share, budget={"money": 10_000, "contacts": contacts}), CUTOFF, NOON
        )
        decide(engine, [str(i) for i in opt_outs], "withdrawn", NOON + timedelta(hours=1))
        for _ in range(calls):
            send(use_case, plan)
        engine.dispose()
        after = account(use_case)
        control = {c for c in map(str, range(len(people))) if arm(RUN, c, share) is Arm.CONTROL}
        reached = [parseaddr(m["To"])[1].partition("@")[0].partition(".")[2] for m in channel.delivered]
        assert after["audience"] == sum(after["skipped"].values()) + after["control"] + after["treated"]
        assert after["planned"] == after["treated"] == sum(after["offers"].values())
        assert after["planned"] == sum(
            after[state] for state in ("sent", "failed", "unknown", "skipped_at_send", "waiting")
        )
        assert after["sent"] == len(reached) == len(set(reached)) <= contacts
        assert not set(reached) & control
        assert not set(reached) & {str(i) for i in opt_outs}
        assert all(people[int(c)][3] == "given" and people[int(c)][0] != "low" for c in reached)
