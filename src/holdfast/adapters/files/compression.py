"""Unpacks compressed files within bounds, so that no small file can fill the machine's memory."""

from __future__ import annotations

import io
import zipfile
import zlib

from holdfast.errors import SourceError

LARGEST = 1 << 30
"""Bytes that a file may hold once unpacked."""

STEEPEST = 200
"""How many times its packed size a file may hold; tables seldom shrink to less than a twentieth."""

_HARMLESS = 1 << 24  # below 16 MiB no ratio does harm
_GZIP = b"\x1f\x8b"
_CHUNK = 1 << 20


class _Bounds:
    """Counts unpacked bytes and refuses a file that holds too many."""

    def __init__(self, packed: int, name: str) -> None:
        self._packed = packed
        self._name = name
        self._unpacked = 0

    def count(self, size: int) -> None:
        self._unpacked += size
        steep = self._unpacked > max(_HARMLESS, STEEPEST * self._packed)
        if steep or self._unpacked > LARGEST:
            raise SourceError(
                f"{self._name}: {self._packed:,} bytes that unpack to more than {self._unpacked - size:,}; at most "
                f"{LARGEST:,} bytes, and {STEEPEST} times the packed size, are unpacked. Deliver it in smaller files, "
                "or unpacked."
            )


def unzipped(content: bytes, name: str) -> bytes:
    """The content of a gzip file, or ``content`` itself where it is none.

    Raises SourceError when the file is damaged, ends early or unpacks to more than the bounds allow.
    """
    if not content.startswith(_GZIP):
        return content
    bounds, parts, rest = _Bounds(len(content), name), [], content
    while rest.startswith(_GZIP):
        member = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        while not member.eof:
            try:
                part = member.decompress(rest, _CHUNK)
            except zlib.error as error:
                raise SourceError(f"{name}: not readable as gzip ({error}). Compress and deliver it again.") from error
            if not part and not member.unconsumed_tail and not member.eof:
                raise SourceError(f"{name}: the gzip file ends early. Deliver it again.")
            bounds.count(len(part))
            parts.append(part)
            rest = member.unconsumed_tail
        rest = member.unused_data
    return b"".join(parts)


def refuse_oversized_zip(content: bytes, name: str) -> None:
    """Raise SourceError when a zip file (such as an Excel workbook) is damaged or unpacks to more than allowed.

    What the file itself says of its sizes is not believed: every member is unpacked once, and counted.
    """
    bounds = _Bounds(len(content), name)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for member in archive.infolist():
                with archive.open(member) as unpacked:
                    while part := unpacked.read(_CHUNK):
                        bounds.count(len(part))
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError) as error:
        raise SourceError(f"{name}: not readable as a workbook ({error}). Save and deliver it again.") from error
