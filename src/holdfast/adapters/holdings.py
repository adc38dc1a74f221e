"""Files and stores beside the lake that may hold something about a customer, told and erased."""

from __future__ import annotations

import email
import email.policy
import mailbox
import mmap
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from holdfast.adapters.atomic import ROWS_PER_GROUP, write_bytes
from holdfast.ports import Person, Row

_ID = "customer_id"
_BLANK = b"erased customer"
_TEXTS = frozenset({".html", ".json", ".jsonl", ".log", ".md", ".txt", ".csv", ".yaml", ".yml"})


@dataclass(frozen=True)
class ParquetRows:
    """The rows of every Parquet file below ``root`` that names customers. Files are replaced whole."""

    name: str
    root: Path
    kept_by: Literal["us"] = "us"

    def held(self, person: Person) -> list[Row]:
        return [
            {"file": path.relative_to(self.root).as_posix(), **row}
            for path, rows, theirs in self._files(person)
            for row in rows.filter(theirs).to_pylist()
        ]

    def erase(self, person: Person) -> None:
        for path, rows, theirs in self._files(person):
            sink = pa.BufferOutputStream()
            pq.write_table(rows.filter(pc.invert(theirs)), sink, row_group_size=ROWS_PER_GROUP)
            write_bytes(path, sink.getvalue().to_pybytes())

    def _files(self, person: Person) -> Iterator[tuple[Path, pa.Table, pa.ChunkedArray]]:
        for path in sorted(self.root.rglob("*.parquet")):
            file = pq.ParquetFile(path)
            if _ID in file.schema_arrow.names:
                theirs = pc.equal(file.read([_ID])[_ID].cast(pa.string()), person.customer_id)
                theirs = pc.fill_null(theirs, False)
                if pc.any(theirs).as_py():
                    yield path, file.read(), theirs


@dataclass(frozen=True)
class NamedInTexts:
    """Texts below ``root`` (logs, reports, results of validations) that mention the pseudonym; it is blanked in place.

    In place and to the byte, since whoever is writing the file at the moment must be able to go on.
    """

    name: str
    root: Path
    kept_by: Literal["us"] = "us"

    def held(self, person: Person) -> list[Row]:
        word = person.customer_id.encode()
        return [
            {"file": path.relative_to(self.root).as_posix(), "mentions": path.read_bytes().count(word)}
            for path in _holding(self.root, word, _TEXTS)
        ]

    def erase(self, person: Person) -> None:
        word = person.customer_id.encode()
        blank = _BLANK.ljust(len(word), b".")[: len(word)]
        for path in _holding(self.root, word, _TEXTS):
            with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as content:
                at = content.find(word)
                while at >= 0:
                    content[at : at + len(word)] = blank
                    at = content.find(word, at)


@dataclass(frozen=True)
class Derived:
    """A folder that is made anew from the lake at any time: erased as a whole where it mentions the customer."""

    name: str
    root: Path
    kept_by: Literal["us"] = "us"

    def held(self, person: Person) -> list[Row]:
        found = _holding(self.root, person.customer_id.encode())
        return [{"file": path.relative_to(self.root).as_posix()} for path in found]

    def erase(self, person: Person) -> None:
        shutil.rmtree(self.root)


@dataclass(frozen=True)
class Exports:
    """What was exported for a person to be told, contacts opened: a folder for each export, erased as a whole."""

    root: Path
    name: str = "exports"
    kept_by: Literal["us"] = "us"

    def held(self, person: Person) -> list[Row]:
        return [{"folder": folder.name} for folder in self._folders(person)]

    def erase(self, person: Person) -> None:
        for folder in self._folders(person):
            shutil.rmtree(folder)

    def _folders(self, person: Person) -> list[Path]:
        mentioned = _holding(self.root, person.customer_id.encode())
        return sorted({self.root / path.relative_to(self.root).parts[0] for path in mentioned})


@dataclass(frozen=True)
class Mail:
    """The local mailbox: every message to one of the person's addresses."""

    root: Path
    name: str = "mailbox"
    kept_by: Literal["us"] = "us"

    def held(self, person: Person) -> list[Row]:
        return [
            {"date": message["Date"], "subject": message["Subject"], "text": _plain(message)}
            for _, message in self._messages(person)
        ]

    def erase(self, person: Person) -> None:
        for key, _ in list(self._messages(person)):
            mailbox.Maildir(self.root).remove(key)

    def _messages(self, person: Person) -> Iterator[tuple[str, email.message.EmailMessage]]:
        if not self.root.exists():
            return
        folder = mailbox.Maildir(self.root)
        for key in folder.iterkeys():
            message = email.message_from_bytes(folder.get_bytes(key), policy=email.policy.default)
            if message["To"] in person.addresses:
                yield key, message


class OnlineStore(Protocol):
    """The part of the feature store that serves."""

    def held_online(self, customer_id: str) -> list[Row]: ...

    def erase_online(self, customer_id: str) -> None: ...


@dataclass(frozen=True)
class Served:
    """What the online store serves of the customer."""

    store: OnlineStore
    name: str = "online store"
    kept_by: Literal["us"] = "us"

    def held(self, person: Person) -> list[Row]:
        return self.store.held_online(person.customer_id)

    def erase(self, person: Person) -> None:
        self.store.erase_online(person.customer_id)


def _holding(root: Path, word: bytes, kinds: frozenset[str] | None = None) -> Iterator[Path]:
    """The files below ``root`` (with these endings) whose bytes hold the word."""
    for path in sorted(root.rglob("*")):
        if path.is_file() and path.stat().st_size and (kinds is None or path.suffix in kinds):
            with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                if content.find(word) >= 0:
                    yield path


def _plain(message: email.message.EmailMessage) -> str:
    body = message.get_body(("plain",))
    return body.get_content() if body else ""
