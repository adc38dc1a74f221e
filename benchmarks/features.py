"""The feature engine against a scan of the same files and against pandas, DuckDB and Polars.

    python -m benchmarks.features [--rows 1000000 10000000 100000000] [--folder FOLDER]

writes benchmarks/results/features.json. The log is synthetic (``benchmarks.synthetic_log``). Everything runs on one
core, in a process of its own; importing libraries is not measured. The engine computes the whole catalogue; the others
compute the sixty plain features of ``benchmarks.reference_features``, as of one cutoff. "daily" is what a run of the
features pipeline does when 1 % of the customers were active on one more day, beside "training", its first run over
all weekly cutoffs of the year; both write their feature tables. Polars takes part where it can be imported. Before
anything is measured, all count on a small log and must come to the same numbers, as far as they count the same.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pyarrow.dataset as ds

from benchmarks import reference_features as reference
from benchmarks import synthetic_log
from benchmarks.measured import Figures, alone, record
from holdfast.adapters.feature_store import FeastStore
from holdfast.adapters.lake import DeltaLake
from holdfast.adapters.local_engine import LocalEngine
from holdfast.adapters.yaml_files import load
from holdfast.features.log import COLUMNS
from holdfast.pipelines.features import Features
from holdfast.rules import Rules

ZONE = ZoneInfo("America/New_York")
YEAR_END = date(2017, 12, 31)
WEEKLY = [YEAR_END - timedelta(days=7 * week) for week in range(52)]
NEXT_DAY = date(2018, 1, 2)
_RULES = Path(__file__).parents[1] / "config" / "retention.yaml"
_SMALL = 20_000
"""Rows of the log on which all must count alike."""
_OURS = ["orders_28d", "amount_28d"]
"""What the catalogue counts as its rivals do: no change of clocks lies within the window."""
_LARGEST_IN_FULL = 10_000_000
"""Beyond, one cutoff alone is measured, beside DuckDB: the others would want the machine's whole memory."""


Rival = Callable[[Path, datetime], Callable[[], Any]]
"""Made ready for a lake and a cutoff; called, it computes."""


def scan(lake: Path) -> Callable[[], Any]:
    def step() -> None:
        for name, columns in COLUMNS.items():
            dataset = ds.dataset(str(lake / name), format="parquet", exclude_invalid_files=False)
            present = [one for one in columns if one in dataset.schema.names]
            for _ in dataset.to_batches(columns=present, use_threads=False):
                pass

    return step


def engine(lake: Path, home: Path, cutoffs: Sequence[date]) -> Callable[[], Any]:
    _imported()
    own = LocalEngine(DeltaLake(lake), ZONE, home, workers=1)

    def step() -> None:
        for found in own.compute(cutoffs):
            if not all(len(rows) for rows in found.views.values()):
                raise RuntimeError(f"nobody at {found.cutoff}")

    return step


def _imported() -> None:
    """Import what the engine would import when it first needs it."""
    import scipy.optimize
    import scipy.special  # noqa: F401


def pipeline(lake: Path, home: Path, cutoff: date) -> Callable[[], Any]:
    _imported()
    rules = load(_RULES, Rules)
    training = rules.training.model_copy(update={"first_cutoff": WEEKLY[-1]})
    store = FeastStore(home, home / "offline", datetime(2018, 1, 2, tzinfo=UTC), online=None)  # type: ignore[arg-type]
    delta = DeltaLake(lake)
    features = Features(
        LocalEngine(delta, ZONE, home / "engine", workers=1),
        delta,
        store,
        rules.model_copy(update={"training": training}),
        complete_to=cutoff,
    )
    return lambda: features.compute(cutoff.isoformat())


