"""The rehearsal: the whole product on a simulated shop, day by day, and what it measured beside the hidden truth.

The simulator lands files, the real DAGs run, messages leave through the real outbox by SMTP into a local Maildir,
simulated customers read them there and react, and the coupons that they use come back by the signed webhook. What one
campaign did is measured and learned from before the next. Nothing but the shop, its customers and the time is
simulated, and nothing of what customers hide is told to the product.
"""

from __future__ import annotations

import email
import email.policy
import hashlib
import json
import mailbox
import os
import re
import shutil
import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import date, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import TYPE_CHECKING

from holdfast import rehearsal_plot, rehearsal_truth
from holdfast.adapters import clock
from holdfast.adapters.atomic import write_bytes
from holdfast.adapters.simulated_files import land_day, notice
from holdfast.adapters.sink import mail_sink
from holdfast.campaign.definition import Campaign
from holdfast.campaign.signing import key_of, new_secret, sign
from holdfast.effect.rivals import Valued
from holdfast.errors import HoldfastError, ImmatureLabelError, SettingsError
from holdfast.pipelines.rehearse_campaign import treatment_of
from holdfast.settings import Settings
from holdfast.simulator.comparison import Compared
from holdfast.simulator.mail import Received, understand
from holdfast.simulator.shop import SimulatedShop, Used
from holdfast.windows import instant

if TYPE_CHECKING:
    from holdfast import loop
    from holdfast.adapters.airflow.embedded import EmbeddedAirflow, TaskEnd

_MORNING = timedelta(hours=5)
_ELSEWHERE = ("operations_url", "mlflow_url", "feast_registry_url", "feast_online_url")
"""Settings by which a home's data would lie outside it."""


@dataclass(frozen=True)
class Script:
    """What is rehearsed: so many ``customers`` and ``seed``; ``history_days`` land before the first of ``campaigns``.

    A campaign is planned every ``every_days``. ``ingest_days`` is how many days' files are ingested together between
    campaigns.
    """

    customers: int
    seed: int
    history_days: int
    campaigns: int
    every_days: int
    ingest_days: int


@dataclass(frozen=True)
class Act:
    """One campaign of a rehearsal: what had been learned, what left, what customers understood, and what came back.

    ``learned`` is what the DAG ``learn`` said before it, None where no campaign had matured. ``chosen_by`` is the
    policy by which it went, or ``not_sent`` says why it could not. ``mails`` counts messages read by arm, ``used`` the
    coupons used until the next, ``answers`` the ledger's answers to the webhooks about them.
    """

    campaign_id: str
    cutoff: date
    learned: str | None = None
    chosen_by: str | None = None
    not_sent: str | None = None
    mails: dict[str, int] = field(default_factory=dict)
    used: int = 0
    answers: dict[str, int] = field(default_factory=dict)


Tell = Callable[[str], None]


@contextmanager
def prepared(home: Path, script: Script, config: Path | None, rules: Path, campaign: Path) -> Iterator[SimulatedShop]:
    """A rehearsal's home with its clock, its campaign and a local mailbox; the settings point at it from here on.

    Raises SettingsError when the home is in use, or a setting would have the rehearsal write elsewhere.
    """
    from holdfast import wiring

    here = Settings()
    outside = [name for name in _ELSEWHERE if getattr(here, name) is not None]
    if outside:
        names = ", ".join(f"HOLDFAST_{name.upper()}" for name in outside)
        raise SettingsError(f"{names}: a rehearsal writes nothing outside its own home. Unset it.")
    shop = SimulatedShop(wiring.shop_config(config), script.customers, script.seed)
    clock.begin_rehearsal(home, _at(shop, 0, timedelta(0)))
    write_bytes(home / "SIMULATED.txt", notice(shop.config, shop.customers, shop.seed).encode())
    shutil.copytree(here.project / "campaigns" / "templates", home / "campaigns" / "templates")
    shutil.copy(campaign, home / "campaigns" / campaign.name)
    with mail_sink(home / "mail", here.loopback, 0) as port:
        os.environ.update(
            HOLDFAST_HOME=str(home),
            HOLDFAST_RULES=str(rules),
            HOLDFAST_CAMPAIGNS=str(home / "campaigns"),
            HOLDFAST_APPROVAL="auto",
            # Hashes of pseudonyms draw the arms: the same seed must draw the same, and there is nobody to protect.
            HOLDFAST_PSEUDONYM_KEY=hashlib.sha256(f"simulated:{script.seed}".encode()).hexdigest(),
            HOLDFAST_SMTP_HOST=here.loopback,
            HOLDFAST_SMTP_PORT=str(port),
            HOLDFAST_SMTP_STARTTLS="false",
        )
        os.environ.pop("HOLDFAST_SMTP_USER", None)
        yield shop


