"""The digest for whoever is on call: what needs a person stands first, and it goes to the channel for alerts."""

from datetime import date
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
from jinja2 import FileSystemLoader

from holdfast.campaign.funnel import Progress
from holdfast.campaign.rendering import environment, render
from holdfast.errors import ChannelUnavailableError, MissingDataError
from holdfast.pipelines.alert import Alerting
from tests.fakes.channel import FakeChannel
from tests.fakes.lake import FakeLake
from tests.fakes.operations import CUTOFF, NOON

RUN = f"win_back@{CUTOFF}"


class Runs:
    """Progress of one run whose messages are in these states."""

    def __init__(self, *states: str) -> None:
        self._states = states

    def runs(self, cutoff: date) -> list[str]:
        return [RUN] if self._states and cutoff.isoformat() == CUTOFF else []

    def of(self, _campaign_id: str) -> list[Progress]:
        treated = [
            Progress(str(i), "treatment", "email", state, told=False, opened=False, redeemed=False)
            for i, state in enumerate(self._states)
        ]
        return [*treated, Progress("c", "control", None, None, told=False, opened=False, redeemed=False)]


def alerting(project: Path, channel: FakeChannel | None, *states: str) -> Alerting:
    lake = FakeLake()
    rows = {"customer_id": ["1", "2", "3"], "tier": ["high", "low", "low"], "value_at_risk": [120.4, 1.0, 2.0]}
    lake.replace("scores", pd.DataFrame(rows).assign(cutoff=CUTOFF), where={})
    templates = environment(FileSystemLoader(project / "campaigns" / "templates"))
    return Alerting(lake, Runs(*states), partial(render, templates), channel, "A Shop", "USD")


def test_what_needs_a_person_stands_first(project: Path, channel: FakeChannel) -> None:
    states = ["sent"] * 5 + ["unknown"] * 2 + ["failed"]
    assert alerting(project, channel, *states).send(CUTOFF, NOON) == "A Shop, 2017-11-26: 2 things to look at"
    (digest,) = channel.delivered
    told = digest.text.splitlines()
    assert told[0] == "To look at:"
    assert told[1].startswith(f"  - {RUN}: 2 messages may or may not have been delivered")
    assert told[2].startswith(f"  - {RUN}: 1 messages were refused for good")
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


def test_a_cutoff_without_scores_has_no_digest(project: Path, channel: FakeChannel) -> None:
    with pytest.raises(MissingDataError, match="2017-11-27"):
        alerting(project, channel).send("2017-11-27", NOON)
