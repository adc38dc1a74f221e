"""From planned to sent, on real operations databases and a fake channel."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Barrier

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from holdfast.adapters.operations import database
from holdfast.adapters.operations.vault import SqlVault
from holdfast.campaign.assignment import uniforms
from holdfast.campaign.envelope import Envelope
from holdfast.campaign.outbox import LEASE, MAX_ATTEMPTS
from holdfast.errors import CampaignError, ChannelUnavailableError, SettingsError, TemporaryChannelError
from holdfast.pipelines.accounting import Account
from holdfast.pipelines.planning import Plan
from holdfast.rules import ChannelLimits, Outreach
from tests.fakes.channel import OUTCOMES, FakeChannel
from tests.fakes.faults import PowerCutError
from tests.fakes.hundred import HUNDRED, RUN, TREATED, hundred, rows
from tests.fakes.operations import (
    CUTOFF,
    KEYRING,
    NOON,
    Intervention,
    campaign,
    composer,
    contact,
    decide,
    intervention,
    operations_engine,
    reachable,
    scores,
)


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


def test_every_treated_customer_gets_one_message_with_the_own_code_and_nobody_else_gets_any(
    engine: Engine, use_case: Intervention, channel: FakeChannel
) -> None:
    send(use_case, use_case.plan(campaign(), CUTOFF, NOON))
    sent = {m.recipient: m.text.split()[-1] for m in channel.delivered}
    assert sent == {
        f"{customer}@shop.example": code for customer, code in rows(engine, "SELECT customer_id, code FROM offers")
    }
    assert len(channel.delivered) == len(TREATED)
    assert account(use_case)["sent"] == len(TREATED)


def test_marketing_carries_the_one_click_way_out_and_a_transactional_message_does_not(
    use_case: Intervention, channel: FakeChannel
) -> None:
    send(use_case, use_case.plan(campaign(), CUTOFF, NOON))
    assert all(message.way_out for message in channel.delivered)
    channel.delivered.clear()
    send(use_case, use_case.plan(campaign(name="recall", purpose="transactional"), CUTOFF, NOON))
    assert channel.delivered
    assert not any(message.way_out for message in channel.delivered)


def test_sending_again_sends_nothing_and_needs_no_server(use_case: Intervention, channel: FakeChannel) -> None:
    plan = use_case.plan(campaign(), CUTOFF, NOON)
    send(use_case, plan)
    channel.running = False
    done = [use_case.send(batch, lambda: NOON) for batch in use_case.batches([plan])]
    assert [one["sent"] for one in done] == [0, 0]
    assert len(channel.delivered) == len(TREATED)


def test_senders_of_the_same_batch_at_once_send_no_message_twice(url: str) -> None:
    class StartingTogether(FakeChannel):
        """Lets nobody send before all have messages to send."""

        together = Barrier(3)

        @contextmanager
        def connect(self) -> Iterator[FakeChannel]:
            self.together.wait(timeout=30)
            yield self

    channel = StartingTogether()
    reachable(database.connect(url), HUNDRED)
    use_cases = [intervention(database.connect(url), hundred(), channel, shards=1, at_once=5) for _ in range(3)]
    plan = use_cases[0].plan(campaign(), CUTOFF, NOON)
    (batch,) = use_cases[0].batches([plan])
    with ThreadPoolExecutor(3) as senders:
        done = list(senders.map(lambda one: one.send(batch, lambda: NOON), use_cases))
    assert sorted(channel.recipients) == sorted(f"{c}@shop.example" for c in TREATED)
    assert sum(one["sent"] for one in done) == len(TREATED)


def test_an_opt_out_between_plan_and_send_is_respected(
    engine: Engine, use_case: Intervention, channel: FakeChannel
) -> None:
    plan = use_case.plan(campaign(), CUTOFF, NOON)
    decide(engine, TREATED[:3], "withdrawn", NOON)
    send(use_case, plan)
    assert not {f"{c}@shop.example" for c in TREATED[:3]} & set(channel.recipients)
    after = account(use_case)
    assert (after["skipped_at_send"], after["sent"]) == (3, len(TREATED) - 3)
    assert after["offers"] == {"issued": len(TREATED) - 3, "void": 3}
    assert after["send_skips"] == {"no_consent": 3}


def test_an_opt_out_while_the_batch_is_being_sent_is_respected(
    engine: Engine, use_case: Intervention, channel: FakeChannel
) -> None:
    plan = use_case.plan(campaign(), CUTOFF, NOON)
    deliver = channel.send

    def withdraw_then_deliver(message: Envelope) -> None:
        if not channel.delivered:
            decide(engine, TREATED, "withdrawn", NOON)
        deliver(message)

    channel.send = withdraw_then_deliver
    send(use_case, plan)
    assert len(channel.delivered) == 1


def test_an_offer_that_has_ended_is_not_sent(use_case: Intervention, channel: FakeChannel) -> None:
    plan = use_case.plan(campaign(), CUTOFF, NOON)
    send(use_case, plan, at=NOON + timedelta(days=22))
    assert channel.delivered == []
    assert account(use_case)["skipped_at_send"] == len(TREATED)


def test_a_sender_that_dies_between_claim_and_mark_leaves_a_doubt_that_is_never_sent_again(
    use_case: Intervention, channel: FakeChannel
) -> None:
    plan = use_case.plan(campaign(), CUTOFF, NOON)
    deliver = channel.send

    def deliver_then_die(message: Envelope) -> None:
        deliver(message)
        raise PowerCutError

    channel.send = deliver_then_die
    with pytest.raises(PowerCutError):
        use_case.send(use_case.batches([plan])[0], lambda: NOON)
    channel.send = deliver
    send(use_case, plan, at=NOON + timedelta(minutes=1))
    assert (account(use_case)["waiting"], account(use_case)["unknown"]) == (1, 0)  # its sender might yet be alive
    send(use_case, plan, at=NOON + LEASE + timedelta(seconds=1))
    assert (account(use_case)["waiting"], account(use_case)["unknown"]) == (0, 1)
    assert max(Counter(channel.recipients).values()) == 1
    assert len(channel.delivered) == len(TREATED)


def test_an_error_before_the_message_leaves_gives_the_claim_back(engine: Engine, channel: FakeChannel) -> None:
    good = intervention(engine, hundred(), channel)
    plan = good.plan(campaign(), CUTOFF, NOON)
    broken = intervention(engine, hundred(), channel, composer=composer({"m/body.en.txt.j2": "{{ nobody }}"}))
    with pytest.raises(CampaignError, match="nobody"):
        broken.send(broken.batches([plan])[0], lambda: NOON)
    send(good, plan)
    assert account(good)["sent"] == len(TREATED)


def test_a_message_that_its_own_customer_makes_impossible_fails_and_holds_nobody_up(
    engine: Engine, channel: FakeChannel
) -> None:
    contact(engine, TREATED[0], email=f"{TREATED[0]}@shop.example", given_name="Anna\nBcc: all@shop.example")
    greeting = composer({"m/subject.en.txt.j2": "For {{ given_name or 'you' }}"})
    use_case = intervention(engine, hundred(), channel, composer=greeting)
    send(use_case, use_case.plan(campaign(), CUTOFF, NOON))
    after = account(use_case)
    assert (after["sent"], after["failed"], after["waiting"]) == (len(TREATED) - 1, 1, 0)
    assert after["offers"] == {"issued": len(TREATED) - 1, "void": 1}
    [(customer, told)] = rows(engine, "SELECT customer_id, detail FROM outbox WHERE state = 'failed'")
    assert customer == TREATED[0]
    assert "must be one line of text" in told
    assert "Anna" not in told, "names belong in the vault alone"


@pytest.mark.parametrize("own_id", ["K 4711", "Müller-7", "a, b; c"])
def test_a_channel_that_knows_customers_by_the_shops_own_id_takes_any_id(
    url: str, channel: FakeChannel, own_id: str
) -> None:
    engine = database.connect(url)
    SqlVault(engine, KEYRING).identify({TREATED[0]: own_id})
    message = {"channel": "care_desk", "template": "m"}
    ticket = campaign(message=message, control_share=0.0001, purpose="transactional")
    table = scores((TREATED[0], 0.6, "high", 9.0)).assign(reasons="[]")
    use_case = intervention(engine, table, channel, channels={"care_desk": channel})
    plan = use_case.plan(ticket, CUTOFF, NOON)
    for batch in use_case.batches([plan], "care_desk"):
        use_case.send(batch, lambda: NOON)
    assert channel.recipients == [own_id]


def test_a_message_that_cannot_be_made_ready_is_given_back_before_it_is_claimed(
    engine: Engine, use_case: Intervention, channel: FakeChannel
) -> None:
    plan, ready = use_case.plan(campaign(), CUTOFF, NOON), channel.prepare

    def broken(message: Envelope) -> Callable[[], None]:
        if len(channel.delivered) == 2:
            raise SettingsError("the key cannot sign")
        return ready(message)

    channel.prepare = broken
    with pytest.raises(SettingsError, match="cannot sign"):
        use_case.send(use_case.batches([plan])[0], lambda: NOON)
    assert rows(engine, "SELECT state, sum(attempts) FROM outbox GROUP BY state ORDER BY state") == [
        ("planned", 0),
        ("sent", 2),
    ]
    channel.prepare = ready
    send(use_case, plan)
    assert account(use_case)["sent"] == len(TREATED)


def test_a_server_that_is_down_costs_no_message_an_attempt(
    engine: Engine, use_case: Intervention, channel: FakeChannel
) -> None:
    plan = use_case.plan(campaign(), CUTOFF, NOON)
    channel.running = False
    with pytest.raises(ChannelUnavailableError):
        use_case.send(use_case.batches([plan])[0], lambda: NOON)
    assert rows(engine, "SELECT DISTINCT state, attempts FROM outbox") == [("planned", 0)]


def story(url: str, words: dict[str, str]) -> tuple[Intervention, FakeChannel, Engine]:
    """The hundred customers, some with an address that decides what the server does."""
    engine, channel = database.connect(url), FakeChannel()
    reachable(engine, HUNDRED, emails={c: f"{word}.{c}@shop.example" for c, word in words.items()})
    return intervention(engine, hundred(), channel, shards=1), channel, engine


def test_each_outcome_ends_in_its_own_state(url: str) -> None:
    use_case, channel, engine = story(url, dict(zip(TREATED, ["later", "never", "lost"], strict=False)))
    plan = use_case.plan(campaign(), CUTOFF, NOON)
    with pytest.raises(TemporaryChannelError, match=r"1 messages were refused for now and stay planned"):
        use_case.send(use_case.batches([plan])[0], lambda: NOON)
    after = account(use_case)
    assert (after["waiting"], after["failed"], after["unknown"]) == (1, 1, 1)
    assert after["sent"] == len(channel.delivered) == len(TREATED) - 3
    assert after["offers"] == {"issued": len(TREATED) - 1, "void": 1}
    assert all("shop.example" not in (detail or "") for (detail,) in rows(engine, "SELECT detail FROM outbox"))


def test_a_message_refused_for_now_is_tried_once_a_call_and_fails_at_the_limit(url: str) -> None:
    use_case, channel, engine = story(url, {TREATED[0]: "later"})
    plan = use_case.plan(campaign(), CUTOFF, NOON)
    attempts = []
    for later in range(MAX_ATTEMPTS + 1):
        send(use_case, plan, at=NOON + later * timedelta(days=1))
        attempts += rows(engine, f"SELECT state, attempts FROM outbox WHERE customer_id = '{TREATED[0]}'")  # noqa: S608
    assert attempts == [*(("planned", n) for n in range(1, MAX_ATTEMPTS)), *[("failed", MAX_ATTEMPTS)] * 2]
    assert len(channel.delivered) == len(TREATED) - 1


def test_when_the_server_goes_the_rest_is_left_untouched(url: str) -> None:
    use_case, channel, engine = story(url, {TREATED[1]: "gone"})
    plan = use_case.plan(campaign(), CUTOFF, NOON)
    in_outbox = [customer for (customer,) in rows(engine, "SELECT customer_id FROM outbox ORDER BY id")]
    before_it = in_outbox.index(TREATED[1])
    with pytest.raises(ChannelUnavailableError):
        use_case.send(use_case.batches([plan])[0], lambda: NOON)
    assert len(channel.delivered) == before_it
    assert rows(engine, "SELECT sum(attempts) FROM outbox") == [(before_it,)]
    assert account(use_case)["waiting"] == len(TREATED) - before_it


def test_while_the_channel_is_down_a_message_waits_however_often_it_is_tried(url: str) -> None:
    use_case, _, engine = story(url, {TREATED[0]: "gone"})
    plan = use_case.plan(campaign(), CUTOFF, NOON)
    for later in range(2 * MAX_ATTEMPTS):
        send(use_case, plan, at=NOON + later * timedelta(days=1))
        assert rows(engine, "SELECT DISTINCT attempts FROM outbox WHERE state = 'planned'") == [(0,)]
    after = account(use_case)
    assert (after["waiting"], after["failed"], after["sent"]) == (1, 0, len(TREATED) - 1)
    assert after["offers"] == {"issued": len(TREATED)}


def test_a_channel_that_rests_is_not_taken_for_mended_when_nothing_was_sent(
    engine: Engine, use_case: Intervention, channel: FakeChannel
) -> None:
    [batch, *_] = use_case.batches([use_case.plan(campaign(), CUTOFF, NOON)])
    channel.running = False
    for second in range(5):
        with pytest.raises(ChannelUnavailableError):
            use_case.send(batch, lambda: NOON + timedelta(seconds=second))  # noqa: B023  (called at once)
    channel.running = True

    def opting_out(message: Envelope) -> Callable[[], None]:
        decide(engine, TREATED, "withdrawn", NOON)
        return lambda: channel.send(message)

    channel.prepare = opting_out
    use_case.send(batch, lambda: NOON + timedelta(minutes=5))
    assert channel.delivered == []
    assert rows(engine, "SELECT failures FROM channels") == [(5,)]


def test_a_message_that_may_not_leave_costs_nothing_of_the_rate_limit(engine: Engine, channel: FakeChannel) -> None:
    limits = {"email": ChannelLimits(per_minute=60, burst=10)}
    limited = {"outreach": Outreach(limits=limits), "shards": 1, "at_once": 10}
    use_case = intervention(engine, hundred(), channel, **limited)
    [batch] = use_case.batches([use_case.plan(campaign(), CUTOFF, NOON)])
    in_outbox = [customer for (customer,) in rows(engine, "SELECT customer_id FROM outbox ORDER BY id")]
    decide(engine, in_outbox[:35], "withdrawn", NOON)
    with pytest.raises(RestedError):
        use_case.sending.send(batch, lambda: NOON, rest)
    assert len(channel.delivered) == 10, "the whole burst, whoever was skipped before"


class RestedError(Exception):
    """The sender would wait for the rate limit."""


def rest(_: float) -> None:
    raise RestedError


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
        engine, channel = operations_engine(Path(folder)), FakeChannel()
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
        ids = [str(i) for i in range(len(people))]
        control = {c for c, number in zip(ids, uniforms(RUN, ids), strict=True) if number < share}
        reached = [m.recipient.partition("@")[0].partition(".")[2] for m in channel.delivered]
        assert after["audience"] == sum(after["skipped"].values()) + after["control"] + after["treated"]
        assert after["planned"] == after["treated"] == sum(after["offers"].values())
        assert after["planned"] == sum(
            after[state] for state in ("sent", "failed", "unknown", "skipped_at_send", "waiting")
        )
        assert after["sent"] == len(reached) == len(set(reached)) <= contacts
        assert not set(reached) & control
        assert not set(reached) & {str(i) for i in opt_outs}
        assert all(people[int(c)][3] == "given" and people[int(c)][0] != "low" for c in reached)
