"""The row checks of the data contract: text in, typed accepted rows and explained rejections out.

Every rule comes from ``holdfast.schemas``. A row is judged by the first rule it breaks, in this order: its columns
one by one, then those of which one must be filled, then references, then its key.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from holdfast.schemas import Column, Privacy, Table, Type

BATCH = "batch"
"""Name of the column that says which landing batch brought a row."""

REPEATABLE = "repeatable"
"""Name of an optional column of rows to ``check``: true where a row whose key is taken already is no news.

Such a row is neither accepted nor rejected.
"""

REJECTED = (BATCH, "file", "row", "table", "field", "rule", "value", "remedy", "deliberate")
"""Columns of rejections, the quarantine's columns. ``deliberate``: left out on purpose, nothing is wrong."""

WITHHELD = "(withheld: personal)"
_LONGEST_VALUE = 200

_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_INFINITY = r"(?i)^[+-]?inf(inity)?$"
_TIME = (
    r"^(?P<local>\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?)?)"
    r"(?P<offset>Z|[+-]\d{2}:?\d{2})?$"
)


class RowRule(StrEnum):
    """Why a row is rejected."""

    COLUMNS = "number of columns"
    NOT_JSON = "not JSON"
    MISSING = "missing"
    NONE_GIVEN = "none given"
    NOT_A_NUMBER = "not a number"
    NOT_FINITE = "not finite"
    BELOW_MINIMUM = "below minimum"
    ABOVE_MAXIMUM = "above maximum"
    NOT_ALLOWED = "not allowed"
    TOO_LONG = "too long"
    NOT_A_TIME = "not a time"
    NO_ZONE = "time without zone"
    NONEXISTENT_TIME = "nonexistent time"
    FUTURE = "future time"
    UNKNOWN_REFERENCE = "unknown reference"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"


_REMEDIES = {
    RowRule.COLUMNS: "Deliver the row with as many columns as the header; quote values that hold a comma.",
    RowRule.NOT_JSON: "Write one whole JSON object on a line of its own.",
    RowRule.MISSING: "Fill in {field}; {table} cannot do without it.",
    RowRule.NONE_GIVEN: "Fill in at least one of {field}; {table} cannot do without all of them.",
    RowRule.NOT_A_NUMBER: "Write {field} as a plain number such as 12.50, with a point and no thousands separator.",
    RowRule.NOT_FINITE: "Write a finite number into {field}, or leave the row out.",
    RowRule.BELOW_MINIMUM: "{field} must be at least {minimum}.",
    RowRule.ABOVE_MAXIMUM: "{field} must be at most {maximum}.",
    RowRule.NOT_ALLOWED: "{field} must be one of {allowed}.",
    RowRule.TOO_LONG: "{field} may have at most {longest} characters; shorten it.",
    RowRule.NOT_A_TIME: "Write {field} as ISO 8601, such as 2017-11-26 14:05:00 or 2017-11-26T14:05:00Z.",
    RowRule.NO_ZONE: "Write {field} with an offset or Z, or declare the zone of the input (times: …) in the mapping.",
    RowRule.NONEXISTENT_TIME: "This local time was skipped by daylight saving; write {field} with an offset or Z.",
    RowRule.FUTURE: "{field} lies after the end of the file's landing day; correct it or land it on its own day.",
    RowRule.UNKNOWN_REFERENCE: "Deliver the row of {references} with this id first, or correct {field}.",
    RowRule.DUPLICATE: "Nothing to do: the same row was accepted before.",
    RowRule.CONFLICT: "Another row with this {field} was accepted before and stays; give this one a key of its own.",
}


@dataclass(frozen=True)
class Checked:
    """``accepted``: the table's columns, typed, and ``batch``. ``rejected``: one line a row, columns ``REJECTED``.

    ``numbers`` holds, for each accepted row, its number in its file.
    """

    accepted: pd.DataFrame
    rejected: pd.DataFrame
    numbers: NDArray[np.int64]


