"""By the id of a campaign to its trial and outcomes, from the log and the lake."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy import Engine

from holdfast.adapters.operations.repository import OperationsDatabase
from holdfast.adapters.operations.trials import TrialDatabase
from holdfast.errors import CampaignError
from holdfast.pipelines.trials import Trials
from tests.fakes.channel import FakeChannel
from tests.fakes.lake import FakeLake
from tests.fakes.operations import CUTOFF, campaign, intervention, operations_engine, reachable, scores
from tests.fakes.shop import Line, tables
from tests.fakes.small_shop import RULES

STARTED = datetime(2017, 6, 4, 16, tzinfo=UTC)


def lake_of(*lines: Line) -> FakeLake:
    lake, shop = FakeLake(), tables(lines)
    for name in ("orders", "order_lines", "events"):
        lake.replace(name, getattr(shop, name), where={})
    return lake


def imported(lake: FakeLake, *rows: tuple[str, str, float | None]) -> None:
    """Land a campaign called spring with these customers, arms and propensities; the treated were written to."""
    lake.replace("past_campaigns", pd.DataFrame({"campaign_id": ["spring"], "started_at": [STARTED]}), where={})
    assigned = pd.DataFrame(rows, columns=["customer_id", "arm", "propensity"]).assign(campaign_id="spring")
    lake.replace("past_assignments", assigned, where={})
    lake.replace("past_deliveries", assigned[assigned["arm"] != "control"], where={})


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return operations_engine(tmp_path)


def trials(lake: FakeLake, engine: Engine) -> Trials:
    return Trials(lake, OperationsDatabase(engine), TrialDatabase(engine), RULES)


def test_a_planned_run_is_read_from_the_log_and_its_outcomes_from_the_lake(engine: Engine) -> None:
    reachable(engine, "ab")
    use_cases = intervention(engine, scores(("a", 0.7, "high", 40.0), ("b", 0.6, "high", 40.0)), FakeChannel())
    use_cases.plan(campaign())
    lake = lake_of(Line("a", "2017-11-20T12:00", amount=3), Line("a", "2017-11-27T12:00", amount=30))
    evidence = trials(lake, engine).evidence(f"win_back@{CUTOFF}")
    assert not evidence.trial.imported
    assert evidence.results["customer_id"].tolist() == ["a", "b"]
    assert evidence.results["probability"].tolist() == [0.7, 0.6]
    assert evidence.results["revenue"].tolist() == [30, 0]
    assert evidence.results["revenue_before"].tolist() == [3, 0]


def test_an_imported_campaign_is_a_trial_of_its_own_and_randomised_where_chance_is_told(engine: Engine) -> None:
    lake = lake_of(Line("b", "2017-06-05T12:00"), Line("b", "2017-06-20T12:00"))
    imported(lake, ("b", "women", 0.25), ("a", "men", 0.25), ("c", "control", 0.5))
    evidence = trials(lake, engine).evidence("spring", days=14)
    assert evidence.trial.randomised
    assert evidence.trial.arms == {"men": 0, "women": 0}
    assert evidence.results["orders"].tolist() == [0, 1, 0]
    assert evidence.results["exposed"].tolist() == [True, True, False]
    imported(lake, ("b", "women", None), ("c", "control", None))
    assert not trials(lake, engine).trial("spring").randomised


def test_a_name_that_nobody_knows_is_refused(engine: Engine) -> None:
    with pytest.raises(CampaignError, match="'autumn' was never planned"):
        trials(lake_of(), engine).trial("autumn")
