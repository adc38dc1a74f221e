"""A person's rights: all that is held about a customer, told to them, or erased with a certificate to show for it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from holdfast.errors import MissingDataError, PrivacyError
from holdfast.ports import Erasure, Erasures, Holding, Person


@dataclass(frozen=True)
class Erased:
    """What an erasure did. ``certificate`` is what the audit log keeps; None where nothing was left to do."""

    erased: Mapping[str, int]
    left_to_shop: Mapping[str, int]
    certificate: Mapping[str, Any] | None


def export(person: Person, holdings: Sequence[Holding], at: datetime) -> dict[str, Any]:
    """All that is held about the person, as JSON values: the holdings by name, a list of rows each."""
    return {
        "customer": person.own_id,
        "pseudonym": person.customer_id,
        "exported_at": at.isoformat(),
        "held": {one.name: [dict(row) for row in one.held(person)] for one in holdings},
    }


def readable(exported: Mapping[str, Any]) -> str:
    """The export as a text to read, a heading for each holding."""
    parts = [f"# What is held about customer {exported['customer']}", f"As of {exported['exported_at']}."]
    for name, rows in exported["held"].items():
        parts.append(f"## {name} ({len(rows)})")
        parts += [
            "\n".join(f"- {field}: {value}" for field, value in row.items() if value not in (None, "")) for row in rows
        ]
    return "\n\n".join(parts) + "\n"


@dataclass(frozen=True)
class Erasing:
    """The use case. ``holdings`` are erased in their order; the one that knows who is who must come last."""

    holdings: Sequence[Holding]
    erasures: Erasures
    tombstone: Callable[[str], str]

    def run(self, person: Person, actor: str, at: datetime) -> Erased:
        """Erase the person everywhere, or go on where a call was broken off.

        What is found is noted before it is erased, so that the certificate counts it whatever happens in between. It
        names no customer: with the vault's row gone nothing leads back from it.

        Raises MissingDataError where nothing is held and no erasure was begun: a tombstone for a misspelt id would keep
        out whoever gets that id later. Raises PrivacyError where something is still held afterwards, because a task
        that was running has written it.
        """
        tombstone = self.tombstone(person.customer_id)
        if tombstone not in self.erasures.tombstones() and not any(one.held(person) for one in self.holdings):
            raise MissingDataError(
                f"nothing is held about customer {person.own_id!r}, and no erasure of theirs was begun: the id is "
                "misspelt. Nothing was changed."
            )
        begun = self.erasures.begin(tombstone, at)
        ours = [one for one in self.holdings if one.kept_by == "us"]
        left = {one.name: len(one.held(person)) for one in self.holdings if one.kept_by == "shop"}
        counts = dict(begun.counts) if begun.finished_at is None else {}
        for one in ours:
            found = len(one.held(person))
            if found:
                counts[one.name] = max(found, counts.get(one.name, 0))
                self.erasures.found(tombstone, one.name, counts[one.name])
                one.erase(person)
        still = [one.name for one in ours if one.held(person)]
        if still:
            raise PrivacyError(
                f"{', '.join(still)} still hold rows of the customer: something that was running wrote them meanwhile. "
                "Wait until no DAG runs, and erase again."
            )
        left = {name: count for name, count in left.items() if count}
        if begun.finished_at is not None and not counts:
            return Erased({}, left, None)
        certificate = _certificate(begun, counts, left, at)
        self.erasures.finish(tombstone, certificate, actor, at)
        return Erased(counts, left, certificate)


def _certificate(begun: Erasure, counts: Mapping[str, int], left: Mapping[str, int], at: datetime) -> dict[str, Any]:
    told: dict[str, Any] = {
        "certificate": begun.certificate,
        "begun_at": begun.begun_at.isoformat(),
        "finished_at": at.isoformat(),
        "erased": dict(sorted(counts.items())),
        "left_to_shop": dict(sorted(left.items())),
    }
    canonical = json.dumps(told, sort_keys=True, separators=(",", ":"))
    return told | {"sha256": hashlib.sha256(canonical.encode()).hexdigest()}
