"""Feast's online byte layout (entity key serialisation version 3), a column at a time.

Feast builds a protocol-buffer object for every cell; writing the same bytes column by column takes a tenth of the time.
Formats: Feast's ``docs/specs/online_store_format.md`` and ``protos/feast/types/Value.proto``. The tests hold every byte
against what Feast itself writes.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from holdfast.errors import FeatureStoreError

JOIN_KEY = "customer_id"

_NULL = b""  # a Value message in which nothing is set
_DOUBLE_TAG = 5 << 3 | 1  # field 5, eight bytes follow
_STRING_TAG = b"\x12"  # field 2, a length and as many bytes follow
_DOUBLE = struct.Struct("<d")
_DOUBLE_CELL = np.dtype([("tag", "u1"), ("value", "<f8")])
_STRING_TYPE = 2  # feast.types.ValueType.STRING


@dataclass(frozen=True)
class Rows:
    """Rows of one feature view at one event time: per customer one value in every column.

    Columns are float64 or string arrays (null allowed), by feature name. ``created`` is when the rows were computed.
    """

    view: str
    event_time: datetime
    created: datetime
    customers: Sequence[str]
    columns: Mapping[str, pa.Array]


@dataclass(frozen=True)
class View:
    """A feature view by name, with the names of its features."""

    name: str
    features: Sequence[str]


def entity_keys(customers: Sequence[str]) -> list[bytes]:
    """Each customer's serialised entity key."""
    name = JOIN_KEY.encode()
    prefix = struct.pack("<III", 1, _STRING_TYPE, len(name)) + name + struct.pack("<I", _STRING_TYPE)
    ids = [customer.encode() for customer in customers]
    return [prefix + struct.pack("<I", len(one)) + one for one in ids]


def values(column: pa.Array) -> list[bytes]:
    """Each cell as a serialised ``Value``; NaN is null, as it is to Feast. Raises FeatureStoreError for other types."""
    if pa.types.is_float64(column.type):
        return _doubles(column.to_numpy(zero_copy_only=False))
    if pa.types.is_string(column.type):
        return [_NULL if one is None else _string(one) for one in column.to_pylist()]
    raise FeatureStoreError(
        f"a feature of type {column.type} cannot be written online: features are Float64 or String. "
        "Declare it as one of these in feature_repo/definitions.py."
    )


def texts(column: pa.Array) -> list[str | None]:
    """Each cell as the text that Feast's SQL stores keep beside the value."""
    return [None if one is None or one != one else str(one) for one in column.to_pylist()]  # noqa: PLR0124 - NaN


def timestamp(moment: datetime) -> bytes:
    """``moment`` as a serialised ``google.protobuf.Timestamp``."""
    from google.protobuf.timestamp_pb2 import Timestamp

    message = Timestamp()
    message.FromDatetime(moment.astimezone(UTC))
    serialised: bytes = message.SerializeToString()
    return serialised


def value(cell: bytes | None) -> float | str | None:
    """What a serialised ``Value`` says; None for null, and where the store holds no such cell.

    Raises FeatureStoreError for any type but a double or a string.
    """
    if not cell:
        return None
    tag = cell[0]
    if tag == _DOUBLE_TAG and len(cell) == _DOUBLE_CELL.itemsize:
        number: float = _DOUBLE.unpack_from(cell, 1)[0]
        return number
    if tag == _STRING_TAG[0]:
        length, start = _read_varint(cell, 1)
        if start + length == len(cell):
            return cell[start:].decode()
    raise FeatureStoreError(
        f"the online store holds a value that is neither a double nor a string (its type's tag is {tag}). Features are "
        "Float64 or String: look for whoever else writes to this store, and run the features DAG again."
    )


def moment(message: bytes) -> float:
    """A serialised ``google.protobuf.Timestamp`` in seconds of the Unix epoch."""
    parts, at = {8: 0, 16: 0}, 0
    while at < len(message):
        field = message[at]
        parts[field], at = _read_varint(message, at + 1)
    return parts[8] + parts[16] / 1e9


def _doubles(numbers: np.ndarray[Any, np.dtype[np.float64]]) -> list[bytes]:
    cells = np.empty(len(numbers), dtype=_DOUBLE_CELL)
    cells["tag"] = _DOUBLE_TAG
    cells["value"] = numbers
    serialised: list[bytes] = cells.view(f"V{_DOUBLE_CELL.itemsize}").tolist()
    for row in np.flatnonzero(np.isnan(numbers)).tolist():
        serialised[row] = _NULL
    return serialised


def _string(text: str) -> bytes:
    content = text.encode()
    return _STRING_TAG + _varint(len(content)) + content


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    """The variable-length integer that begins at ``at``, and where the next field begins."""
    number = shift = 0
    while True:
        byte = message[at]
        number |= (byte & 127) << shift
        at += 1
        if byte < 128:
            return number, at
        shift += 7


def _varint(number: int) -> bytes:
    """Protocol buffers' variable-length integer: seven bits a byte, the lowest first."""
    parts = bytearray()
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    parts.append(number)
    return bytes(parts)
