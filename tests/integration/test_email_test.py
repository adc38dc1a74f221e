"""A randomised e-mail test that was run elsewhere: imported by its mapping and read like a campaign of our own."""

from __future__ import annotations

import csv
from datetime import UTC, date, datetime
from pathlib import Path

import pandas as pd
import pytest

from holdfast.adapters.lake import DeltaLake
from holdfast.adapters.operations.repository import OperationsDatabase
from holdfast.adapters.operations.trials import TrialDatabase
from holdfast.adapters.quality import GreatExpectations
from holdfast.adapters.sources import LandingDirectory
from holdfast.adapters.yaml_files import load
from holdfast.effect.readout import Readout
from holdfast.mapping import Mapping
from holdfast.pipelines.ingest import Ingest
from holdfast.pipelines.measure import Measuring
from holdfast.pipelines.trials import Trials
from tests.fakes.operations import operations_engine
from tests.fakes.small_shop import RULES
from tests.fakes.vault import FakeVault
from tests.machine import shared_data

COLUMNS = "recency,history_segment,history,mens,womens,zip_code,newbie,channel,segment,visit,conversion,spend"
RULES_IN_UTC = RULES.model_copy(update={"shop": RULES.shop.model_copy(update={"timezone": "UTC"})})


def imported(project: Path, root: Path, text: str) -> Readout:
    """Land the file with its rows numbered, ingest it by the example mapping, and read a fortnight of outcomes."""
    landed = root / "landing" / "2008-04-03" / "hillstrom.csv"
    landed.parent.mkdir(parents=True)
    header, *rows = text.splitlines()
    landed.write_text("\n".join([f"customer,{header}", *(f"{i},{row}" for i, row in enumerate(rows, 1)), ""]))
    lake = DeltaLake(root / "lake")
    done = Ingest(
        landing=LandingDirectory(root / "landing"),
        source=load(project / "sources" / "examples" / "email_test.yaml", Mapping),
        zone=RULES_IN_UTC.shop.zone,
        lake=lake,
        vault=FakeVault(),
        quality=GreatExpectations(project / "great_expectations", root / "quality"),
        now=datetime(2008, 4, 4, 5, tzinfo=UTC),
    ).run(["2008-04-03/hillstrom.csv"])
    assert done["rejected"] == 0
    engine = operations_engine(root)
    trials = Trials(lake, OperationsDatabase(engine), TrialDatabase(engine), RULES_IN_UTC)
    return Measuring(trials, date(2008, 4, 4)).readout("email_test", 14)


def test_equal_rows_are_customers_of_their_own_and_the_arms_are_read(project: Path, tmp_path: Path) -> None:
    def row(segment: str, visit: int, spend: float) -> str:
        return f"10,1) $0 - $100,50,1,0,Rural,1,Web,{segment},{visit},{int(spend > 0)},{spend}"

    arms = {"Womens E-Mail": 40, "Mens E-Mail": 30, "No E-Mail": 20}
    rows = [
        row(segment, int(i % 100 < bought + 20), 25.5 if i % 100 < bought else 0)
        for segment, bought in arms.items()
        for i in range(200)
    ]
    found = imported(project, tmp_path, "\n".join([COLUMNS, *rows, ""]))
    assert found.status == "measured", found.claim
    assert {group.arm: (group.customers, group.exposed) for group in found.groups} == {
        "mens": (200, 200),
        "womens": (200, 200),
        "control": (200, 0),
    }
    assert found.reading("womens").effect("retained").difference == pytest.approx(0.2)
    assert found.reading("womens").effect("visited").difference == pytest.approx(0.2)
    assert found.reading("mens").effect("revenue").difference == pytest.approx(2.55)


@pytest.mark.full
def test_hillstroms_test_is_read_as_its_file_says(project: Path, tmp_path: Path) -> None:
    file = shared_data(project, "hillstrom.csv")
    found = imported(project, tmp_path, file.read_text())
    with file.open(newline="") as opened:
        table = pd.DataFrame(csv.DictReader(opened)).astype({"visit": float, "spend": float, "conversion": float})
    means = table.groupby("segment")[["visit", "conversion", "spend"]].mean()
    assert found.status == "measured", found.claim
    for arm, segment in {"womens": "Womens E-Mail", "mens": "Mens E-Mail"}.items():
        difference = means.loc[segment] - means.loc["No E-Mail"]
        for outcome, column in {"visited": "visit", "retained": "conversion", "revenue": "spend"}.items():
            effect = found.reading(arm).effect(outcome)
            assert effect.difference == pytest.approx(difference[column])
            assert effect.low > 0
            print(arm, outcome, round(effect.difference, 4), round(effect.low, 4), round(effect.high, 4))  # noqa: T201
