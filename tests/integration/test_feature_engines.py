"""Every engine gives the bytes of the plain kernel over all customers at once, on a real lake that grows day by day."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from shutil import which

import pandas as pd
import pytest

from holdfast.adapters.lake import DeltaLake
from holdfast.adapters.local_engine import LocalEngine
from holdfast.adapters.spark_engine import SparkEngine
from holdfast.features.compute import compute
from holdfast.features.log import COLUMNS, Log, arrow
from holdfast.ports import FeatureEngine
from holdfast.windows import instant
from tests.fakes.busy_shop import between, busy_shop
from tests.fakes.feature_engine import FakeFeatureEngine
from tests.fakes.shop import ZONE, Event, Line, Tables, tables

CUTOFFS = [date(2017, 8, 6) + timedelta(days=14 * step) for step in range(8)]
NEXT = date(2017, 11, 20)
SHOP = busy_shop(120, seed=3)


def land(lake: DeltaLake, shop: Tables, batch: str) -> None:
    """Append what the shop's tables hold of what features read."""
    for name in COLUMNS:
        rows = getattr(shop, name)
        if len(rows):
            lake.append(name, rows.assign(batch=batch), [batch])


def lake_of(folder: Path, *deliveries: Tables) -> DeltaLake:
    lake = DeltaLake(folder / "lake")
    for number, shop in enumerate(deliveries):
        land(lake, shop, f"b{number}")
    return lake


def local(lake: DeltaLake, folder: Path, **options: int) -> LocalEngine:
    return LocalEngine(lake, ZONE, folder / "engine", **{"workers": 1, **options})


@pytest.fixture(params=["local", "fake"])
def of_lake(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[DeltaLake], FeatureEngine]:
    """Opens an engine, or the fake that the pipelines' tests use, on a lake."""
    return partial(local, folder=tmp_path) if request.param == "local" else partial(FakeFeatureEngine, zone=ZONE)


def computed(engine: FeatureEngine, cutoffs: list[date]) -> Mapping[str, pd.DataFrame]:
    found = list(engine.compute(cutoffs))
    assert [one.cutoff for one in found] == sorted(cutoffs)
    return {view: pd.concat([one.views[view] for one in found], ignore_index=True) for view in found[0].views}


def assert_same_bytes(found: Mapping[str, pd.DataFrame], expected: Mapping[str, pd.DataFrame]) -> None:
    assert list(found) == list(expected)
    for view, rows in expected.items():
        assert list(found[view].columns) == list(rows.columns)
        for column in rows.columns:
            one, other = found[view][column], rows[column]
            assert one.dtype == other.dtype, column
            same = (
                one.tolist() == other.tolist()
                if one.dtype == object
                else one.values.tobytes() == other.values.tobytes()
            )
            assert same, f"{view}.{column}"


def plain(*shops: Tables, cutoffs: list[date] = CUTOFFS) -> Mapping[str, pd.DataFrame]:
    whole = Tables(
        **{name: pd.concat([getattr(shop, name) for shop in shops], ignore_index=True) for name in vars(shops[0])}
    )
    return compute(Log.build(arrow(vars(whole))), cutoffs, ZONE)


def test_one_part_gives_the_bytes_of_the_plain_kernel(
    tmp_path: Path, of_lake: Callable[[DeltaLake], FeatureEngine]
) -> None:
    assert_same_bytes(computed(of_lake(lake_of(tmp_path, SHOP)), CUTOFFS), plain(SHOP))


def test_any_number_of_parts_in_any_number_of_processes_gives_the_same_bytes(tmp_path: Path) -> None:
    engine = local(lake_of(tmp_path, SHOP), tmp_path, workers=2, rows_per_part=1_500)
    assert_same_bytes(computed(engine, CUTOFFS), plain(SHOP))
    assert len(list((tmp_path / "engine" / "state").glob("part-*"))) == 4


def test_day_by_day_increments_give_the_bytes_of_a_full_run(tmp_path: Path) -> None:
    start = pd.Timestamp(instant(date(2017, 11, 17), ZONE))
    ends = [start + pd.Timedelta(days=day) for day in range(1, 5)]
    lake = lake_of(tmp_path, between(SHOP, None, start))
    computed(local(lake, tmp_path, rows_per_part=2_000), CUTOFFS)
    state = tmp_path / "engine" / "state" / "manifest.json"
    built = state.stat().st_ino
    for number, end in enumerate(ends):
        land(lake, between(SHOP, end - pd.Timedelta(days=1), end), f"day{number}")
        found = computed(local(lake, tmp_path, rows_per_part=2_000), [CUTOFFS[-1], NEXT])
        assert_same_bytes(found, plain(between(SHOP, None, end), cutoffs=[CUTOFFS[-1], NEXT]))
    assert state.stat().st_ino == built


