"""A CSV file that a person hands to a command, read as text."""

from __future__ import annotations

import csv
from pathlib import Path

from holdfast.errors import SourceError


def read_rows(file: Path) -> list[dict[str, str | None]]:
    """The file's rows by column. Raises SourceError naming the file and the remedy."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            return list(csv.DictReader(opened))
    except UnicodeDecodeError as error:
        raise SourceError(f"{file.name}, byte {error.start}: not UTF-8. Save the file as UTF-8.") from error
    except csv.Error as error:
        raise SourceError(f"{file.name}: not readable as CSV ({error}). Export the file again.") from error
