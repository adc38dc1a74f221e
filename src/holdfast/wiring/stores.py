"""The settings, the clock, and the stores that all use cases share."""

from __future__ import annotations

from collections.abc import Callable, Set
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

import pandas as pd
from sqlalchemy import Engine

from holdfast.adapters import clock, environment
from holdfast.adapters.feature_store import FeastStore
from holdfast.adapters.lake import DeltaLake
from holdfast.adapters.online.configured import writer as online_writer
from holdfast.adapters.operations import database
from holdfast.adapters.operations.access import KeyDatabase
from holdfast.adapters.operations.erasure import SqlErasures
from holdfast.adapters.operations.repository import OperationsDatabase
from holdfast.adapters.operations.sealing import Keyring
from holdfast.adapters.operations.vault import SqlVault
from holdfast.adapters.registry import CHURN, Kind, MlflowRegistry, uplift_of
from holdfast.adapters.scratch import FileScratch
from holdfast.adapters.secret_file import kept_secret
from holdfast.adapters.yaml_files import load
from holdfast.effect.uplift_model import UpliftModel
from holdfast.model.served import ServedModel
from holdfast.pseudonyms import Identities, Pseudonyms, is_pseudonym
from holdfast.rules import Rules
from holdfast.settings import Settings

_Model = TypeVar("_Model", ServedModel, UpliftModel)


def settings() -> Settings:
    return Settings()


def now() -> datetime:
    """The time by which the product acts: real, or a rehearsal's."""
    return clock.now(settings().home)


def quick_clock() -> Callable[[], datetime]:
    """``now`` for whoever asks it thousands of times a second: the real clock is asked at once."""
    home = settings().home
    return partial(clock.now, home) if clock.is_rehearsal(home) else partial(datetime.now, UTC)


def prepare() -> Settings:
    """Point Airflow, Feast and MLflow at this home and bring the operations database up to date.

    To be called before any of the three is imported.
    """
    here = settings()
    environment.activate(here)
    database.upgrade(here.operations)
    return here


def rules() -> Rules:
    return load(settings().rules_file, Rules)


def lake() -> DeltaLake:
    return DeltaLake(settings().lake)


def feature_store() -> FeastStore:
    here = settings()
    return FeastStore(
        here.feast_repo,
        here.feast_offline,
        now(),
        online=online_writer(here.feast_online),
        own_join_above=here.historical_join_rows,
        alone=lambda: database.exclusive(engine()),
    )


def registry() -> MlflowRegistry[ServedModel]:
    return _registry(CHURN)


def uplift_registry(campaign: str) -> MlflowRegistry[UpliftModel]:
    """Where the uplift models of the campaign are kept."""
    return _registry(uplift_of(campaign))


def _registry(kind: Kind[_Model]) -> MlflowRegistry[_Model]:
    here = settings()
    # A server keeps the artefacts itself; beside a database they go into a folder of ours.
    artifacts = None if here.mlflow.startswith("http") else here.mlflow_artifacts
    return MlflowRegistry(here.mlflow, artifacts, lambda: database.exclusive(engine()), kind)


def engine() -> Engine:
    return database.connect(settings().operations)


def operations() -> OperationsDatabase:
    return OperationsDatabase(engine(), _keyring())


def vault() -> SqlVault:
    return SqlVault(engine(), _keyring())


def _keyring() -> Keyring:
    here = settings()
    keys = tuple(key.get_secret_value() for key in here.vault_keys)
    return Keyring(keys or (kept_secret(here.secrets / "vault"),))


def scratch() -> FileScratch:
    return FileScratch(settings().work)


def api_keys() -> KeyDatabase:
    return KeyDatabase(engine())


def pseudonyms() -> Pseudonyms:
    here = settings()
    key = here.pseudonym_key.get_secret_value() if here.pseudonym_key else kept_secret(here.secrets / "pseudonyms")
    return Pseudonyms(key)


def customer_id(own_id: str) -> str:
    """What Holdfast calls the customer whom the shop calls ``own_id``; a pseudonym is taken as it is.

    Whoever asks from outside, at the command line or through a service, comes by here and nowhere else.
    """
    return own_id if is_pseudonym(own_id) else pseudonyms()(own_id)


def customer_ids(own_ids: pd.Series) -> pd.Series:
    """``customer_id`` of each of a file's customers, who may be a million: the key is read once."""
    names = pseudonyms()
    return own_ids.map({one: str(one) if is_pseudonym(str(one)) else names(str(one)) for one in own_ids.unique()})


def identities() -> Identities:
    """How ingestion calls customers."""
    names, erasures = pseudonyms(), SqlErasures(engine())

    def erased(customer_ids: Set[str]) -> Set[str]:
        tombstones = erasures.tombstones()
        return {one for one in customer_ids if tombstones and names.tombstone(one) in tombstones}

    return Identities(names, erased)
