"""Erasing a customer from real stores: all of it, once, whatever breaks off in between, and nobody else's."""

from __future__ import annotations

import json
import mailbox
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select, update

from holdfast.adapters.holdings import Derived, Exports, Mail, NamedInTexts, ParquetRows
from holdfast.adapters.lake import DeltaLake
from holdfast.adapters.operations import database
from holdfast.adapters.operations.erasure import CampaignRows, SqlErasures, VaultRows
from holdfast.adapters.operations.models import AuditRow, Base, OutboxRow
from holdfast.adapters.operations.progress import ProgressDatabase
from holdfast.adapters.operations.replies import RepliesDatabase
from holdfast.adapters.operations.vault import SqlVault
from holdfast.adapters.sources import LandingDirectory
from holdfast.campaign.audit import first_break
from holdfast.campaign.feedback import Feedback as Kind
from holdfast.campaign.feedback import SuppressionReason
from holdfast.campaign.outbox import Batch, idempotency_key, reference
from holdfast.campaign.replies import Told
from holdfast.errors import MissingDataError, PrivacyError
from holdfast.pipelines.holdings import LakeRows, LandingRows, QuarantineRows
from holdfast.pipelines.privacy import Erased, Erasing, export, readable
from holdfast.pipelines.replies import Feedback
from holdfast.ports import Holding, Person, Row
from holdfast.pseudonyms import Identities, Pseudonyms
from tests.fakes.canary import hits
from tests.fakes.channel import FakeChannel
from tests.fakes.faults import PowerCutError
from tests.fakes.landing_shop import SOURCE, ZONE, Shop
from tests.fakes.operations import KEYRING, NOON, campaign, decide, intervention, operations_url, scores

NAMES = Pseudonyms("a key")
ANN = Person("ann-4711", NAMES("ann-4711"), ("ann@shop.example",))
BOB = Person("bob-4712", NAMES("bob-4712"), ("bob@shop.example",))


class RealShop(Shop):
    """A shop with a lake on disk and a vault in a database."""

    def __init__(self, folder: Path, engine: Engine) -> None:
        super().__init__(folder / "landing")
        self.lake = DeltaLake(folder / "lake")
        self.vault = SqlVault(engine, KEYRING)
        self.erasures = SqlErasures(engine)

    @property
    def identities(self) -> Identities:
        gone = self.erasures.tombstones()
        return Identities(NAMES, lambda ids: {one for one in ids if NAMES.tombstone(one) in gone})


@dataclass(frozen=True)
class Home:
    """Stores in which Ann and Bob have left their traces."""

    folder: Path
    engine: Engine
    shop: RealShop

    def holdings(self) -> list[Holding]:
        files = LandingRows(LandingDirectory(self.shop.directory), SOURCE, ZONE)
        return [
            CampaignRows(self.engine, NOON),
            QuarantineRows(self.shop.lake, files),
            LakeRows(self.shop.lake),
            ParquetRows("feature files", self.folder / "offline"),
            Derived("feature engine", self.folder / "features"),
            NamedInTexts("logs", self.folder / "logs"),
            Mail(self.folder / "mail"),
            Exports(self.folder / "exports"),
            files,
            VaultRows(self.engine, self.shop.vault),
        ]

    def erase(self, person: Person = ANN) -> Erased:
        return Erasing(self.holdings(), self.shop.erasures, NAMES.tombstone).run(person, "anna", NOON)

    def held(self, person: Person) -> dict[str, list[Row]]:
        return export(person, self.holdings(), NOON)["held"]