def check(table: Table, rows: pa.Table, known: Mapping[str, Set[str]], held: pd.DataFrame) -> Checked:
    """Convert ``rows`` to the table's types and split them into accepted and rejected.

    ``rows`` holds text columns by canonical name (a nullable column may be absent; empty text is null) and where they
    are from: ``batch`` and ``file`` as text; ``row`` the row's number in the file (the header is row 1); ``zone`` the
    IANA zone of times written without one (null: none declared); ``latest`` the UTC instant from which on a time lies
    in the future. Their order decides which of several rows with one key is the first and stays. ``known`` gives, for
    each column that references another table, the keys to be had there. ``held`` gives rows that are stored already
    (the table's columns and ``batch``): a new row with the key of one is rejected, except that rows stored by a batch
    of ``rows`` itself do not count, so that a half-stored batch can be checked again. A row of ``REPEATABLE`` is passed
    over instead of rejected for its key.
    """
    judged = _Judged(table, rows)
    typed = {column.name: _convert(column, judged) for column in table.columns}
    if table.any_of:
        filled = [pd.notna(typed[name]) for name in table.any_of]
        judged.reject(~np.logical_or.reduce(filled), RowRule.NONE_GIVEN, *map(table.column, table.any_of))
    for column in table.columns:
        if column.references is not None:
            present = pd.Series(typed[column.name])
            unknown = ~present.isin(known[column.name]) & present.notna()
            judged.reject(unknown.to_numpy(), RowRule.UNKNOWN_REFERENCE, column)
    frame = pd.DataFrame({**typed, BATCH: rows[BATCH].to_pandas()})
    _reject_repeated_keys(judged, frame, held)
    return Checked(
        accepted=frame[judged.sound].reset_index(drop=True),
        rejected=judged.rejections(),
        numbers=rows["row"].to_numpy()[judged.sound],
    )


def no_rejections() -> pd.DataFrame:
    """An empty frame of rejections."""
    return pd.DataFrame(columns=list(REJECTED)).astype({"row": "Int64"})


