"""The composition root: builds each use case from the settings. DAGs and the command line call nothing else."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import asdict
from datetime import UTC, date, datetime
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pandas as pd
from sqlalchemy import Engine

from holdfast import guessing, horizon_plot, windows
from holdfast.adapters import clock, environment, files, queries, sample, simulated_files
from holdfast.adapters.atomic import write_bytes
from holdfast.adapters.channels import configured
from holdfast.adapters.channels.email import Dkim, SmtpChannel, SmtpServer
from holdfast.adapters.csv_export import write_csv
from holdfast.adapters.csv_import import read_rows
from holdfast.adapters.feature_store import FeastStore
from holdfast.adapters.holdings import Derived, Mail, NamedInTexts, ParquetRows, Served
from holdfast.adapters.lake import DeltaLake
from holdfast.adapters.local_engine import LocalEngine
from holdfast.adapters.online.configured import reader as online_reader
from holdfast.adapters.online.configured import writer as online_writer
from holdfast.adapters.operations import database
from holdfast.adapters.operations.access import EntitlementDatabase, KeyDatabase
from holdfast.adapters.operations.erasure import CampaignRows, MessageWords, SqlErasures, VaultRows
from holdfast.adapters.operations.progress import ProgressDatabase
from holdfast.adapters.operations.replies import RepliesDatabase
from holdfast.adapters.operations.repository import OperationsDatabase
from holdfast.adapters.operations.sealing import Keyring
from holdfast.adapters.operations.trials import TrialDatabase
from holdfast.adapters.operations.vault import SqlVault
from holdfast.adapters.quality import GreatExpectations
from holdfast.adapters.quality import write_suites as write_quality_suites
from holdfast.adapters.registry import CHURN, MODEL_NAME, Kind, MlflowRegistry, uplift_of
from holdfast.adapters.scratch import FileScratch
from holdfast.adapters.secret_file import kept_secret
from holdfast.adapters.sources import LandingDirectory
from holdfast.adapters.spark_engine import SparkEngine
from holdfast.adapters.template_process import TemplateProcess
from holdfast.adapters.yaml_files import load
from holdfast.campaign.definition import Campaign, Message
from holdfast.campaign.envelope import Envelope
from holdfast.campaign.lanes import channels_in
from holdfast.campaign.links import Links
from holdfast.campaign.messages import Composer
from holdfast.campaign.mime import as_email, sender_address
from holdfast.campaign.offers import Redeemed
from holdfast.campaign.outbox import Batch
from holdfast.campaign.signing import key_of
from holdfast.effect import uplift_plots
from holdfast.effect.power import Design
from holdfast.effect.uplift_gate import Terms
from holdfast.effect.uplift_model import UpliftModel
from holdfast.errors import CampaignError, MissingDataError, SettingsError
from holdfast.history import History
from holdfast.horizon import HorizonStudy, study
from holdfast.language import Language, language_of
from holdfast.mapping import Mapping as SourceMapping
from holdfast.model.record import ModelVersion
from holdfast.model.served import ServedModel
from holdfast.pipelines import effect_page, message_preview, readouts
from holdfast.pipelines.accounting import Account, accounts, accounts_of
from holdfast.pipelines.alert import ALERT, Alerting
from holdfast.pipelines.audit import Audit, Report
from holdfast.pipelines.compare import Compared
from holdfast.pipelines.compare import compare as _compare
from holdfast.pipelines.compare_uplift import ComparedUplift, covariates_of
from holdfast.pipelines.compare_uplift import compare_uplift as _compare_uplift
from holdfast.pipelines.customer import CustomerCard
from holdfast.pipelines.customer import customer_card as _customer_card
from holdfast.pipelines.decisions import decisions
from holdfast.pipelines.drift import DriftWatch
from holdfast.pipelines.features import Features
from holdfast.pipelines.funnels import campaign_funnels
from holdfast.pipelines.holdings import LakeRows, LandingRows, QuarantineRows
from holdfast.pipelines.identities import hold_to_pseudonyms
from holdfast.pipelines.ingest import Ingest
from holdfast.pipelines.learn import Learning, Prepared
from holdfast.pipelines.measure import Measuring
from holdfast.pipelines.planning import Plan, Planning
from holdfast.pipelines.preview import Preview
from holdfast.pipelines.preview import preview as _preview
from holdfast.pipelines.privacy import Erased, Erasing, readable
from holdfast.pipelines.privacy import export as _export_person
from holdfast.pipelines.programme import Programme
from holdfast.pipelines.promote import Promotion
from holdfast.pipelines.quarantine import row_values, standing
from holdfast.pipelines.rebuild import Rebuild
from holdfast.pipelines.recommend import Recommended, write_recommendations
from holdfast.pipelines.redeem import redeem, reports_of
from holdfast.pipelines.rehearse_campaign import CampaignRehearsal
from holdfast.pipelines.rehearse_campaign import rehearse_campaign as _rehearse_campaign
from holdfast.pipelines.replies import Feedback, Preferences
from holdfast.pipelines.report import Reporting
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
from holdfast.pipelines.retry import Retry
from holdfast.pipelines.score import Scoring
from holdfast.pipelines.sending import Sending, Sent
from holdfast.pipelines.train import Training
from holdfast.pipelines.trials import Trials
from holdfast.pipelines.uplift_review import terms_of
from holdfast.pipelines.uplift_scores import BudgetCurve, UpliftScoring, UpliftStanding, budget_of, standing_uplift
from holdfast.ports import Alias, Channel, FeatureEngine, Holding, Person
from holdfast.pseudonyms import Identities, Pseudonyms, is_pseudonym
from holdfast.rules import Rules, Shop
from holdfast.settings import Settings
from holdfast.simulator.config import ShopConfig
from holdfast.simulator.shop import SimulatedShop

if TYPE_CHECKING:
    from fastapi import FastAPI

_Model = TypeVar("_Model", ServedModel, UpliftModel)


def settings() -> Settings:
    return Settings()


def now() -> datetime:
    """The time by which the product acts: real, or a rehearsal's."""
    return clock.now(settings().home)