def home(folder: Path, url: str) -> Home:
    engine = database.connect(url)
    shop = RealShop(folder, engine)
    shop.land("2017-03-01/customers.csv", "id,email\nann-4711,ann@shop.example\nbob-4712,bob@shop.example\n")
    shop.land_sales("2017-03-01", "o1,ann-4711,2017-03-01 12:00:00,p1,1,2.50", "o2,bob-4712,2017-03-01 12:00:00,p1,1,4")
    shop.land_sales("2017-03-02", "o3,ann-4711,2017-03-02 12:00:00,p1,1,2.50", "o4,ann-4711,soon,p1,1,4")
    shop.land_sales("2017-03-03", "o5,bob-4712,2017-03-03 12:00:00,p1,1,2.50")
    for day in ("2017-03-01", "2017-03-02", "2017-03-03"):  # a version of each table a day
        shop.ingest.run([path for path in LandingDirectory(shop.directory).paths() if path.startswith(day)])
    one = scores((ANN.customer_id, 0.6, "high", 90.0), (BOB.customer_id, 0.6, "high", 90.0))
    shop.lake.replace("scores", one, where={"cutoff": ["2017-11-26"]})
    (folder / "offline").mkdir()
    one.to_parquet(folder / "offline" / "2017-11-26.parquet")
    (folder / "features").mkdir()
    (folder / "features" / "log.arrow").write_bytes(b"..." + ANN.customer_id.encode())
    (folder / "logs").mkdir()
    (folder / "logs" / "run.log").write_text(f"unknown {ANN.customer_id}, {BOB.customer_id}; {ANN.customer_id}\n")
    decide(engine, [ANN.customer_id, BOB.customer_id], "given", NOON - timedelta(days=9))
    acting = intervention(engine, one, FakeChannel(), shards=1)
    acting.plan(campaign(control_share=0.01))
    with RepliesDatabase(engine).writing() as tx:
        tx.suppress(ANN.customer_id, "sms", SuppressionReason.UNSUBSCRIBED, "test", NOON)
    mail = mailbox.Maildir(folder / "mail")
    for person in (ANN, BOB):
        message = EmailMessage()
        message["To"], message["Subject"] = person.addresses[0], "$5 off"
        message.set_content("Hello")
        mail.add(message.as_bytes())
    stores = Home(folder, engine, shop)
    for person in (ANN, BOB):
        exported = folder / "exports" / person.own_id.partition("-")[0]
        exported.mkdir(parents=True)
        told = export(person, stores.holdings(), NOON)
        (exported / "held.json").write_text(json.dumps(told, default=str))
        (exported / "held.md").write_text(readable(told))
    return stores


@pytest.fixture
def stores(url: str, tmp_path: Path) -> Home:
    return home(tmp_path, url)


def audited(engine: Engine) -> list[Any]:
    with database.reading(engine) as connection:
        return list(connection.execute(select(AuditRow.__table__).order_by(AuditRow.seq)))


def in_order(held: Mapping[str, list[Row]]) -> dict[str, list[str]]:
    """The rows as texts, sorted: stores keep no order."""
    return {name: sorted(json.dumps(row, default=str, sort_keys=True) for row in rows) for name, rows in held.items()}


def everything(engine: Engine) -> str:
    """All rows of all tables of the operations database."""
    with database.reading(engine) as connection:
        return repr([list(connection.execute(select(table))) for table in Base.metadata.sorted_tables])


def test_all_that_is_held_is_told_with_what_is_sealed_opened(stores: Home) -> None:
    held = stores.held(ANN)
    assert {row["table"] for row in held["lake"]} == {"customers", "orders", "order_lines", "scores"}
    assert {row["table"] for row in held["operations database"]} == {"assignments", "offers", "outbox", "suppressions"}
    assert {row["table"] for row in held["vault"]} == {
        "contacts",
        "contacts, opened",
        "consents",
        "identities",
        "audit",
    }
    assert [row["email"] for row in held["vault"] if row["table"] == "contacts, opened"] == ["ann@shop.example"]
    assert [(row["file"], row["row"], row["rule"]) for row in held["quarantine"]] == [
        ("2017-03-02/sales.csv", 3, "not a time"),
        ("2017-03-02/sales.csv", 3, "unknown reference"),
    ]
    assert {row["file"] for row in held["landing files"]} == {
        "2017-03-01/customers.csv",
        "2017-03-01/sales.csv",
        "2017-03-02/sales.csv",
    }
    assert json.loads(json.dumps(held, default=str)).keys() == held.keys()
    text = readable(export(ANN, stores.holdings(), NOON))
    assert "- email: ann@shop.example" in text
    assert "bob" not in text
    assert BOB.customer_id not in json.dumps(held, default=str)


