"""One customer at a time: the card, privacy, retention."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from holdfast.adapters.atomic import write_bytes
from holdfast.adapters.holdings import Derived, Exports, Mail, NamedInTexts, ParquetRows, Served
from holdfast.adapters.operations.erasure import CampaignRows, MessageWords, SqlErasures, VaultRows
from holdfast.adapters.sources import LandingDirectory
from holdfast.errors import MissingDataError
from holdfast.language import Language, language_of
from holdfast.pipelines.customer import CustomerCard
from holdfast.pipelines.customer import customer_card as _customer_card
from holdfast.pipelines.holdings import LakeRows, LandingRows, QuarantineRows
from holdfast.pipelines.identities import hold_to_pseudonyms
from holdfast.pipelines.privacy import Erased, Erasing, readable
from holdfast.pipelines.privacy import export as _export_person
from holdfast.pipelines.retention import (
    ContactsOfTheGone,
    Dated,
    Events,
    Files,
    LandingFiles,
    Period,
    QuarantinedRows,
    enforce,
)
from holdfast.ports import Holding, Person
from holdfast.pseudonyms import is_pseudonym
from holdfast.wiring.intake import source_mapping
from holdfast.wiring.stores import (
    customer_id,
    engine,
    feature_store,
    lake,
    operations,
    pseudonyms,
    rules,
    settings,
    vault,
)


def known_customer() -> str | None:
    """A customer whose sealed id opens and leads to their pseudonym again; None where the vault holds nobody.

    Raises SettingsError where a key is missing or another one.
    """
    store = vault()
    hold_to_pseudonyms(lake(), store, pseudonyms())
    return store.anyone()


def own_id_of(customer_id: str) -> str:
    """The shop's own id of the customer with this pseudonym.

    Raises MissingDataError where the vault knows none.
    """
    found = vault().own_id(customer_id)
    if found is None:
        raise MissingDataError(
            f"the vault knows no customer {customer_id!r}: misspelt, or erased since. An erasure that was broken off "
            "is finished by the shop's own id."
        )
    return found


def person(called: str) -> Person:
    """The customer whom the shop, or a report by pseudonym, calls so, for a person's rights.

    Raises MissingDataError for a pseudonym that leads to nobody.
    """
    own_id = own_id_of(called) if is_pseudonym(called) else called
    customer = customer_id(own_id)
    contact = vault().contact(customer)
    return Person(own_id, customer, (contact["email"],) if "email" in contact else ())


def holdings(now: datetime) -> list[Holding]:
    """Everywhere that something about a customer may be kept, in the order of erasure."""
    here, shop = settings(), rules().shop
    files = LandingRows(LandingDirectory(here.landing), source_mapping(shop), shop.zone)
    return [
        CampaignRows(engine(), now),
        Served(feature_store()),
        QuarantineRows(lake(), files),
        LakeRows(lake()),
        ParquetRows("feature files", here.feast_offline),
        ParquetRows("scratch", here.work),
        ParquetRows("model artefacts", here.mlflow_artifacts),
        Derived("feature engine", here.feature_state),
        NamedInTexts("validation results", here.quality_output),
        NamedInTexts("reports", here.reports),
        NamedInTexts("logs", here.logs),
        NamedInTexts("task logs", here.airflow_home / "logs"),
        NamedInTexts("model texts", here.mlflow_artifacts),
        Mail(here.mailbox),
        Exports(here.exports),
        files,
        VaultRows(engine(), vault()),
    ]


def export_person(own_id: str, at: datetime) -> Path:
    """Write all that is held about the customer as JSON and as a text beside it; returns the JSON file's path.

    Raises MissingDataError where nothing is held.
    """
    told = _export_person(person(own_id), holdings(at), at)
    if not any(told["held"].values()):
        raise MissingDataError(f"nothing is held about customer {own_id!r}: the id is misspelt, or they were erased.")
    folder = settings().exports / f"{at:%Y%m%dT%H%M%SZ}"
    folder.mkdir(parents=True, mode=0o700)
    write_bytes(folder / "held.json", json.dumps(told, indent=2, ensure_ascii=False, default=str).encode())
    write_bytes(folder / "held.md", readable(told).encode())
    return folder / "held.json"


def erase_person(own_id: str, actor: str, at: datetime) -> Erased:
    """Erase the customer everywhere, or finish what was broken off.

    Raises MissingDataError where nothing is held of them and no erasure was begun, see ``Erasing.run``.
    """
    return Erasing(holdings(at), SqlErasures(engine()), pseudonyms().tombstone).run(person(own_id), actor, at)


def retention(now: datetime, *, dry: bool) -> list[dict[str, Any]]:
    """Delete what the rules keep no longer (a dry run only counts it): the name, days and count of each kind."""
    here, own = settings(), rules()
    shop, store = own.shop, lake()
    kept: dict[str, Dated] = {
        "landing": LandingFiles(LandingDirectory(here.landing), source_mapping(shop), shop.zone, store),
        "quarantine": QuarantinedRows(store),
        "events": Events(store),
        "messages": MessageWords(engine()),
        "contacts": ContactsOfTheGone(store, vault()),
        "work": Files((here.work,)),
        "logs": Files((here.logs, here.airflow_home / "logs")),
        "exports": Files((here.exports,)),
    }
    days = own.retention.model_dump()
    periods = [Period(name, days[name], of) for name, of in kept.items() if days[name] is not None]
    return [{"name": one.name, "days": one.days, "count": one.count} for one in enforce(periods, now, dry=dry)]


def customer_card(own_id: str, language: Language | None = None) -> CustomerCard:
    """The card of the customer whom the shop calls so, in the shop's language if no other is asked for."""
    asked = language or language_of(rules().shop.locale)
    return _customer_card(customer_id(own_id), feature_store(), operations(), asked, called=own_id)
