"""The channels of one deployment, as ``config/channels.yaml`` describes them."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator

from holdfast.adapters.channels.mailbox import MailboxChannel
from holdfast.adapters.channels.network import Network
from holdfast.adapters.channels.webhook import WebhookChannel, WebhookTarget
from holdfast.campaign.definition import ChannelName
from holdfast.campaign.recipient import is_plain_address
from holdfast.campaign.signing import key_of
from holdfast.errors import SettingsError
from holdfast.ports import Channel
from holdfast.rules import Rule


def _one_address(text: str) -> str:
    if not is_plain_address(text):
        raise ValueError(f"{text!r} is not one plain e-mail address")
    return text


def _a_network(text: str) -> str:
    try:
        ipaddress.ip_network(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is no network; write one such as 10.20.0.0/16") from error
    return text


class EmailRule(Rule):
    """E-mail to the customer, by the SMTP server of the settings."""

    kind: Literal["email"]


class MailboxRule(Rule):
    """E-mail to one address of the shop's own, by the same SMTP server."""

    kind: Literal["mailbox"]
    to: Annotated[str, AfterValidator(_one_address)]


class WebhookRule(Rule):
    """A signed HTTPS request for every message.

    ``secret`` is the name of the signing secret in HOLDFAST_WEBHOOK_SECRETS. ``allow`` lists the private networks that
    ``url`` may lead to; plain http is for those alone.
    """

    kind: Literal["webhook"]
    url: Annotated[str, Field(max_length=2000)]
    secret: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)]
    deadline_seconds: Annotated[float, Field(gt=0, le=60)] = 10
    allow: tuple[Annotated[str, AfterValidator(_a_network)], ...] = ()

    @model_validator(mode="after")
    def _safe(self) -> WebhookRule:
        parts = urlsplit(self.url)
        if parts.username or parts.password:
            raise ValueError("the url carries a user name or password; leave it out, requests are signed instead")
        if not parts.hostname or (parts.scheme != "https" and not (parts.scheme == "http" and self.allow)):
            raise ValueError("the url must be https://…; plain http is for a network named under allow")
        return self

    @property
    def networks(self) -> tuple[Network, ...]:
        return tuple(ipaddress.ip_network(one) for one in self.allow)


ChannelRule = Annotated[EmailRule | MailboxRule | WebhookRule, Field(discriminator="kind")]


class Channels(Rule):
    """Every channel by the name that campaigns use."""

    channels: dict[ChannelName, ChannelRule]


def build(
    rules: Channels, mail: Channel, secrets: Mapping[str, SecretStr], clock: Callable[[], datetime]
) -> dict[str, Channel]:
    """The channels, ready to connect. Raises SettingsError for a webhook whose secret is missing or malformed."""

    def one(name: str, rule: EmailRule | MailboxRule | WebhookRule) -> Channel:
        if isinstance(rule, EmailRule):
            return mail
        if isinstance(rule, MailboxRule):
            return MailboxChannel(mail, rule.to)
        if rule.secret not in secrets:
            raise SettingsError(
                f"channel {name} signs with the secret {rule.secret!r}, which HOLDFAST_WEBHOOK_SECRETS does not have; "
                'set it to a JSON object such as {"sms": "whsec_…"}'
            )
        key = key_of(secrets[rule.secret].get_secret_value())
        return WebhookChannel(WebhookTarget(rule.url, key, rule.deadline_seconds, rule.networks), clock)

    return {name: one(name, rule) for name, rule in rules.channels.items()}
