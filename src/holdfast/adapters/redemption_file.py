"""A CSV file of redemptions, read as text."""

from __future__ import annotations

import csv
from pathlib import Path

from holdfast.campaign.offers import RedemptionReport
from holdfast.errors import SourceError
from holdfast.pipelines.redeem import reports_of


def read_redemptions(file: Path) -> list[RedemptionReport]:
    """The file's redemptions. Raises SourceError naming the file, or row and field, and the remedy."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            rows = list(csv.DictReader(opened))
    except UnicodeDecodeError as error:
        raise SourceError(f"{file.name}, byte {error.start}: not UTF-8. Save the file as UTF-8.") from error
    except csv.Error as error:
        raise SourceError(f"{file.name}: not readable as CSV ({error}). Export the file again.") from error
    return reports_of(rows, file.name)