@dataclass(frozen=True)
class Rehearsed:
    """The end of a rehearsal: its acts, what the product measured beside the truth, and the picture of it.

    ``learned`` is what the DAG ``learn`` said of all of them; ``plans`` is what each plan brought in truth, and what
    its rivals would have.
    """

    acts: tuple[Act, ...]
    claims: dict[str, str]
    learned: str
    compared: tuple[Compared, ...]
    plans: tuple[Valued, ...]
    picture: Path


def rehearse(shop: SimulatedShop, script: Script, tell: Tell, task: Callable[[TaskEnd], None]) -> Rehearsed:
    """Play the script in the prepared home. Raises the failing task's own error.

    A campaign without a champion to score by is told as not sent, and the days go on; HoldfastError where that holds
    for all of them. The last campaign's outcomes have matured at the end, and every run has been read and learned from.
    """
    from holdfast import wiring

    key = new_secret()
    os.environ["HOLDFAST_INBOUND_KEYS"] = json.dumps({"redemptions": [key]})
    settings = wiring.prepare()
    horizon = wiring.rules().label.horizon_days
    if script.every_days < horizon:
        raise SettingsError(
            f"a campaign every {script.every_days} days would meet the one before within its horizon of {horizon} "
            "days, so that neither's true effect would be known; take as many days or more"
        )
    from holdfast.adapters.airflow.embedded import EmbeddedAirflow

    with ExitStack() as opened:
        airflow = opened.enter_context(EmbeddedAirflow(settings, settings.logs / "rehearsal.log", task))
        stage = _Stage(shop, settings, airflow, opened.enter_context(_public_app(settings)), key_of(key), horizon, tell)
        tell(f"{script.history_days} days of history, {script.customers:,} simulated customers")
        for _ in range(script.history_days):
            land_day(shop, settings.landing)
        stage.ingest()
        acts: list[Act] = []
        for number in range(script.campaigns):
            learned = stage.learn() if any(act.not_sent is None for act in acts) else None
            act = replace(stage.campaign(), learned=learned)
            days = script.every_days if number + 1 < script.campaigns else horizon
            acts.append(stage.days_after(act, days, script.ingest_days))
            tell(f"{act.campaign_id}: {_told(acts[-1])}")
        sent = [act for act in acts if act.not_sent is None]
        if not sent:
            raise HoldfastError(
                f"no campaign could be run, the last one since {acts[-1].not_sent} Or give more "
                "--customers, --history or --campaigns."
            )
        return _ended(acts, sent, stage.learn(), settings)


def _told(act: Act) -> str:
    return f"not sent, since {act.not_sent}" if act.not_sent else f"{sum(act.mails.values())} mails; {act.answers}"


def _ended(acts: Sequence[Act], sent: Sequence[Act], learned: str, settings: Settings) -> Rehearsed:
    """What the readouts say beside the truth, kept as JSON and as a picture in the home's reports."""
    from holdfast import wiring
    from holdfast.pipelines import readouts

    found = {one.campaign_id: one for one in readouts.latest(wiring.lake())}
    # A run that assigned nobody has no readout.
    read = [found[act.campaign_id] for act in sent if act.campaign_id in found]
    compared = tuple(one for readout in read for one in rehearsal_truth.compared(readout, settings.home))
    cutoffs = {act.campaign_id: act.cutoff for act in sent}
    plans = tuple(
        one
        for readout in read
        for one in rehearsal_truth.rivals(readout.campaign_id, cutoffs[readout.campaign_id], settings.home)
    )
    shop = wiring.rules().shop
    picture = settings.reports / "simulated_rehearsal.png"
    titles = {act.campaign_id: f"{act.cutoff:%d %b}\n{_policy(act)}" for act in acts}
    write_bytes(picture, rehearsal_plot.draw(titles, compared, plans, shop.name, shop.currency))
    claims = {one.campaign_id: one.claim for one in read}
    ended = Rehearsed(tuple(acts), claims, learned, compared, plans, picture)
    told = asdict(ended) | {"simulated": True}
    write_bytes(settings.reports / "simulated_rehearsal.json", json.dumps(told, indent=2, default=str).encode())
    return ended


def _policy(act: Act) -> str:
    """The policy in one word."""
    return re.split(r"[,;]", act.chosen_by)[0] if act.chosen_by else "not sent"