def require_same_counts(rivals: Mapping[str, Rival], at: datetime, folder: Path) -> None:
    """The rivals must agree on every count and sum, and the engine with them on orders and money of four weeks."""
    synthetic_log.write(folder / "lake", _SMALL)
    own = LocalEngine(DeltaLake(folder / "lake"), ZONE, folder / "home", workers=1)
    [found] = own.compute([YEAR_END])
    views = [view.set_index("customer_id") for view in found.views.values()]
    ours = pd.concat([view[view.columns.intersection(_OURS)] for view in views], axis=1)
    kinds = ("orders", "amount", *reference.EVENT_TYPES, *reference.OTHERS)
    columns = [f"{kind}_{days}d" for kind in kinds for days in reference.WINDOWS]
    counted = {name: _counts(rival(folder / "lake", at)(), ours.index)[columns] for name, rival in rivals.items()}
    for name, numbers in counted.items():
        pd.testing.assert_frame_equal(numbers, counted["duckdb"], check_dtype=False, obj=f"the numbers of {name}")
    expected = counted["duckdb"][_OURS]
    pd.testing.assert_frame_equal(ours[_OURS], expected, check_dtype=False, obj="the engine's numbers")
    if not (expected > 0).any().all():
        raise RuntimeError("the small log has no orders in its last four weeks, so that nothing was compared")


def _counts(answer: Any, customers: pd.Index[Any]) -> pd.DataFrame:
    """By customer, whatever library gives them; nothing counted is zero."""
    table: pd.DataFrame = answer if isinstance(answer, pd.DataFrame) else answer.to_pandas().set_index("customer_id")
    return table.set_axis(table.index.astype(str)).reindex(customers).fillna(0.0)


def rows(sizes: Sequence[int], folder: Path) -> Iterator[dict[str, Any]]:
    rivals: dict[str, Rival] = {"pandas": reference.in_pandas, "duckdb": reference.in_duckdb}
    if find_spec("polars"):
        rivals["polars"] = reference.in_polars
    at = datetime(2017, 12, 31, 5, tzinfo=UTC)
    require_same_counts(rivals, at, folder / "small")
    for size in sizes:
        lake, home = folder / f"{size}" / "lake", folder / f"{size}" / "home"
        synthetic_log.write(lake, size)
        found: dict[str, Figures] = {"scan": alone(scan, lake)}
        found["one cutoff"] = alone(engine, lake, home / "one", [YEAR_END])
        in_full = size <= _LARGEST_IN_FULL
        if in_full:
            found["52 cutoffs"] = alone(engine, lake, home / "many", WEEKLY)
        found |= {name: alone(rival, lake, at) for name, rival in rivals.items() if in_full or name == "duckdb"}
        if in_full:
            found["training"] = alone(pipeline, lake, home, YEAR_END)
            synthetic_log.one_day(lake, share=0.01)
            found["daily"] = alone(pipeline, lake, home, NEXT_DAY)
        yield {"rows": size} | found | {"ratios": _ratios(found)}


def _ratios(found: dict[str, Figures]) -> dict[str, float]:
    """Processor time of one cutoff over that of the others, and of the daily run over the training run."""
    own = found["one cutoff"].cpu_seconds
    others = [name for name in ("scan", "pandas", "duckdb", "polars") if name in found]
    ratios = {f"one cutoff / {name}": round(own / found[name].cpu_seconds, 2) for name in others}
    if "daily" in found:
        ratios["daily / training"] = round(found["daily"].cpu_seconds / found["training"].cpu_seconds, 4)
        ratios["52 cutoffs / one cutoff"] = round(found["52 cutoffs"].cpu_seconds / own, 2)
    return ratios


if __name__ == "__main__":
    # Before NumPy and Polars are imported in the measured processes: one core for everybody.
    os.environ |= {"POLARS_MAX_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--folder", type=Path, help="where the data are written (default: a temporary folder)")
    asked = parser.parse_args()
    if not find_spec("polars"):
        sys.stdout.write("Polars is left out: it cannot be imported\n")
    libraries = ["numpy", "pandas", "pyarrow", "duckdb", "deltalake", *(["polars"] if find_spec("polars") else [])]
    with tempfile.TemporaryDirectory(dir=asked.folder) as place:
        record("features", rows(asked.rows, Path(place)), libraries)