def test_nothing_of_one_customer_is_left_and_all_of_the_other(stores: Home) -> None:
    before = stores.held(BOB)
    told = {name: len(rows) for name, rows in stores.held(ANN).items() if name != "landing files"}
    done = stores.erase()
    assert done.erased == told
    assert not any(rows for name, rows in stores.held(ANN).items() if name != "landing files")
    assert done.left_to_shop == {"landing files": len(stores.held(ANN)["landing files"])}
    assert in_order(stores.held(BOB)) == in_order(before)
    assert ANN.customer_id not in everything(stores.engine)
    assert (
        f"unknown erased customer............., {BOB.customer_id}; erased"
        in (stores.folder / "logs" / "run.log").read_text()
    )
    assert hits(stores.folder, [ANN.customer_id]) == []
    assert hits(stores.folder, ["ann-4711", "ann@shop.example"], [stores.shop.directory]) == []


def test_the_certificate_is_in_an_audit_log_that_still_holds_and_names_nobody(stores: Home) -> None:
    done = stores.erase()
    entries = audited(stores.engine)
    assert entries[-1].action == "privacy.erase"
    assert entries[-1].details == done.certificate
    with intervention(stores.engine, scores(), FakeChannel()).planning.operations.reading() as tx:
        assert first_break(tx.audited()) is None
    told = json.dumps([[entry.subject, entry.details] for entry in entries])
    assert not [word for word in (ANN.own_id, ANN.customer_id, ANN.addresses[0]) if word in told]


def test_a_customer_erased_before_is_told_so_and_no_file_brings_them_back(stores: Home) -> None:
    stores.erase()
    count = len(audited(stores.engine))
    assert stores.erase() == Erased({}, {"landing files": len(stores.held(ANN)["landing files"])}, None)
    stores.shop.land("2017-03-04/customers.csv", "id,email\nann-4711,ann@shop.example\ncarl-1,carl@shop.example\n")
    stores.shop.land_sales("2017-03-04", "o9,ann-4711,2017-03-04 12:00:00,p1,1,2.50")
    stores.shop.run()
    assert not any(rows for name, rows in stores.held(ANN).items() if name != "landing files")
    assert NAMES("carl-1") in stores.shop.column("customers", "customer_id")
    assert len(audited(stores.engine)) == count


def test_an_id_that_nothing_is_held_of_is_refused_and_the_customer_who_gets_it_later_is_let_in(stores: Home) -> None:
    with pytest.raises(MissingDataError, match=r"nothing is held about customer 'carl-1'.* the id is misspelt"):
        stores.erase(Person("carl-1", NAMES("carl-1")))
    assert stores.shop.erasures.tombstones() == frozenset()
    stores.shop.land("2017-03-04/customers.csv", "id,email\ncarl-1,carl@shop.example\n")
    stores.shop.run()
    assert NAMES("carl-1") in stores.shop.column("customers", "customer_id")


def test_a_planned_message_to_an_erased_customer_never_leaves_and_the_sums_still_hold(stores: Home) -> None:
    channel = FakeChannel()
    acting = intervention(stores.engine, scores(), channel, shards=1)
    words = {"locale": "en", "reason": "gap", "products": [], "case": None}
    with database.writing(stores.engine) as connection:
        connection.execute(update(OutboxRow).values(context=words))
    stores.erase()
    acting.send(Batch("email", 0, 1), lambda: NOON)
    assert channel.recipients == ["bob@shop.example"]
    [account] = acting.account(["win_back@2017-11-26"])
    assert (account["treated"], account["sent"], account["skipped_at_send"]) == (2, 1, 1)
    with database.reading(stores.engine) as connection:
        contexts = dict(connection.execute(select(OutboxRow.customer_id, OutboxRow.context)).all())
    assert contexts.pop(BOB.customer_id) == words
    [(name, left)] = contexts.items()
    assert name.startswith("erased-")
    assert left is None