def together(rejections: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Rejections one below the other."""
    parts = [part for part in rejections if not part.empty]
    return pd.concat(parts, ignore_index=True) if parts else no_rejections()


def remedy(rule: RowRule, table: Table | None = None, columns: Sequence[Column] = ()) -> str:
    """What to do about a rejection for the values in ``columns``."""
    column = columns[0] if columns else None
    return _REMEDIES[rule].format(
        table=table.name if table else "",
        field=", ".join(one.name for one in columns),
        minimum=_plain(column.minimum) if column else "",
        maximum=_plain(column.maximum) if column else "",
        longest=f"{column.longest:,}" if column else "",
        allowed=", ".join(column.allowed or ()) if column else "",
        references=column.references if column else "",
    )


def _plain(number: float | None) -> str:
    return "" if number is None else f"{number:,.15g}"


@dataclass
class _Judged:
    """Rows under judgement: which have been rejected so far, by which rule on which columns."""

    table: Table
    rows: pa.Table
    verdicts: list[tuple[RowRule, tuple[Column, ...]]] = field(default_factory=list)
    verdict: NDArray[np.int32] = field(init=False)
    passed_over: NDArray[np.bool_] = field(init=False)

    def __post_init__(self) -> None:
        self.verdict = np.full(self.rows.num_rows, -1, dtype=np.int32)
        self.passed_over = np.zeros(self.rows.num_rows, dtype=np.bool_)

    @property
    def sound(self) -> NDArray[np.bool_]:
        """The rows that no rule has rejected yet, and that are not passed over."""
        return (self.verdict < 0) & ~self.passed_over

    @property
    def expendable(self) -> NDArray[np.bool_]:
        """The rows to be passed over if their key is taken."""
        if REPEATABLE not in self.rows.column_names:
            return np.zeros(self.rows.num_rows, dtype=np.bool_)
        return _mask(self.rows[REPEATABLE])

    def text(self, column: Column) -> pa.ChunkedArray:
        """The column's text; empty is null."""
        if column.name not in self.rows.column_names:
            return pa.chunked_array([pa.nulls(self.rows.num_rows, pa.string())])
        text = self.rows[column.name]
        return pc.if_else(pc.equal(text, ""), None, text)

    def reject(self, broken: NDArray[np.bool_], rule: RowRule, *columns: Column) -> None:
        """Reject the rows of the mask ``broken`` that are still sound, for what ``columns`` hold."""
        new = broken & self.sound
        if new.any():
            self.verdicts.append((rule, columns))
            self.verdict[new] = len(self.verdicts) - 1

    def rejections(self) -> pd.DataFrame:
        parts = [self._explain(rule, columns, number) for number, (rule, columns) in enumerate(self.verdicts)]
        if not parts:
            return no_rejections()
        return pd.concat(parts, ignore_index=True).sort_values(["file", "row"], kind="stable", ignore_index=True)

    def _explain(self, rule: RowRule, columns: Sequence[Column], number: int) -> pd.DataFrame:
        rows = self.rows.take(np.flatnonzero(self.verdict == number))
        return pd.DataFrame(
            {
                BATCH: rows[BATCH].to_pandas(),
                "file": rows["file"].to_pandas(),
                "row": rows["row"].to_pandas().astype("Int64"),
                "table": self.table.name,
                "field": ", ".join(one.name for one in columns),
                "rule": str(rule),
                "value": _shown(rows, columns),
                "remedy": remedy(rule, self.table, columns),
                "deliberate": False,
            },
            columns=list(REJECTED),
        )


def _shown(rows: pa.Table, columns: Sequence[Column]) -> list[str]:
    """Each row's values in the columns, as a person may see them in quarantine."""
    if any(column.privacy is Privacy.DIRECT for column in columns):
        return [WITHHELD] * rows.num_rows
    return [", ".join(values) for values in zip(*(_texts(rows, column) for column in columns), strict=True)]


def _texts(rows: pa.Table, column: Column) -> list[str]:
    if column.name not in rows.column_names:
        return [""] * rows.num_rows
    values = [value or "" for value in rows[column.name].to_pylist()]
    if column.privacy is Privacy.PSEUDONYM:  # too long a one is still the shop's own, see landed
        return [WITHHELD if len(value) > column.longest else value for value in values]
    return [value[:_LONGEST_VALUE] for value in values]


def _convert(column: Column, judged: _Judged) -> Any:
    """The column's typed values, after rejecting the rows whose value breaks one of its rules."""
    text = judged.text(column)
    if not column.nullable:
        judged.reject(_mask(pc.is_null(text)), RowRule.MISSING, column)
    if column.type is Type.FLOAT:
        return _numbers(column, text, judged)
    if column.type is Type.TIMESTAMP:
        return _times(column, text, judged)
    judged.reject(_mask(pc.greater(pc.utf8_length(text), column.longest)), RowRule.TOO_LONG, column)
    if column.allowed is not None:
        known = pc.is_in(text, value_set=pa.array(column.allowed))
        judged.reject(_mask(pc.and_(pc.is_valid(text), pc.invert(known))), RowRule.NOT_ALLOWED, column)
    return text.to_pandas()


def _numbers(column: Column, text: pa.ChunkedArray, judged: _Judged) -> NDArray[np.float64]:
    plain = pc.match_substring_regex(text, _NUMBER)
    infinite = _mask(pc.match_substring_regex(text, _INFINITY))
    numbers: NDArray[np.float64] = pc.cast(pc.if_else(plain, text, None), pa.float64()).to_pandas().to_numpy()
    judged.reject(infinite | np.isinf(numbers), RowRule.NOT_FINITE, column)
    judged.reject(_mask(pc.invert(plain)), RowRule.NOT_A_NUMBER, column)
    if column.minimum is not None:
        judged.reject(numbers < column.minimum, RowRule.BELOW_MINIMUM, column)
    if column.maximum is not None:
        judged.reject(numbers > column.maximum, RowRule.ABOVE_MAXIMUM, column)
    return numbers


def _times(column: Column, text: pa.ChunkedArray, judged: _Judged) -> pd.Series[pd.Timestamp]:
    """UTC instants. A local time that daylight saving repeats is read as the earlier of the two."""
    parts = pc.extract_regex(text, _TIME).combine_chunks()
    local = pd.Series(
        pd.to_datetime(pc.struct_field(parts, "local").to_pandas(), format="ISO8601", errors="coerce")
    ).astype("datetime64[us]")
    offset = pc.struct_field(parts, "offset").to_pandas()
    judged.reject(_mask(pc.is_valid(text)) & local.isna().to_numpy(), RowRule.NOT_A_TIME, column)

    naive = (offset == "").to_numpy() & local.notna().to_numpy()
    instants = (local - _offsets(offset)).dt.tz_localize("UTC")
    zones = judged.rows["zone"].to_pandas()
    judged.reject(naive & zones.isna().to_numpy(), RowRule.NO_ZONE, column)
    for zone in zones[naive].dropna().unique():
        here = naive & (zones == zone).to_numpy()
        localized = local[here].dt.tz_localize(zone, ambiguous=np.ones(here.sum(), dtype=bool), nonexistent="NaT")
        instants = instants.mask(here, localized.dt.tz_convert("UTC"))
    judged.reject(naive & instants.isna().to_numpy(), RowRule.NONEXISTENT_TIME, column)
    latest = judged.rows["latest"].to_pandas()
    judged.reject((instants >= latest).to_numpy(), RowRule.FUTURE, column)
    return instants


def _offsets(offset: pd.Series[str]) -> pd.Series[pd.Timedelta]:
    """Offsets from UTC, such as +02:00, as durations; absent ones are zero."""
    known = {text: _offset(text) for text in offset.dropna().unique()}
    return offset.map(known).astype("timedelta64[us]").fillna(pd.Timedelta(0))


def _offset(text: str) -> pd.Timedelta:
    match = re.fullmatch(r"([+-])(\d{2}):?(\d{2})", text)
    if match is None:
        return pd.Timedelta(0)
    ahead = pd.Timedelta(hours=int(match[2]), minutes=int(match[3]))
    return ahead if match[1] == "+" else -ahead


def _reject_repeated_keys(judged: _Judged, frame: pd.DataFrame, held: pd.DataFrame) -> None:
    """Reject the sound rows whose key an earlier sound row, or a held row of another batch, has."""
    key = list(judged.table.key)
    sound = frame[judged.sound]
    earlier = held[~held[BATCH].isin(set(frame[BATCH]))]
    candidates = pd.concat([earlier[sound.columns], sound]) if len(earlier) else sound
    repeated = candidates.duplicated(key).to_numpy()[len(earlier) :]
    if not repeated.any():
        return
    firsts = candidates.drop_duplicates(key).set_index(key)
    later = sound[repeated]
    judged.passed_over[later.index] = judged.expendable[later.index]
    later = later[~judged.passed_over[later.index]]
    if later.empty:
        return
    first = firsts.loc[pd.MultiIndex.from_frame(later[key]) if len(key) > 1 else pd.Index(later[key[0]])]
    names = [name for name in judged.table.names if name not in key]
    same = np.ones(len(later), dtype=bool)
    for name in names:
        mine, theirs = later[name].to_numpy(), first[name].to_numpy()
        same &= (mine == theirs) | (pd.isna(mine) & pd.isna(theirs))
    for rule, chosen in ((RowRule.DUPLICATE, same), (RowRule.CONFLICT, ~same)):
        broken = np.zeros(len(frame), dtype=bool)
        broken[later.index[chosen]] = True
        judged.reject(broken, rule, *map(judged.table.column, key))


def _mask(values: pa.ChunkedArray) -> NDArray[np.bool_]:
    """An Arrow boolean column as a NumPy mask; null counts as false."""
    return np.asarray(pc.fill_null(values, False).to_numpy())
