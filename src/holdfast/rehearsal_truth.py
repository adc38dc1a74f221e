"""What a rehearsal's customers would have done, kept where the product never looks, and what was done beside it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from holdfast.adapters.simulated_files import write_parts
from holdfast.campaign.definition import CONTROL, Campaign
from holdfast.campaign.eligibility import Reason
from holdfast.effect.readout import Readout
from holdfast.effect.rivals import Treatable, Valued, valued
from holdfast.pipelines.learn import chances_of
from holdfast.pipelines.planning import known_run
from holdfast.pipelines.rehearse_campaign import treatment_of
from holdfast.simulator.comparison import Compared, true_effect
from holdfast.simulator.lives import Treatment
from holdfast.simulator.rows import customer_ids
from holdfast.simulator.shop import SimulatedShop

DRAWS = 16
"""Over how many other draws of chance the oracle's expectations are means."""

_PASSED_OVER = (Reason.BUDGET, Reason.NOT_CHOSEN, Reason.DO_NOT_DISTURB)


def truth_file(home: Path, campaign_id: str) -> Path:
    """Where a rehearsal keeps a run's truth; the product never reads it."""
    return home / "truth" / f"simulated_{campaign_id}.parquet"


def keep(shop: SimulatedShop, home: Path, campaign: Campaign, cutoff: date, horizon: int) -> None:
    """Write what every customer would do within the horizon of days without and with each arm.

    Columns: customer_id, response_type, ``retained_`` and ``net_`` of ``none`` and of each arm, and ``expected_ARM``,
    what the arm changes of the net margin on average over ``DRAWS`` other draws of chance.
    """
    everyone = np.arange(shop.customers)

    def net(treatment: Treatment | None, cost: float, chance: int) -> tuple[np.ndarray, np.ndarray]:
        told = shop.outcome(treatment, everyone, horizon, chance=chance)
        return told.retained.astype(float), told.net(shop.config.basket.margin, cost)

    arms = {arm.name: (treatment_of(arm), float(arm.cost_per_contact)) for arm in campaign.arms}
    columns = {"customer_id": customer_ids(everyone), "response_type": pa.array(shop.who.kind)}
    for name, (treatment, cost) in {"none": (None, 0.0), **arms}.items():
        retained, kept = net(treatment, cost, 0)
        columns |= {f"retained_{name}": pa.array(retained), f"net_{name}": pa.array(kept)}
    changes = {name: np.zeros(shop.customers) for name in arms}
    for chance in range(1, DRAWS + 1):
        _, base = net(None, 0.0, chance)
        for name, (treatment, cost) in arms.items():
            changes[name] += (net(treatment, cost, chance)[1] - base) / DRAWS
    columns |= {f"expected_{name}": pa.array(change) for name, change in changes.items()}
    write_parts(truth_file(home, campaign.run_id(cutoff)), [pa.table(columns)])


def compared(readout: Readout, home: Path) -> Iterator[Compared]:
    """Every arm's effect on retention and net margin, as far as the readout claims any, beside the true one."""
    truth, chances = _truth(home, readout.campaign_id), _chances(readout.campaign_id)
    arms = _arms(chances)
    for reading in readout.readings:
        among = [reading.arm] if reading.arm in arms else arms
        for outcome in ("retained", "net"):
            effect = reading.effect(outcome)
            yield Compared(
                readout.campaign_id,
                reading.arm,
                outcome,
                reading.customers + reading.controls,
                effect.difference,
                effect.low,
                effect.high,
                true_effect(truth, chances, among, outcome),
            )


def rivals(campaign_id: str, cutoff: date, home: Path) -> tuple[Valued, ...]:
    """What the run's plan brought in truth, beside rivals among all who could have been treated."""
    from holdfast import wiring

    chances = _chances(campaign_id)
    arms = _arms(chances)
    passed = wiring.trials().log.skipped(campaign_id)
    passed = passed[passed["reason"].isin([reason.value for reason in _PASSED_OVER])][["customer_id"]]
    rows = pd.concat([chances, passed]).fillna(dict.fromkeys(arms, 0.0))
    scores = wiring.lake().read(
        "scores", columns=["customer_id", "probability", "value"], where={"cutoff": [cutoff.isoformat()]}
    )
    rows = rows.merge(scores, on="customer_id").merge(_truth(home, campaign_id), on="customer_id")
    changes = [rows[f"net_{arm}"] - rows["net_none"] for arm in arms]
    return valued(
        campaign_id,
        Treatable(
            tuple(arms),
            chances=rows[arms].to_numpy(float),
            true=np.column_stack(changes),
            expected=rows[[f"expected_{arm}" for arm in arms]].to_numpy(float),
            probability=rows["probability"].to_numpy(float),
            value=rows["value"].to_numpy(float),
        ),
        float(chances[CONTROL].mean()),
    )


def _truth(home: Path, campaign_id: str) -> pd.DataFrame:
    """The run's truth, under the pseudonyms by which the product calls customers."""
    from holdfast import wiring

    truth: pd.DataFrame = pq.read_table(truth_file(home, campaign_id)).to_pandas()
    return truth.assign(customer_id=truth["customer_id"].map(wiring.pseudonyms()))


def _arms(chances: pd.DataFrame) -> list[str]:
    return [str(name) for name in chances if name not in ("customer_id", CONTROL)]


def _chances(campaign_id: str) -> pd.DataFrame:
    """customer_id of everybody assigned, and the probability of the control and of each arm."""
    from holdfast import wiring

    trials = wiring.trials()
    trial = trials.trial(campaign_id)
    with trials.operations.reading() as tx:
        run = known_run(tx, campaign_id)
    return pd.DataFrame({"customer_id": trial.customers["customer_id"], **chances_of(run, trial)})