def test_earlier_versions_with_the_customers_rows_are_gone_and_say_why_and_the_others_stay(stores: Home) -> None:
    lake = stores.shop.lake
    versions = lake.version("orders")
    with_ann = [
        version
        for version in range(versions + 1)
        if len(lake.read("orders", None, {"customer_id": [ANN.customer_id]}, version))
    ]
    assert with_ann
    stores.erase()
    for version in with_ann:
        with pytest.raises(MissingDataError, match="rows of a customer who was erased since"):
            lake.read("orders", version=version)
    assert lake.read("orders")["customer_id"].tolist() == [BOB.customer_id] * 2


def test_no_name_that_a_message_had_outside_leads_to_the_rows_of_who_was_erased(stores: Home) -> None:
    run = "win_back@2017-11-26"
    names = [reference(idempotency_key(run, one.customer_id, "email")) for one in (ANN, BOB)]
    replies = Feedback(RepliesDatabase(stores.engine))
    for number, name in enumerate(names):
        assert replies.receive("email", Told(f"event-{number}", name, Kind.OPENED, NOON), NOON)
    stores.erase()
    kept = everything(stores.engine)
    assert [name in kept for name in names] == [False, True]
    assert ["event-0" in kept, "event-1" in kept] == [False, True]
    assert sum(one.opened for one in ProgressDatabase(stores.engine).of(run)) == 2
    assert not replies.receive("email", Told("event-2", names[0], Kind.BOUNCED, NOON, permanent=True), NOON)


class Cut:
    """A holding, or the erasures, in front of which the power fails at the chosen boundary of a changing call."""

    def __init__(self, real: Any, left: list[int]) -> None:
        self._real, self._left = real, left

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._real, name)
        if name not in ("erase", "begin", "found", "finish"):
            return found

        def changing(*arguments: Any) -> Any:
            self._step()
            done = found(*arguments)
            self._step()
            return done

        return changing

    def _step(self) -> None:
        self._left[0] -= 1
        if self._left[0] < 0:
            raise PowerCutError


@pytest.mark.parametrize("step", [7, pytest.param(1, marks=pytest.mark.full)])
def test_a_power_cut_at_any_step_is_finished_by_the_next_call_with_the_same_certificate(
    tmp_path: Path, step: int
) -> None:
    whole: Mapping[str, int] | None = None
    cuts = 0
    for boundary in range(0, 60, step):
        folder = tmp_path / str(boundary)
        folder.mkdir()
        stores = home(folder, operations_url(folder))
        left = [boundary]
        holdings, erasures = [Cut(one, left) for one in stores.holdings()], Cut(stores.shop.erasures, left)
        erasing = Erasing(holdings, erasures, NAMES.tombstone)  # type: ignore[arg-type]
        survived = True
        try:
            erasing.run(ANN, "anna", NOON)
        except PowerCutError:
            survived = False
            cuts += 1
            stores.erase()
        entries = [one for one in audited(stores.engine) if one.action == "privacy.erase"]
        assert len(entries) == 1
        assert ANN.customer_id not in everything(stores.engine)
        assert not any(rows for name, rows in stores.held(ANN).items() if name != "landing files")
        whole = whole or entries[0].details["erased"]
        assert entries[0].details["erased"] == whole
        if survived:
            break
    assert cuts == -(-2 * (9 * 2 + 2) // step)  # begin, nine holdings noted and erased, finish; before and after each


def test_what_is_written_while_the_erasure_runs_is_told_not_passed_over(stores: Home) -> None:
    class Busy:
        """A store that some task goes on writing to."""

        name, kept_by = "scratch", "us"

        def held(self, person: Person) -> list[Row]:
            return [{"file": "late.parquet"}]

        def erase(self, person: Person) -> None:
            pass

    erasing: Callable[..., Erased] = Erasing([Busy()], stores.shop.erasures, NAMES.tombstone).run  # type: ignore[list-item]
    with pytest.raises(PrivacyError, match=r"scratch still hold rows .* Wait until no DAG runs"):
        erasing(ANN, "anna", NOON)
