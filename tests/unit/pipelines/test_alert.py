"""The digest for whoever is on call: what needs a person stands first, and it goes to the channel for alerts."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
from jinja2 import FileSystemLoader

from holdfast.campaign.funnel import Attention, Progress
from holdfast.campaign.rendering import environment, render
from holdfast.errors import ChannelUnavailableError
from holdfast.pipelines.alert import Alerting
from tests.fakes.channel import FakeChannel
from tests.fakes.lake import FakeLake
from tests.fakes.operations import CUTOFF, NOON

RUN = f"win_back@{CUTOFF}"


class Runs:
    """Progress of one run whose messages are in these states, and what needs a person, of whatever run."""

    def __init__(self, states: Sequence[str], attention: Sequence[Attention]) -> None:
        self._states, self._attention = states, attention

    def attention(self, at: datetime, failed_since: datetime) -> list[Attention]:
        assert (at, failed_since) == (NOON, NOON - timedelta(days=2))
        return list(self._attention)

    def runs(self, cutoff: date) -> list[str]:
        return [RUN] if self._states and cutoff.isoformat() == CUTOFF else []

    def of(self, _campaign_id: str) -> list[Progress]:
        treated = [
            Progress(str(i), "treatment", "email", state, told=False, opened=False, redeemed=False)
            for i, state in enumerate(self._states)
        ]
        return [*treated, Progress("c", "control", None, None, told=False, opened=False, redeemed=False)]


def alerting(project: Path, channel: FakeChannel | None, *states: str, attention: Sequence[Attention] = ()) -> Alerting:
    lake = FakeLake()
    rows = {"customer_id": ["1", "2", "3"], "tier": ["high", "low", "low"], "value_at_risk": [120.4, 1.0, 2.0]}
    lake.replace("scores", pd.DataFrame(rows).assign(cutoff=CUTOFF), where={})
    templates = environment(FileSystemLoader(project / "campaigns" / "templates"))
    return Alerting(lake, Runs(states, attention), partial(render, templates), channel, "A Shop", "USD")


def test_what_needs_a_person_stands_first(project: Path, channel: FakeChannel) -> None:
    states = ["sent"] * 5 + ["unknown"] * 2 + ["failed"]
    one = alerting(project, channel, *states, attention=[Attention(RUN, in_doubt=2, failed=1, overdue=0)])
    assert one.send(CUTOFF, NOON) == "A Shop, 2017-11-26: 2 things to look at"
    (digest,) = channel.delivered
    told = digest.text.splitlines()
    assert told[0] == "To look at:"
    assert told[1].startswith(f"  - {RUN}: 2 messages may or may not have been delivered")
    assert told[2].startswith(f"  - {RUN}: 1 messages were refused for good in the last 2 days")
    assert "  high           1   120 USD at risk" in told
    assert f"  {RUN}: 1 failed, 5 sent, 2 unknown" in told
    assert (digest.channel, digest.way_out, dict(digest.data)) == ("alert", None, {"cutoff": CUTOFF})


def test_a_quiet_day_says_so(project: Path, channel: FakeChannel) -> None:
    assert alerting(project, channel, "sent").send(CUTOFF, NOON) == "A Shop, 2017-11-26: nothing needs you"
    assert "To look at" not in channel.delivered[0].text


def test_without_a_campaign_the_customers_at_risk_are_told_all_the_same(project: Path, channel: FakeChannel) -> None:
    alerting(project, channel).send(CUTOFF, NOON)
    assert "no campaign has run" in channel.delivered[0].text


def test_a_shop_without_a_channel_for_alerts_is_told_that_nobody_was(project: Path) -> None:
    assert "told to nobody" in alerting(project, None, "unknown").send(CUTOFF, NOON)


def test_a_channel_that_is_down_is_no_silence(project: Path, channel: FakeChannel) -> None:
    channel.running = False
    with pytest.raises(ChannelUnavailableError):
        alerting(project, channel, "unknown").send(CUTOFF, NOON)


def test_messages_of_earlier_runs_are_told_too(project: Path, channel: FakeChannel) -> None:
    earlier = [Attention("win_back@2017-11-12", in_doubt=1, failed=0, overdue=3)]
    assert alerting(project, channel, "sent", attention=earlier).send(CUTOFF, NOON).endswith("2 things to look at")
    told = channel.delivered[0].text.splitlines()
    assert told[1].startswith("  - win_back@2017-11-12: 1 messages may or may not have been delivered")
    assert told[2] == "  - win_back@2017-11-12: 3 messages still wait to be sent"


def test_a_morning_without_scores_has_a_digest_that_says_so_first(project: Path, channel: FakeChannel) -> None:
    one = alerting(project, channel, attention=[Attention(RUN, in_doubt=1, failed=0, overdue=0)])
    assert one.send("2017-11-27", NOON) == "A Shop, 2017-11-27: 2 things to look at"
    told = channel.delivered[0].text.splitlines()
    assert told[1] == "  - nobody is scored as of 2017-11-27: look at the DAGs features and score"
    assert told[2].startswith(f"  - {RUN}: 1 messages may or may not")
    assert "  nobody is scored" in told


def test_a_shop_that_has_never_scored_has_a_digest(project: Path, channel: FakeChannel) -> None:
    one = replace(alerting(project, channel), lake=FakeLake())
    assert one.send(CUTOFF, NOON) == "A Shop, 2017-11-26: 1 thing to look at"
