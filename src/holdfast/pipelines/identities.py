"""Whether what is stored knows customers by the pseudonyms of today, so that two ways of naming are never mixed."""

from __future__ import annotations

from typing import Protocol

from holdfast.errors import SettingsError
from holdfast.ports import Lake
from holdfast.pseudonyms import Pseudonyms
from holdfast.schemas import CUSTOMERS


class OwnIds(Protocol):
    """Who is who, of which the vault alone can tell."""

    def anyone(self) -> str | None:
        """Some customer's pseudonym, None where there is nobody."""
        ...

    def own_id(self, customer_id: str) -> str | None:
        """The shop's own id of the customer; None where it is not known."""
        ...


def hold_to_pseudonyms(lake: Lake, vault: OwnIds, pseudonym: Pseudonyms) -> None:
    """Raise SettingsError where the lake knows customers by other words than ``pseudonym`` gives."""
    someone = vault.anyone()
    own_id = None if someone is None else vault.own_id(someone)
    if own_id is not None and pseudonym(own_id) != someone:
        raise SettingsError(
            "the pseudonym key is not the one that this lake was filled with, so that every customer would be taken "
            "for a new one. Restore HOLDFAST_PSEUDONYM_KEY (or the file secrets/pseudonyms in the home)."
        )
    if someone is None and lake.exists(CUSTOMERS.name) and not lake.read(CUSTOMERS.name, ["customer_id"]).empty:
        raise SettingsError(
            "the lake holds customers whom the vault does not know: an earlier release filled it with the shop's own "
            "ids, or the operations database is another one. Restore the database that belongs to it, or point "
            "HOLDFAST_HOME and HOLDFAST_OPERATIONS_URL at new places, move the landing files there and ingest them "
            "again: docs/privacy.md"
        )