def _clock() -> Callable[[], datetime]:
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
    return MlflowRegistry(here.mlflow, artifacts, lambda: database.exclusive(_engine()), kind)


def _engine() -> Engine:
    return database.connect(settings().operations)


def operations() -> OperationsDatabase:
    return OperationsDatabase(_engine(), _keyring())


def vault() -> SqlVault:
    return SqlVault(_engine(), _keyring())


def _keyring() -> Keyring:
    here = settings()
    keys = tuple(key.get_secret_value() for key in here.vault_keys)
    return Keyring(keys or (kept_secret(here.secrets / "vault"),))


def pseudonyms() -> Pseudonyms:
    here = settings()
    key = here.pseudonym_key.get_secret_value() if here.pseudonym_key else kept_secret(here.secrets / "pseudonyms")
    return Pseudonyms(key)


def customer_id(own_id: str) -> str:
    """What Holdfast calls the customer whom the shop calls ``own_id``; a pseudonym is taken as it is.

    Whoever asks from outside, at the command line or through a service, comes by here and nowhere else.
    """
    return own_id if is_pseudonym(own_id) else pseudonyms()(own_id)


def identities() -> Identities:
    """How ingestion calls customers."""
    names, erasures = pseudonyms(), SqlErasures(_engine())

    def erased(customer_ids: Set[str]) -> Set[str]:
        tombstones = erasures.tombstones()
        return {one for one in customer_ids if tombstones and names.tombstone(one) in tombstones}

    return Identities(names, erased)


def person(own_id: str) -> Person:
    """The customer whom the shop calls so, for a person's rights."""
    customer = pseudonyms()(own_id)
    contact = vault().contact(customer)
    return Person(own_id, customer, (contact["email"],) if "email" in contact else ())


