"""The day after: a bad file stops the line in words, loses nothing, and the next good one goes through."""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest

from holdfast import wiring
from holdfast.errors import BatchRefusedError
from tests.dags.conftest import CUTOFF, Loop, run

DAY = date.fromisoformat(CUTOFF)
HEADER = (
    "household_id,store_id,basket_id,product_id,quantity,sales_value,retail_disc,coupon_disc,coupon_match_disc,"
    "week,transaction_timestamp\n"
)


@pytest.fixture
def landing(loop: Loop) -> Iterator[Path]:
    """The landing folder; what a test leaves there is taken away, so that no other test's run meets it."""
    before = set(loop.settings.landing.rglob("*.csv"))
    yield loop.settings.landing
    for path in set(loop.settings.landing.rglob("*.csv")) - before:
        path.unlink()


def land(landing: Path, day: date, name: str, text: str) -> Path:
    path = landing / str(day) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_refused_file_fails_the_run_by_name_and_the_next_good_one_goes_through(loop: Loop, landing: Path) -> None:
    customer = wiring.vault().own_id(wiring.lake().read("customers", ["customer_id"])["customer_id"].iloc[0])
    lines = len(wiring.lake().read("order_lines", ["order_id"]))
    good = f"{customer},1,9000000001,1000001,1,2.50,0,0,0,48,{DAY} 17:00:00\n"
    land(landing, DAY, "transactions.csv", HEADER.replace("sales_value", "sales_valu") + good)

    refused = loop.airflow.run("ingest", {})
    assert refused.state == "failed"
    with pytest.raises(BatchRefusedError) as told:
        refused.raise_on_failure()
    assert f"{DAY}/transactions.csv" in str(told.value)
    assert "sales_valu" in str(told.value)
    assert len(wiring.lake().read("order_lines", ["order_id"])) == lines

    bad = f"{customer},1,9000000002,1000001,1,-2.50,0,0,0,48,{DAY} 18:00:00\n"
    land(
        landing,
        DAY + timedelta(days=1),
        "transactions.csv",
        HEADER + good.replace(str(DAY), str(DAY + timedelta(1))) + bad,
    )
    done = run(loop, "ingest").value("finish")
    assert (done["tables"]["order_lines"], done["rejected"]) == (1, 1)
    assert len(wiring.lake().read("order_lines", ["order_id"])) == lines + 1
    row = wiring.lake().read("quarantine").query("rule == 'below minimum'").iloc[-1]
    assert (row["field"], row["value"], row["row"]) == ("amount", "-2.50", 3)

    land(landing, DAY, "transactions.csv", HEADER + good)
    run(loop, "ingest")
    told = wiring.features().compute(str(DAY + timedelta(days=2)))
    assert told["cutoffs"] > told["computed"] == 1, "what was stored before the new order came in stays as it is"


def test_what_a_failed_run_stored_is_announced_by_the_next_that_goes_through_and_then_no_more(
    loop: Loop, landing: Path
) -> None:
    customer = wiring.vault().own_id(wiring.lake().read("customers", ["customer_id"])["customer_id"].iloc[0])
    day = DAY + timedelta(days=2)
    good = f"{customer},1,9000000003,1000001,1,2.50,0,0,0,48,{day} 17:00:00\n"
    land(landing, day, "transactions.csv", HEADER + good)
    stray = land(landing, day, "transactions.csv.bak", "x")
    assert loop.airflow.run("ingest", {}).state == "failed"
    stray.unlink()
    again = run(loop, "ingest")
    assert again.value("drain") == []
    assert again.value("finish")["files"] == 0, "finish ran, whose end is the event"
    assert run(loop, "ingest").value("finish") is None
