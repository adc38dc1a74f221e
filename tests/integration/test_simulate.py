"""`holdfast simulate`: landing files that the product takes in whole, and a truth that it never sees."""

from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from holdfast.adapters.sources import LandingDirectory
from holdfast.adapters.yaml_files import load
from holdfast.cli import app
from holdfast.mapping import Mapping
from holdfast.pipelines import landed
from holdfast.pipelines.judge import Judged, judge
from holdfast.rules import Rules
from holdfast.schemas import TABLES
from tests.fakes.lake import FakeLake

DAYS = 20
FED = {"customers", "products", "orders", "order_lines", "events", "reviews", "contacts", "consents"}


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simulated") / "shop"
    options = ["--customers", "400", "--days", str(DAYS), "--seed", "2", "--truth-days", "14"]
    done = CliRunner().invoke(app, ["simulate", *options, str(folder)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return folder


def taken_in(project: Path, out: Path) -> tuple[int, Judged]:
    """How many rows landed, and what the shop's mapping and the data contract make of them."""
    source = load(project / "sources" / "simulated.yaml", Mapping)
    landing = LandingDirectory(out / "landing")
    files = [landed.read(landing, source, ZoneInfo("Europe/Berlin"), path, path) for path in landing.paths()]
    assert not any(len(file.rejected) for file in files)
    return sum(file.rows for file in files), judge([file.texts for file in files], FakeLake())


def test_every_row_of_every_file_is_accepted(project: Path, out: Path) -> None:
    rows, judged = taken_in(project, out)
    assert judged.rejected.empty, judged.rejected.head().to_dict("records")
    assert set(judged.accepted) == FED
    # A customer's row feeds the customers, the contacts and the consents.
    assert sum(map(len, judged.accepted.values())) == rows + 2 * len(judged.accepted["customers"])
    assert all(len(judged.accepted[table]) > 5 for table in FED)


def test_rows_lie_on_the_day_that_they_landed_for(project: Path, out: Path) -> None:
    rules = load(project / "config" / "simulated.yaml", Rules)
    for path in sorted((out / "landing").rglob("*.parquet")):
        table = path.stem.removeprefix("simulated_")
        if table != "products" and (time := TABLES[table].time):
            moments = pq.read_table(path, columns=[time])[time].to_pylist()
            assert {f"{one.astimezone(rules.shop.zone):%Y-%m-%d}" for one in moments} == {path.parent.name}


def test_the_truth_lies_apart_and_no_landing_file_tells_it(out: Path) -> None:
    truth = pq.read_table(out / "truth" / "simulated_customers.parquet")
    assert truth.num_rows == 400
    assert {"persuadable", "sure_thing", "lost_cause", "do_not_disturb"} == set(truth["response_type"].to_pylist())
    ahead = pq.read_table(out / "truth" / "simulated_next_14_days.parquet")
    assert {"orders_none", "orders_reminder", "orders_amount_5", "orders_amount_10"} <= set(ahead.column_names)
    told = {name for path in (out / "landing").rglob("*.parquet") for name in pq.read_schema(path).names}
    assert told.isdisjoint({"response_type", "phase", "gap_days"})


def test_everything_says_that_it_is_simulated(out: Path) -> None:
    files = [path for path in out.rglob("*") if path.is_file()]
    assert len(files) > 60
    assert all("simulated" in path.name.lower() for path in files)
    assert "describes no real person" in (out / "SIMULATED.txt").read_text()


def test_the_same_seed_gives_the_same_files_to_the_last_byte(out: Path, tmp_path: Path) -> None:
    options = ["--customers", "400", "--days", "3", "--seed", "2", "--truth-days", "0"]
    assert CliRunner().invoke(app, ["simulate", *options, str(tmp_path / "again")]).exit_code == 0
    again = sorted((tmp_path / "again" / "landing").rglob("*.parquet"))
    assert again
    for path in again:
        assert path.read_bytes() == (out / path.relative_to(tmp_path / "again")).read_bytes(), path


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text("real")
    told = CliRunner().invoke(app, ["simulate", str(tmp_path)])
    assert told.exit_code == 1
    assert "is not empty, and simulated files must not mix with others" in told.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["orders.csv"]
