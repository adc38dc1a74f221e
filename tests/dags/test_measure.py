"""The DAG that reads what campaigns did, on the loop's own run and on one whose time is up."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd

from holdfast import wiring
from holdfast.campaign.assignment import draw
from holdfast.campaign.definition import CampaignRun
from holdfast.campaign.policy import Selection
from tests.dags.conftest import CUTOFF, Loop, run
from tests.fakes.operations import campaign

EARLIER = date.fromisoformat(CUTOFF) - timedelta(days=28)


def plan_nothing_for_everybody() -> str:
    """An earlier run, put straight into the log, that assigned every customer by hash and sent nothing to anybody."""
    one = campaign(name="nothing", offer=None, control_share=0.5)
    run_id = one.run_id(EARLIER)
    ids = sorted(wiring.lake().read("customers", ["customer_id"])["customer_id"].unique())
    drawn = draw(run_id, ids, 0.5, ["treatment"], np.array([[1.0]]))
    assigned = pd.DataFrame({"customer_id": ids, "arm": drawn.arm, "propensity": drawn.propensity}).assign(
        tier="high", probability=0.2, value=40.0, cost=Decimal(0)
    )
    at = datetime(EARLIER.year, EARLIER.month, EARLIER.day, 12, tzinfo=UTC)
    skipped = pd.DataFrame({"customer_id": [], "reason": []})
    with wiring.operations().planning() as tx:
        tx.add(CampaignRun(one, EARLIER, at, len(ids), len(ids)), Selection(assigned, skipped), [], [])
    return run_id


def test_runs_are_read_when_their_time_is_up_and_doing_nothing_achieves_nothing(loop: Loop) -> None:
    assert loop.stages["measure"].end.value("runs") == {"read": {"too_early": 1}, "stopped": []}
    assert "1 too early" in loop.stages["measure"].summary

    nothing = plan_nothing_for_everybody()
    done = run(loop, "measure")
    read = done.value("runs")["read"]
    assert (read["too_early"], read["measured"], done.value("runs")["stopped"]) == (1, 1, [])
    pages = [Path(place) for place in done.value("pages")]
    (page,) = [one for one in pages if one.name == f"{nothing}.html"]
    assert "No effect on retention is shown" in page.read_text()
    assert "win_back@2017-11-26" in pages[-1].read_text()

    again = run(loop, "measure")
    assert "measured" not in again.value("runs")["read"], "a final readout stays"
    assert again.value("pages") == done.value("pages")
    report = Path(run(loop, "report").value("write")).read_text()
    assert 'href="effect/programme.html"' in report
