"""A simulated shop's days as landing files, and its truth as files of a folder that the product never reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from holdfast.adapters.atomic import write_bytes
from holdfast.simulator.config import LABEL, ShopConfig
from holdfast.simulator.lives import Treatment
from holdfast.simulator.shop import Rows, SimulatedShop

NOTICE = "SIMULATED.txt"

PREVIEWED: Mapping[str, Treatment] = {
    "reminder": Treatment(),
    "amount_5": Treatment(discount=5, minimum_basket=20),
    "amount_10": Treatment(discount=10, minimum_basket=30),
}
"""The treatments whose counterfactuals a simulated shop's truth holds."""


@dataclass(frozen=True)
class Simulated:
    """What was written: days, files and rows of all landing tables together."""

    days: int
    files: int
    rows: int


def land_day(shop: SimulatedShop, landing: Path) -> Simulated:
    """Live the shop's next day and write its landing files, part by part; a table without rows gets no file."""
    return _land(landing / shop.date.isoformat(), shop.live())


def simulate(shop: SimulatedShop, days: int, out: Path, truth_days: int) -> Simulated:
    """Live so many days into ``out/landing``, then write the truth into ``out/truth``.

    The truth holds each customer's hidden kind and, for ``truth_days`` after the last day, what each would do without
    and with each of PREVIEWED; 0 leaves the latter out.
    """
    write_bytes(out / NOTICE, notice(shop.config, shop.customers, shop.seed).encode())
    landed = [land_day(shop, out / "landing") for _ in range(days)]
    write_parts(out / "truth" / f"{LABEL}_customers.parquet", shop.truth())
    if truth_days:
        name = f"{LABEL}_next_{truth_days}_days.parquet"
        write_parts(out / "truth" / name, shop.counterfactuals(PREVIEWED, truth_days))
    return Simulated(days, sum(one.files for one in landed), sum(one.rows for one in landed))


def notice(config: ShopConfig, customers: int, seed: int) -> str:
    """What a person who finds the files must know."""
    return (
        f"{config.name}: {customers:,} customers, seed {seed}.\n"
        "Everything here is simulated by `holdfast simulate`; it describes no real person, shop or sale. E-mail\n"
        "addresses are of the reserved domain shop.example. The folder truth/ holds what the customers hide; Holdfast\n"
        "itself never reads it.\n"
    )


def write_parts(path: Path, parts: Iterable[pa.Table]) -> None:
    """Write tables of one schema into a Parquet file, one after another; the file appears once it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _Writers(path.parent) as writers:
        for part in parts:
            writers.write(path.name, part)


def _land(folder: Path, parts: Iterable[Rows]) -> Simulated:
    folder.mkdir(parents=True, exist_ok=True)
    with _Writers(folder) as writers:
        for part in parts:
            for table, rows in part.items():
                writers.write(f"{LABEL}_{table}.parquet", rows)
    return Simulated(1, len(writers.rows), sum(writers.rows.values()))


class _Writers:
    """Parquet files of a folder, open side by side under dotted names and renamed together if all went well."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[str, pq.ParquetWriter] = {}
        self._closing = ExitStack()
        self.rows: dict[str, int] = {}

    def __enter__(self) -> _Writers:
        return self

    def write(self, name: str, rows: pa.Table) -> None:
        if not rows.num_rows:
            return
        if name not in self._open:
            self._open[name] = self._closing.enter_context(pq.ParquetWriter(self._aside(name), rows.schema))
        self._open[name].write_table(rows)
        self.rows[name] = self.rows.get(name, 0) + rows.num_rows

    def __exit__(self, kind: object, *_: object) -> None:
        self._closing.close()
        for name in self._open:
            if kind is None:
                self._aside(name).replace(self._folder / name)
            else:
                self._aside(name).unlink()

    def _aside(self, name: str) -> Path:
        return self._folder / f".{name}.part"
