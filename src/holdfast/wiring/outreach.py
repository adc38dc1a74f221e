"""Campaigns, messages and channels: planning, sending, redeeming, telling the team."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from holdfast.adapters import clock
from holdfast.adapters.atomic import write_bytes
from holdfast.adapters.channels import configured
from holdfast.adapters.channels.email import Dkim, SmtpChannel, SmtpServer
from holdfast.adapters.csv_import import read_rows
from holdfast.adapters.operations.progress import ProgressDatabase
from holdfast.adapters.secret_file import kept_secret
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
from holdfast.errors import SettingsError
from holdfast.pipelines import message_preview
from holdfast.pipelines.accounting import Account, accounts
from holdfast.pipelines.alert import ALERT, Alerting
from holdfast.pipelines.planning import Plan, Planning
from holdfast.pipelines.redeem import redeem, reports_of
from holdfast.pipelines.sending import Sending, Sent
from holdfast.ports import Channel
from holdfast.wiring.stores import customer_id, engine, feature_store, lake, now, operations, rules, settings


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
        progress=ProgressDatabase(engine()),
        render=composer().render,
        channel=channels().get(ALERT),
        shop=shop.name,
        currency=shop.currency,
    )