def test_late_rows_of_known_and_unknown_customers_give_the_bytes_of_a_full_run(tmp_path: Path) -> None:
    late = tables(
        [Line("c0001", "2017-07-01T12:00"), Line("new", "2017-07-02T12:00")],
        events=[Event("c0002", "2017-09-01T09:00")],
    )
    late = Tables(**{**vars(late), "products": late.products.head(0)})
    lake = lake_of(tmp_path, SHOP)
    before = local(lake, tmp_path)
    computed(before, CUTOFFS)
    land(lake, late, "late")
    engine = local(lake, tmp_path)
    assert engine.unchanged_before(before.inputs().versions) == datetime(2017, 7, 1, 16, tzinfo=UTC)
    assert_same_bytes(computed(engine, CUTOFFS), plain(SHOP, late))


def test_nothing_new_leaves_every_instant_unchanged(
    tmp_path: Path, of_lake: Callable[[DeltaLake], FeatureEngine]
) -> None:
    lake = lake_of(tmp_path, SHOP)
    versions = of_lake(lake).inputs().versions
    assert of_lake(lake).unchanged_before(versions) == datetime.max.replace(tzinfo=UTC)


def test_an_engine_goes_on_with_the_versions_it_first_found(
    tmp_path: Path, of_lake: Callable[[DeltaLake], FeatureEngine]
) -> None:
    lake = lake_of(tmp_path, SHOP)
    engine = of_lake(lake)
    versions = engine.inputs().versions
    land(lake, tables([Line("new", "2017-07-02T12:00")]), "late")
    assert engine.inputs().versions == versions
    assert_same_bytes(computed(engine, CUTOFFS), plain(SHOP))
    assert of_lake(lake).inputs().versions != versions


def test_what_is_more_than_new_events_cannot_be_told_and_is_computed_anew(tmp_path: Path) -> None:
    bought_before_it_was_known = Tables(**{**vars(between(SHOP, None, None)), "products": SHOP.products.iloc[1:]})
    lake = lake_of(tmp_path, bought_before_it_was_known)
    first = local(lake, tmp_path)
    computed(first, CUTOFFS)
    lake.append("products", SHOP.products.iloc[:1].assign(batch="p"), ["p"])
    engine = local(lake, tmp_path)
    assert engine.unchanged_before(first.inputs().versions) is None
    assert_same_bytes(computed(engine, CUTOFFS), plain(SHOP))


def test_compacted_files_are_no_news_and_what_comes_after_them_is(tmp_path: Path) -> None:
    from deltalake import DeltaTable

    noon = pd.Timestamp(instant(date(2017, 11, 18), ZONE))
    lake = lake_of(
        tmp_path, between(SHOP, None, noon - pd.Timedelta(days=1)), between(SHOP, noon - pd.Timedelta(days=1), noon)
    )
    first = local(lake, tmp_path)
    computed(first, CUTOFFS)
    for name in ("events", "orders", "order_lines"):
        DeltaTable(tmp_path / "lake" / name).optimize.compact()
    assert local(lake, tmp_path).unchanged_before(first.inputs().versions) == datetime.max.replace(tzinfo=UTC)
    land(lake, between(SHOP, noon, noon + pd.Timedelta(days=2)), "after")
    engine = local(lake, tmp_path)
    unchanged = engine.unchanged_before(first.inputs().versions)
    assert unchanged is not None
    assert noon <= unchanged < datetime.max.replace(tzinfo=UTC)
    expected = plain(between(SHOP, None, noon + pd.Timedelta(days=2)), cutoffs=[NEXT])
    assert_same_bytes(computed(engine, [NEXT]), expected)


def test_erased_customers_are_gone_from_the_next_run(tmp_path: Path) -> None:
    from deltalake import DeltaTable

    lake = lake_of(tmp_path, SHOP)
    first = local(lake, tmp_path)
    computed(first, CUTOFFS)
    for name in ("events", "orders"):
        DeltaTable(tmp_path / "lake" / name).delete("customer_id = 'c0001'")
    engine = local(lake, tmp_path)
    assert engine.unchanged_before(first.inputs().versions) is None
    assert "c0001" not in set(computed(engine, CUTOFFS)["customer_rhythm"]["customer_id"])


def test_families_without_data_are_off(tmp_path: Path, of_lake: Callable[[DeltaLake], FeatureEngine]) -> None:
    orders_only = tables([Line("ann", "2017-06-01T12:00")], events=[Event("ann", "2017-06-02T12:00", "return")])
    lake = DeltaLake(tmp_path / "lake")
    for name in ("orders", "order_lines", "events"):
        lake.append(name, getattr(orders_only, name).assign(batch="b"), ["b"])
    engine = of_lake(lake)
    on = {family.name for family in engine.inputs().families}
    assert on == {"rhythm", "activity", "basket", "savings", "habits", "service", "alive"}
    assert set(computed(engine, CUTOFFS)) == {f"customer_{name}" for name in on}


@pytest.mark.skipif(find_spec("pyspark") is None, reason="PySpark is not installed: pip install holdfast[spark]")
@pytest.mark.skipif(which("java") is None, reason="Spark needs Java 17 on the path")
def test_spark_gives_the_bytes_of_the_plain_kernel(tmp_path: Path) -> None:
    engine = SparkEngine(lake_of(tmp_path, SHOP), ZONE, tmp_path / "spark", master="local[2]", parts=3)
    assert_same_bytes(computed(engine, CUTOFFS), plain(SHOP))