@dataclass
class _Stage:
    """Where the rehearsal plays."""

    shop: SimulatedShop
    settings: Settings
    airflow: EmbeddedAirflow
    public: str
    key: bytes
    horizon: int
    tell: Tell
    _read: set[str] = field(default_factory=set)

    def ingest(self) -> None:
        """The morning's landing files into the lake."""
        clock.advance(self.settings.home, _at(self.shop, self.shop.day, _MORNING))
        self.airflow.run("ingest", {}).raise_on_failure()

    def learn(self) -> str:
        """What campaigns have done, measured and learned from; returns what the latter told."""
        self._run("measure")
        return self._run("learn").summary

    def campaign(self) -> Act:
        """The morning of a campaign: features, model, scores, messages out; customers read them.

        Without a champion to score by, or days enough to train one, it is told as not sent.
        """
        from holdfast import wiring

        [name] = wiring.campaign_names()
        campaign, cutoff = wiring.campaign(name), self.shop.date
        act = Act(campaign.run_id(cutoff), cutoff)
        self._run("features")
        try:
            trained = self._run("train")
        except ImmatureLabelError as error:
            return replace(act, not_sent=f"no model could be trained: {error}")
        if wiring.registry().aliased("champion") is None:
            return replace(act, not_sent=f"no model is champion: {trained.end.value('weigh')['reason']}")
        self._run("score")
        [plan] = self._run("intervene").end.value("plan")
        if plan["passed_over"]:
            return replace(act, not_sent=f"the campaign is passed over: {plan['passed_over']}")
        self._run("report")
        rehearsal_truth.keep(self.shop, self.settings.home, campaign, cutoff, self.horizon)
        return replace(act, chosen_by=plan["chosen_by"], mails=self._customers_read(campaign))

    def days_after(self, act: Act, days: int, ingest_days: int) -> Act:
        """The days from a campaign on: the shop lives, coupons come back, files are ingested, late messages leave."""
        used, answers = 0, dict[str, int]()
        for day in range(days):
            if day and day % ingest_days == 0:
                self.ingest()
                self.airflow.run("deliver", {}).raise_on_failure()
                self._customers_read(None)
            land_day(self.shop, self.settings.landing)
            for one in self.shop.used_coupons():
                clock.advance(self.settings.home, one.at + timedelta(minutes=1))
                answer = self._report(one)
                used, answers = used + 1, answers | {answer: answers.get(answer, 0) + 1}
        self.ingest()
        return replace(act, used=used, answers=answers)

    def _run(self, stage: str) -> loop.Stage:
        from holdfast import loop

        done = loop.run(self.airflow, stage, self.shop.date.isoformat())
        self.tell(f"{self.shop.date} {stage}: {done.summary}")
        return done

    def _customers_read(self, campaign: Campaign | None) -> dict[str, int]:
        """Every customer reads the new mail and reacts; returns how many messages there were by arm.

        Raises HoldfastError when a customer understands something that no arm of the campaign says.
        """
        received = self._new_mail()
        self.shop.receive([(one.customer, one.treatment, one.code) for one in received])
        said = {treatment_of(arm): arm.name for arm in campaign.arms} if campaign else {}
        counts: dict[str, int] = {}
        for one in received if campaign else ():
            if one.treatment not in said:
                raise HoldfastError(
                    f"customer {one.customer} was told {one.treatment}, which no arm of the campaign says"
                )
            counts[said[one.treatment]] = counts.get(said[one.treatment], 0) + 1
        return counts

    def _new_mail(self) -> list[Received]:
        folder = mailbox.Maildir(self.settings.mailbox)
        new = sorted(set(folder.keys()) - self._read)
        self._read.update(new)
        understood = [understand(_parsed(folder.get_bytes(one)), self.shop.date) for one in new]
        return [one for one in understood if one is not None]

    def _report(self, used: Used) -> str:
        """Tell the running public app of a used coupon, as the shop's till would; returns the ledger's answer."""
        body = json.dumps(
            {
                "redemption_id": used.order_id,
                "code": used.code,
                "redeemed_at": used.at.isoformat(),
                "basket": f"{used.basket:.2f}",
                "discount": f"{used.discount:.2f}",
                "order_id": used.order_id,
            }
        ).encode()
        headers = {
            "content-type": "application/json",
            **sign(self.key, used.order_id, clock.now(self.settings.home), body),
        }
        request = urllib.request.Request(f"{self.public}/hooks/redemptions", body, headers)  # noqa: S310 - on loopback
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return str(json.loads(answer.read())["outcome"])


def _at(shop: SimulatedShop, day: int, time_of_day: timedelta) -> datetime:
    return instant(shop.config.calendar_day(day), shop.config.zone) + time_of_day


def _parsed(content: bytes) -> EmailMessage:
    message = email.message_from_bytes(content, policy=email.policy.default)
    if not isinstance(message, EmailMessage):
        raise HoldfastError("the mailbox holds something that is no e-mail")
    return message


@contextmanager
def _public_app(settings: Settings) -> Iterator[str]:
    """The public app, running on a free port of this machine; yields its address."""
    import uvicorn

    from holdfast import wiring

    listener = socket.create_server((settings.loopback, 0))
    server = uvicorn.Server(uvicorn.Config(wiring.public_app(), access_log=False, log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        if not thread.is_alive():
            raise HoldfastError("the public app did not start")
        time.sleep(0.01)
    try:
        yield f"http://{settings.loopback}:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
