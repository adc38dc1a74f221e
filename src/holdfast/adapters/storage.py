"""What a person is told when a disk is full, a file is not what was written, or a database server does not answer."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from holdfast.errors import HoldfastError, StorageError, StoreUnavailableError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FULL_WORDS = ("no space left on device", "disk is full", "file too large", "could not extend file", "disk quota")
_CORRUPT_WORDS = ("malformed", "not a database")
_GONE_WORDS = (
    "connection",
    "could not connect",
    "server closed",
    "timeout",
    "terminat",
    "shutting down",
    "starting up",
)
_BUSY_WORDS = ("database is locked", "deadlock detected")

MAKE_ROOM = "Free space there, or point HOLDFAST_HOME at another disk; then run the stage again."


@contextmanager
def storing(place: Path | str) -> Iterator[None]:
    """Inside the block, whatever the system or a library says of a failed write becomes a StorageError.

    The block must leave what was there before as it was, whatever happens.
    """
    try:
        yield
    except HoldfastError:
        raise
    except Exception as error:
        if not isinstance(error, OSError) and not is_full(error):
            raise
        remedy = MAKE_ROOM if is_full(error) else "See to the folder and its permissions; then run the stage again."
        raise StorageError(
            f"{place} could not be written: {_said(error)}. What was there before is unchanged. {remedy}"
        ) from error


@contextmanager
def reading(place: Path | str, remedy: str) -> Iterator[None]:
    """Inside the block, a file that is missing or not what was written becomes a StorageError."""
    import pyarrow as pa

    try:
        yield
    except (OSError, pa.ArrowInvalid) as error:
        raise StorageError(f"{place} cannot be read, it is not what was written: {_said(error)}. {remedy}") from error


def is_full(error: BaseException) -> bool:
    """Whether a disk, or one's share of it, is full."""
    return (isinstance(error, OSError) and error.errno in _FULL) or _says(error, _FULL_WORDS)


def of_database(error: BaseException, name: str, setting: str) -> HoldfastError | None:
    """What to tell instead of a database driver's ``error``; None where it is not about disk, file or server.

    ``name`` is the database without its password, ``setting`` what says where it is.
    """
    if is_full(error):
        return StorageError(f"{name} could not be written: {_said(error)}. The transaction was undone. {MAKE_ROOM}")
    if _says(error, _CORRUPT_WORDS):
        return StorageError(
            f"{name} cannot be read, it is not what was written: {_said(error)}. Put its latest backup in its place."
        )
    if _says(error, _BUSY_WORDS):
        return StoreUnavailableError(
            f"{name} was held by another process for too long: {_said(error)}. Run the stage again."
        )
    if _says(error, _GONE_WORDS):
        return StoreUnavailableError(
            f"{name} does not answer: {_said(error)}. What was committed is kept, the rest undone. See to the server "
            f"and {setting}; the stage may run again."
        )
    return None


def _says(error: BaseException, words: tuple[str, ...]) -> bool:
    said = str(error).lower()
    return any(one in said for one in words)


def _said(error: BaseException) -> str:
    """The error in one line."""
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(said.split())[:300].rstrip(".")
