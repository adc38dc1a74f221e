"""Power cuts at every commit, a worker that slept past its lease, planners at once: one treatment, one message."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from itertools import count

import pytest

from holdfast.adapters.operations import database
from holdfast.adapters.operations.repository import OperationsDatabase
from holdfast.campaign.envelope import Envelope
from holdfast.campaign.outbox import LEASE
from holdfast.errors import CampaignError
from tests.fakes.channel import FakeChannel
from tests.fakes.faults import PowerCut, PowerCutError
from tests.fakes.operations import (
    BACKENDS,
    CUTOFF,
    KEYRING,
    NOON,
    campaign,
    intervention,
    operations_url,
    reachable,
    scores,
)

RUN = f"win_back@{CUTOFF}"
LATER = NOON + LEASE + timedelta(seconds=1)


def people(size: int) -> list[str]:
    return [str(i) for i in range(size)]


def table(size: int):
    return scores(*((one, 0.6, "high", 50.0) for one in people(size)))


@pytest.mark.parametrize("backend", BACKENDS)
def test_after_a_power_cut_at_any_commit_of_plan_or_send_the_rest_is_sent_once_and_the_sums_hold(
    tmp_path, backend: str
) -> None:
    doubts = Counter()
    for boundary in count(1):
        folder = tmp_path / str(boundary)
        folder.mkdir()
        url = operations_url(folder, backend)
        engine, channel = database.connect(url), FakeChannel()
        reachable(engine, people(8))
        operations = OperationsDatabase(engine, KEYRING)
        dying = intervention(engine, table(8), channel, shards=1, operations=PowerCut(operations, boundary), at_once=3)
        survived = False
        with suppress(PowerCutError):
            dying.send(dying.batches([dying.plan(campaign(control_share=0.2))])[0], lambda: NOON)
            survived = True
        after = intervention(engine, table(8), channel, shards=1)
        plan = after.plan(campaign(control_share=0.2))
        [batch] = after.batches([plan])
        after.send(batch, lambda: LATER)
        [account] = after.account([RUN])
        engine.dispose()
        assert max(Counter(channel.recipients).values()) == 1
        assert account["sent"] + account["unknown"] == account["planned"] == plan["treated"] > 4
        assert account["unknown"] <= 1
        assert account["sent"] <= len(channel.delivered) <= account["planned"]
        doubts[account["unknown"]] += 1
        if survived:
            break
    assert boundary > 2 * account["planned"]  # every commit was cut, before and after
    assert doubts[1] > 0


def test_a_worker_that_slept_past_its_lease_writes_nothing_when_it_wakes(url: str) -> None:
    engine, channel = database.connect(url), FakeChannel()
    reachable(engine, people(20))
    sleeper = intervention(engine, table(20), channel, shards=1)
    plan = sleeper.plan(campaign(control_share=0.2))
    [batch] = sleeper.batches([plan])
    deliver, others = channel.send, []

    def sleep_on_the_fifth(envelope: Envelope) -> None:
        deliver(envelope)
        if len(channel.delivered) == 5 and not others:
            other = intervention(engine, table(20), channel, shards=1, worker="another")
            others.append(other)
            other.send(batch, lambda: LATER)

    channel.send = sleep_on_the_fifth
    done = sleeper.send(batch, lambda: NOON)  # its own clock stood still meanwhile
    [account] = sleeper.account([RUN])
    assert (done["sent"], done["lost"]) == (4, 1)
    assert (account["sent"], account["unknown"], account["waiting"]) == (plan["planned"] - 1, 1, 0)
    assert len(channel.delivered) == len(set(channel.recipients)) == plan["planned"]


def test_eight_planners_at_once_and_twenty_runs_treat_everyone_once(url: str) -> None:
    reachable(database.connect(url), people(100))
    channel = FakeChannel()

    def run(_: int) -> tuple[int, int]:
        mine = intervention(database.connect(url), table(100), channel)
        plans = [mine.plan(campaign(name=name)) for name in ("win_back", "second")]
        for batch in mine.batches(plans):
            mine.send(batch, lambda: NOON)
        return plans[0]["treated"], plans[1]["treated"]

    with ThreadPoolExecutor(8) as planners:
        results = set(planners.map(run, range(20)))
    assert len(results) == 1
    accounts = intervention(database.connect(url), table(100), channel).account([RUN, f"second@{CUTOFF}"])
    assert len(channel.delivered) == len(set(channel.recipients)) == sum(one["sent"] for one in accounts)
    assert all(one["planned"] == one["sent"] == one["offers"]["issued"] for one in accounts)


def test_a_campaign_that_nobody_planned_cannot_be_stopped(url: str) -> None:
    with (
        pytest.raises(CampaignError, match="was never planned"),
        OperationsDatabase(database.connect(url), KEYRING).writing() as tx,
    ):
        tx.stop("nothing@2017-11-26", "anna", NOON)