def holdings(now: datetime) -> list[Holding]:
    """Everywhere that something about a customer may be kept, in the order of erasure."""
    here, shop = settings(), rules().shop
    files = LandingRows(LandingDirectory(here.landing), _source(shop), shop.zone)
    return [
        CampaignRows(_engine(), now),
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
        files,
        VaultRows(_engine(), vault()),
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
    """Erase the customer everywhere, or finish what was broken off."""
    return Erasing(holdings(at), SqlErasures(_engine()), pseudonyms().tombstone).run(person(own_id), actor, at)


def _scratch() -> FileScratch:
    return FileScratch(settings().work)


def _source(shop: Shop, name: str | None = None) -> SourceMapping:
    """The shop's source mapping, held to the shop's currency; one of another ``name`` is held to its own."""
    path = settings().sources_dir / f"{name or shop.source}.yaml"
    source = load(path, SourceMapping)
    if name not in (None, shop.source):
        return source
    if source.currency not in (None, shop.currency):
        raise SettingsError(
            f"{path}: currency {source.currency}, but the rules of {shop.name} say {shop.currency}. Make them agree."
        )
    return source.model_copy(update={"currency": shop.currency})


def ingest() -> Ingest:
    """Raises SettingsError where the lake knows customers by other names than ingestion would give them."""
    hold_to_pseudonyms(lake(), vault(), pseudonyms())
    return _arrivals()


def _arrivals() -> Ingest:
    """What has landed, to be asked about: nothing is read from the vault."""
    here, own = settings(), rules()
    shop = own.shop
    return Ingest(
        landing=LandingDirectory(here.landing),
        source=_source(shop),
        zone=shop.zone,
        lake=lake(),
        vault=vault(),
        quality=quality(),
        now=now(),
        rules=own.ingest,
        calendar=shop.calendar,
        identities=identities(),
    )


def retention(now: datetime, *, dry: bool) -> list[dict[str, Any]]:
    """Delete what the rules keep no longer (a dry run only counts it): the name, days and count of each kind."""
    here, own = settings(), rules()
    shop, store = own.shop, lake()
    kept: dict[str, Dated] = {
        "landing": LandingFiles(LandingDirectory(here.landing), _source(shop), shop.zone, store),
        "quarantine": QuarantinedRows(store),
        "events": Events(store),
        "messages": MessageWords(_engine()),
        "contacts": ContactsOfTheGone(store, vault()),
        "work": Files((here.work,)),
        "logs": Files((here.logs, here.airflow_home / "logs")),
        "exports": Files((here.exports,)),
    }
    days = own.retention.model_dump()
    periods = [Period(name, days[name], of) for name, of in kept.items() if days[name] is not None]
    return [{"name": one.name, "days": one.days, "count": one.count} for one in enforce(periods, now, dry=dry)]


def compact(least_files: int | None = None) -> list[dict[str, Any]]:
    """Compact every table of the lake that has many small files; returns those that changed, with their file counts.

    ``least_files`` is from how many files on a table is compacted; the lake's own default if left out.
    """
    store = lake()
    done = [store.compact(table, *([] if least_files is None else [least_files])) for table in store.tables()]
    return [asdict(one) for one in done if one.after < one.before]


def preview(file: Path, source: str | None, at: datetime, show: int) -> Preview:
    """What the mapping (default: the shop's) makes of a file, as if it landed ``at``."""
    shop = rules().shop
    landing = LandingDirectory(Path(file.resolve().anchor))
    path = str(file.resolve().relative_to(file.resolve().anchor))
    today = at.astimezone(shop.zone).date()
    return _preview(_source(shop, source), landing, path, zone=shop.zone, today=today, show=show)


def export(path: Path, rows: pd.DataFrame) -> None:
    """Write rows as CSV for people."""
    write_csv(path, rows)


def export_decisions(path: Path, campaign_ids: Sequence[str]) -> int:
    """Write these runs' decisions (all runs', if none is named) as CSV or Parquet; returns their number.

    Raises SettingsError when the file's name ends on neither.
    """
    if path.suffix not in (".csv", ".parquet"):
        raise SettingsError(
            f"{path.name}: the decision log is written as .csv or .parquet; end the name on one of them"
        )
    with operations().reading() as tx:
        wanted = list(campaign_ids) or tx.run_ids()
    rows = decisions(trials(), wanted, latest_cutoff())
    if path.suffix == ".csv":
        write_csv(path, rows)
    else:
        buffer = BytesIO()
        rows.to_parquet(buffer, index=False)
        write_bytes(path, buffer.getvalue())
    return len(rows)


def guess_source(name: str, samples: Sequence[Path], currency: str) -> Path:
    """Write ``sources/<name>.yaml`` guessed from samples. Raises SettingsError where there is one already."""
    target = settings().sources_dir / f"{name}.yaml"
    if target.exists():
        raise SettingsError(f"{target} exists and is not overwritten. Choose another name, or move it away.")
    write_bytes(target, guessing.mapping_text(name, [files.sample(path) for path in samples], currency).encode())
    return target


def pull(day: date, source: str | None) -> dict[str, queries.Pulled]:
    """Land the day's rows of every query of the mapping (default: the shop's), by input."""
    here, shop = settings(), rules().shop
    return {
        name: queries.pull(one, here.landing, day, shop.zone, here.source_urls)
        for name, one in _source(shop, source).inputs.items()
        if one.query is not None
    }


def quarantine() -> pd.DataFrame:
    """Everything ever quarantined, with what settled it (``pipelines.quarantine.standing``)."""
    return standing(lake())


def quarantined_row(file: str, number: int, personal: bool) -> dict[str, dict[str, str]]:
    """What the mapping makes of one row of a landing file, masked unless ``personal``."""
    shop = rules().shop
    landing = LandingDirectory(settings().landing)
    return row_values(landing, _source(shop), shop.zone, file=file, number=number, personal=personal)


def retry(now: datetime) -> Retry:
    here, shop = settings(), rules().shop
    return Retry(
        ingest(),
        landing=LandingDirectory(here.landing),
        source=_source(shop),
        zone=shop.zone,
        lake=lake(),
        vault=vault(),
        quality=quality(),
        now=now,
        identities=identities(),
    )


def latest_cutoff() -> date:
    """The latest day up to which the lake is complete."""
    return _arrivals().complete_to()


def feature_engine() -> FeatureEngine:
    here, zone = settings(), rules().shop.zone
    if here.feature_engine == "spark":
        return SparkEngine(lake(), zone, here.feature_state, here.spark_master, here.spark_parts)
    return LocalEngine(lake(), zone, here.feature_state, here.feature_workers or os.cpu_count() or 1)


def quality() -> GreatExpectations:
    return GreatExpectations(settings().quality_dir, settings().quality_output)


def features() -> Features:
    return Features(feature_engine(), lake(), quality(), feature_store(), rules(), latest_cutoff())


def training() -> Training:
    return Training(lake(), feature_store(), registry(), _scratch(), rules(), studies=settings().studies)


def compare(candidates: Sequence[str], cutoff: date, blend: Sequence[str] | None = None) -> Iterator[Compared]:
    """The candidates on the backtest as of ``cutoff``, one after another; ``blend`` by default as the rules say."""
    rows = _scratch().read(training().prepare(cutoff.isoformat())["path"])
    return _compare(rows, candidates, rules(), cutoff, blend)


def aliased_models() -> dict[Alias, ModelVersion]:
    """The versions that hold an alias. Raises MissingDataError when no model was ever registered."""
    known = registry()
    aliases: tuple[Alias, ...] = ("champion", "previous", "challenger")
    found = {alias: known.aliased(alias) for alias in aliases}
    if not any(found.values()):
        raise MissingDataError("no model was ever registered. Run the train DAG first.")
    return {alias: version for alias, version in found.items() if version is not None}


def model_version(number: str | None) -> ModelVersion:
    """The registered version of this number, or the champion. Raises ModelError when there is none."""
    return registry().version(number)


def promotion() -> Promotion:
    pages = settings().mlflow_pages

    def page(version: ModelVersion) -> str:
        return f"{pages}/#/models/{MODEL_NAME}/versions/{version.version}"

    return Promotion(lake(), registry(), _scratch(), rules(), time.perf_counter, page)


def rebuild() -> Rebuild:
    return Rebuild(lake(), registry(), FileScratch(settings().work / "rebuilt"), settings().studies)


def scoring() -> Scoring:
    return Scoring(lake(), feature_store(), registry(), _scratch(), rules(), objectors=vault().objectors)


def preview_messages(template: str, channel: str, own_id: str | None, at: datetime) -> dict[str, Envelope]:
    """The template's messages by heading: to invented customers, or to this one as of the latest scores."""
    message = Message(channel=channel, template=template)
    if own_id is None:
        return message_preview.invented(composer(), message, at)
    return message_preview.for_customer(lake(), composer(), message, customer_id(own_id), at)


def message_source(template: str, locale: str, at: datetime) -> str:
    """The raw e-mail that an invented customer who has everything would get."""
    specimens = composer().specimens(
        Message(channel="email", template=template), message_preview.coupon(rules().shop, at), at
    )
    envelope = next(one.envelope for one in specimens if (one.locale, one.customer) == (locale, "full"))
    return as_email(envelope, settings().smtp_sender).as_bytes().replace(b"\r\n", b"\n").decode("ascii")


def write_message_page(name: str, messages: Mapping[str, Envelope]) -> Path:
    """Write the messages as a page beside the reports and return its path."""
    path = settings().reports / "messages" / f"{name}.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, message_preview.page(f"Messages of template {name}", messages).encode())
    return path


def public_app() -> FastAPI:
    """The preference page with the signed hooks whose keys are set."""
    from holdfast.public.app import Inbound, create_app, redemption_hook, report_hook

    here, replies = settings(), RepliesDatabase(_engine())
    feedback = Feedback(replies)
    hooks = {}
    for name, keys in here.inbound_keys.items():
        kind, _, channel = name.partition("/")
        if name != "redemptions" and (kind != "feedback" or not channel):
            raise SettingsError(f"HOLDFAST_INBOUND_KEYS names {name!r}; hooks are redemptions and feedback/<channel>")
        signed_by = [key_of(key.get_secret_value()) for key in keys]
        act = report_hook(feedback, channel) if channel else redemption_hook(operations())
        hooks[name] = Inbound(signed_by, act)
    return create_app(rules().shop.name, Preferences(links(), replies), hooks, now)


def serve_public() -> None:
    """Serve the public app until interrupted."""
    import uvicorn

    here = settings()
    # No access log: the path of a preference page is its key.
    uvicorn.run(public_app(), host=here.listens_on, port=here.preferences_port, access_log=False, log_level="warning")


def api_keys() -> KeyDatabase:
    return KeyDatabase(_engine())


def lookup_app() -> FastAPI:
    """The look-up API, as one of the processes that serve it."""
    from holdfast.lookup.app import create_app
    from holdfast.lookup.customers import Lookup
    from holdfast.lookup.door import Door
    from holdfast.lookup.journal import Journal, Metrics

    here, store, time_now = settings(), feature_store(), _clock()
    lookup = Lookup(
        online_reader(here.feast_online),
        EntitlementDatabase(_engine()),
        currency=rules().shop.currency,
        stored_id=pseudonyms(),
        clock=time_now,
    )
    door = Door(
        api_keys(),
        room=here.lookup_room,
        share=1 / here.lookup_workers,
        metrics=Metrics(here.lookup_metrics if here.lookup_workers > 1 else None),
        journal=Journal(sys.stdout, time_now),
        clock=time_now,
    )
    return create_app(lookup, door, store.served)


def serve_lookup() -> None:
    """Serve the look-up API until interrupted."""
    import uvicorn

    here = settings()
    if here.lookup_workers > 1:
        shutil.rmtree(here.lookup_metrics, ignore_errors=True)
        here.lookup_metrics.mkdir(parents=True)
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(here.lookup_metrics)  # read when prometheus_client is imported
    from holdfast.lookup.journal import SERVER_LOG

    uvicorn.run(
        "holdfast.wiring:lookup_app",
        factory=True,
        host=here.listens_on,
        port=here.lookup_port,
        workers=here.lookup_workers,
        loop="uvloop",
        http="httptools",
        ws="none",
        access_log=False,  # it would tell customers' ids
        log_config=SERVER_LOG,
        server_header=False,
        timeout_graceful_shutdown=10,
    )


def recommend(cutoff: str, parts: Sequence[str]) -> Recommended:
    """Write recommended products for every customer in these parts of a scoring run."""
    scored = pd.concat([_scratch().read(part)["customer_id"] for part in parts])
    return write_recommendations(lake(), rules(), cutoff, sorted(scored))


def drift_watch() -> DriftWatch:
    return DriftWatch(lake(), feature_store(), registry(), rules())


def campaign_names() -> list[str]:
    """The campaigns that the campaigns folder defines, by file name, those of greater priority first."""
    names = sorted(path.stem for path in settings().campaigns_dir.glob("*.yaml"))
    return sorted(names, key=lambda name: -campaign(name).priority)


def campaign(name: str) -> Campaign:
    """The campaign of this file name. Raises SettingsError when the file calls it otherwise."""
    path = settings().campaigns_dir / f"{name}.yaml"
    loaded = load(path, Campaign)
    if loaded.name != name:
        raise SettingsError(
            f"{path.name} names its campaign {loaded.name!r}; call both {name!r}, so that runs stay apart"
        )
    return loaded


def mail_channel() -> SmtpChannel:
    here = settings()
    if clock.is_rehearsal(here.home) and here.smtp_host not in (here.loopback, "localhost"):
        raise SettingsError(
            f"{here.home} is a rehearsal: its mail stays on this machine and cannot go to {here.smtp_host}. Unset "
            "HOLDFAST_SMTP_HOST."
        )
    return SmtpChannel(
        SmtpServer(
            host=here.smtp_host,
            port=here.smtp_port,
            hello=sender_address(here.smtp_sender).rpartition("@")[2],
            starttls=here.smtp_starttls,
            user=here.smtp_user,
            password=here.smtp_password.get_secret_value() if here.smtp_password else None,
        ),
        here.smtp_sender,
        Dkim(here.dkim_selector, here.dkim_key.read_bytes()) if here.dkim_key else None,
    )


def channels() -> dict[str, Channel]:
    """Every channel that messages can go by, by the name that campaigns use."""
    here = settings()
    rules_of = load(here.channels_file, configured.Channels)
    webhooks = [name for name, rule in rules_of.channels.items() if rule.kind == "webhook"]
    if webhooks and clock.is_rehearsal(here.home):
        raise SettingsError(
            f"{here.home} is a rehearsal: its messages stay on this machine, but {here.channels_file} sends by webhook "
            f"({', '.join(webhooks)}). Point HOLDFAST_CHANNELS at a file without."
        )
    return configured.build(rules_of, mail_channel(), here.webhook_secrets, now)


def links() -> Links:
    here = settings()
    keys = tuple(key.get_secret_value() for key in here.link_keys)
    return Links(here.preferences_url, keys or (kept_secret(here.secrets / "links"),))


def composer() -> Composer:
    here = settings()
    return Composer(
        render=TemplateProcess(here.campaigns_dir / "templates"),
        shop=rules().shop,
        links=links(),
        contact=sender_address(here.smtp_sender),
    )


def planning() -> Planning:
    own = rules()
    return Planning(
        lake=lake(),
        store=feature_store,
        operations=operations(),
        channels=channels(),
        composer=composer(),
        shop=own.shop,
        outreach=own.outreach,
    )


def sending() -> Sending:
    return Sending(
        operations=operations(),
        channels=channels(),
        composer=composer(),
        outreach=rules().outreach,
        worker=f"{socket.gethostname()}:{os.getpid()}",
    )


def campaign_batches(plans: Sequence[Plan], lane: str) -> list[dict[str, Any]]:
    """The batches of these campaign runs' messages that leave by the lane."""
    shards = rules().outreach.shards
    return [batch for one in channels_in(lane, channels()) for batch in planning().batches(plans, one, shards)]


def due_batches(lane: str) -> list[dict[str, Any]]:
    """The batches of all due messages that leave by the lane."""
    present, shards = now(), rules().outreach.shards
    with operations().reading() as tx:
        due = {one: tx.outbox.next_due(one) for one in channels_in(lane, channels())}
    ready = [one for one, at in due.items() if at and at <= present]
    return [asdict(Batch(one, shard, shards)) for one in ready for shard in range(shards)]


def send(batch: Mapping[str, Any]) -> Sent:
    """Send one batch's due messages."""
    return sending().send(Batch(**batch), now, time.sleep)


def redeem_file(file: Path, at: datetime) -> dict[str, Redeemed]:
    """Take in the redemptions of a CSV file. Raises SourceError naming row and field, with nothing taken in."""
    return redeem(operations(), reports_of(read_rows(file), file.name), f"file {file.name}"[:60], at)


def campaign_accounts(campaign_ids: Sequence[str]) -> list[Account]:
    """What became of these campaign runs; CampaignError when the sums do not add up."""
    return accounts(operations(), campaign_ids)


def alerting() -> Alerting:
    shop = rules().shop
    return Alerting(
        lake=lake(),
        progress=ProgressDatabase(_engine()),
        render=composer().render,
        channel=channels().get(ALERT),
        shop=shop.name,
        currency=shop.currency,
    )


def learning() -> Learning:
    return Learning(trials(), feature_store(), uplift_registry, _scratch())


def learning_campaigns() -> list[str]:
    """The campaigns that learn: those that choose by uplift, or whose arms' shares follow what they bring."""
    known = [campaign(name) for name in campaign_names()]
    return [one.name for one in known if one.policy.by == "uplift" or one.arm_shares is not None]


def weigh_uplift(prepared: Prepared, fitted: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Compare the learners of one campaign and register the best (``Learning.weigh``)."""
    pages, name = settings().mlflow_pages, prepared["campaign"]
    return learning().weigh(
        campaign(name), prepared, fitted, lambda version: f"{pages}/#/models/{uplift_of(name).name}/versions/{version}"
    )


def uplift_terms() -> Terms:
    return terms_of(rules())


def compare_uplift(
    campaign_id: str,
    *,
    outcome: str,
    arm: str | None,
    days: int | None,
    covariates: Path | None,
    columns: str | None,
    learners: Sequence[str],
) -> ComparedUplift:
    """Uplift learners on a finished campaign; ``columns`` (with commas) of the file ``covariates`` instead of features.

    Raises SettingsError when only one of the two is given: a file may hold outcomes, which nobody knew before.
    """
    if (covariates is None) != (columns is None):
        raise SettingsError("covariates and columns belong together: name the columns that were known beforehand")
    known = None
    if covariates is not None and columns is not None:
        names = [one.strip() for one in columns.split(",")]
        known = covariates_of(pd.read_csv(covariates), names, str(covariates))
    return _compare_uplift(
        trials(),
        feature_store(),
        campaign_id,
        outcome=outcome,
        learners=learners,
        terms=uplift_terms(),
        days=days,
        arm=arm,
        covariates=known,
    )


def uplift_standing(name: str) -> UpliftStanding:
    """Which uplift models the campaign has, and its arms' learned shares."""
    return standing_uplift(lake(), uplift_registry(name), campaign(name))


def uplift_budget(name: str, cutoff: str) -> BudgetCurve:
    """What budgets would bring on the scores of the cutoff, drawn beside the reports."""
    own, one = rules(), campaign(name)
    points = budget_of(lake(), one, cutoff, own.outreach.margin)
    path = settings().reports / f"budget-{name}-{cutoff}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, uplift_plots.budget(points, float(one.budget.money), own.shop.currency))
    return BudgetCurve(points, path)


def score_uplifts(cutoff: str) -> list[dict[str, Any]]:
    """Predict what each arm does to each active customer, for every campaign that chooses by uplift."""
    use_case = UpliftScoring(lake(), feature_store(), uplift_registry, rules(), vault().objectors)
    chosen = [campaign(name) for name in campaign_names()]
    return [use_case.score(one, cutoff) for one in chosen if one.policy.by == "uplift"]


def trials() -> Trials:
    return Trials(lake(), operations(), TrialDatabase(_engine()), rules())


def measuring() -> Measuring:
    return Measuring(trials(), latest_cutoff())


def programme() -> Programme:
    return Programme(trials(), latest_cutoff())


def campaign_design(name: str, cutoff: str, at: datetime) -> Design:
    """What a campaign planned on ``cutoff`` would have to measure with. Raises CampaignError when it treats nobody."""
    one = campaign(name)
    found = planning().preview(one, cutoff, at, first=sys.maxsize)
    if found.plan["treated"] == 0:
        raise CampaignError(f"{name} would treat nobody on {cutoff}, so there is nothing to measure")
    customers = found.plan["control"] + found.plan["treated"]
    return Design(customers, one.control_share, 1 - float(found.first["probability"].mean()))


def rehearse_campaign(name: str, cutoff: str, config: Path | None) -> CampaignRehearsal:
    """The campaign on a simulated shop like this one. Writes nothing."""
    one = campaign(name)
    preview = planning().preview(one, cutoff, now(), first=sys.maxsize)
    return _rehearse_campaign(lake(), one, preview, rules().shop, shop_config(config))


def publish_effects() -> list[str]:
    """Write the pages of the latest readouts beside the reports; returns their places."""
    folder = settings().reports / "effect"

    def write(name: str, page: str) -> str:
        folder.mkdir(parents=True, exist_ok=True)
        write_bytes(folder / name, page.encode())
        return str(folder / name)

    return effect_page.publish(readouts.latest(lake()), rules().shop, write)


def audit() -> Audit:
    return Audit(lake(), _scratch(), rules())


def audit_leakage(training_set: Path, cutoff: date) -> Report:
    """What a training set knows of the future, as of ``cutoff``."""
    return audit().leakage(_scratch().read(str(training_set)), cutoff)


def training_set(cutoff: date | None) -> Path:
    """The training set that the train DAG made for this cutoff, by default the latest; its folder is the cutoff's."""
    work = settings().work
    made = sorted(work.glob(f"{cutoff.isoformat() if cutoff else '*'}/training.parquet"))
    if not made:
        which = f" of cutoff {cutoff}" if cutoff else ""
        raise MissingDataError(f"{work} holds no training set{which}. Run the train DAG.")
    return made[-1]


def horizon_study(horizons: Sequence[int]) -> HorizonStudy:
    """The regret of these horizons over the cutoffs of the training grid, on all orders in the lake."""
    own, complete_to, tables = rules(), latest_cutoff(), lake()
    return study(
        History.of(tables.read("orders"), tables.read("order_lines")),
        horizons,
        windows.cutoffs(own.training.first_cutoff, complete_to, own.training.step_days),
        own.population.active_days,
        own.shop.zone,
        complete_to,
    )


def draw_horizon(of: HorizonStudy) -> Path:
    """Draw the study beside the reports and return the picture's path."""
    path = settings().reports / "horizon.png"
    write_bytes(path, horizon_plot.draw(of, rules().shop.name))
    return path


def customer_card(own_id: str, language: Language | None = None) -> CustomerCard:
    """The card of the customer whom the shop calls so, in the shop's language if no other is asked for."""
    asked = language or language_of(rules().shop.locale)
    return _customer_card(customer_id(own_id), feature_store(), operations(), asked, called=own_id)


def reporting() -> Reporting:
    here, own = settings(), rules()

    def publish(cutoff: str, page: str) -> str:
        path = here.reports / f"{cutoff}.html"
        write_bytes(path, page.encode())
        return str(path)

    arrivals = _arrivals()
    return Reporting(
        lake=lake(),
        store=feature_store(),
        registry=registry(),
        operations=operations(),
        accounts=partial(accounts_of, operations()),
        funnels=lambda cutoff: campaign_funnels(ProgressDatabase(_engine()), lake(), own, cutoff),
        rules=own,
        complete_to=arrivals.complete_to(),
        findings=arrivals.findings(),
        publish=publish,
        note=own.shop.note,
    )


def land_sample(until: date, share: float) -> sample.Landed:
    """Land the Complete Journey's history up to ``until`` for this share of its customers."""
    return sample.land(settings().landing, until=until, customers_share=share)


def shop_config(path: Path | None = None) -> ShopConfig:
    """What the simulated shop is like, by default as ``config/simulator.yaml`` says."""
    return load(path or settings().project / "config" / "simulator.yaml", ShopConfig)


def simulate(
    out: Path, *, config: Path | None, customers: int, days: int, seed: int, truth_days: int
) -> simulated_files.Simulated:
    """Simulate a shop into ``out``. Raises SettingsError when the folder holds anything already."""
    if out.exists() and any(out.iterdir()):
        raise SettingsError(f"{out} is not empty, and simulated files must not mix with others. Name a new folder.")
    shop = SimulatedShop(shop_config(config), customers, seed)
    return simulated_files.simulate(shop, days, out, truth_days)


def write_suites() -> list[Path]:
    """Write the Great Expectations suites anew from the data contract."""
    return write_quality_suites(settings().quality_dir)


def write_reference(pages: Mapping[str, str]) -> list[Path]:
    """Write reference pages, given by file name, into ``docs/``."""
    paths = [settings().project / "docs" / name for name in pages]
    for path, text in zip(paths, pages.values(), strict=True):
        write_bytes(path, text.encode())
    return paths
