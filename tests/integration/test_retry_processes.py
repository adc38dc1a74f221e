"""Two processes that retry the same quarantine at once, on real Delta tables: every row goes in once."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

from holdfast.adapters.lake import DeltaLake
from holdfast.pipelines.quarantine import standing
from tests.fakes.landing_shop import Shop, first_day

ROWS = 40


def shop_at(root: Path) -> Shop:
    shop = Shop(root / "landing")
    shop.lake = DeltaLake(root / "lake")
    return shop


def _retry(root: str, start: multiprocessing.synchronize.Barrier) -> None:
    shop = shop_at(Path(root))
    start.wait()
    for _ in range(2):
        shop.retry()


def test_two_retries_at_once_store_every_row_once(tmp_path: Path) -> None:
    first_day(tmp_path / "landing")
    shop = shop_at(tmp_path)
    shop.run()
    shop.land_sales("2017-03-02", *(f"n{i},c9,2017-03-02 12:00:00,p1,1,2.50" for i in range(ROWS)))
    shop.rules = shop.rules.model_copy(update={"reject_share": 1.0})
    shop.run()
    shop.land("2017-03-03/customers.csv", "id,email\nc9,eve@shop.example\n")
    shop.run()
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(3)
    retries = [context.Process(target=_retry, args=(str(tmp_path), start)) for _ in range(3)]
    for one in retries:
        one.start()
    for one in retries:
        one.join()
    assert [one.exitcode for one in retries] == [0, 0, 0]
    assert shop.column("orders", "order_id") == sorted(["o1", *(f"n{i}" for i in range(ROWS))])
    assert len(shop.lake.read("order_lines")) == ROWS + 2
    settled = standing(shop.lake)
    assert list(settled["how"]) == ["accepted"] * 2 * ROWS
    entries = shop.lake.read("batches")
    assert list(entries.loc[entries["status"] == "retried", "accepted"]) == [2 * ROWS]
