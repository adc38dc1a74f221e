"""The e-mail of one treated customer: text and HTML from a campaign's templates, to exactly one recipient."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from urllib.parse import quote

from jinja2 import BaseLoader, Environment, StrictUndefined, TemplateError, TemplateNotFound, select_autoescape
from jinja2.sandbox import ImmutableSandboxedEnvironment

from holdfast.campaign.definition import MessageTemplates
from holdfast.campaign.offers import Coupon, last_day
from holdfast.campaign.recipient import is_plain_address
from holdfast.errors import CampaignError
from holdfast.rules import Shop

_SYMBOLS = {"USD": "$", "GBP": "£", "EUR": "€"}
_POLICY = SMTP.clone(cte_type="7bit")  # every relay takes it, with or without 8BITMIME
# RFC 5322's limit for a line. Folded at 78, the unsubscribe link, one long word, would become an encoded word, which
# no mail program takes for a link. Bodies are encoded before this applies and keep their short lines.
_UNFOLDED = _POLICY.clone(max_line_length=998)


def environment(loader: BaseLoader) -> Environment:
    """Jinja for templates that marketers write: sandboxed, an unknown name is an error, HTML is escaped."""
    return ImmutableSandboxedEnvironment(
        loader=loader,
        undefined=StrictUndefined,
        autoescape=select_autoescape(enabled_extensions=("html", "html.j2"), default_for_string=False),
        trim_blocks=True,
        lstrip_blocks=True,
    )


def money(amount: Decimal, currency: str) -> str:
    """``$5``, ``$7.50`` or ``CHF 5``: cents only where there are any."""
    figure = f"{amount:,.2f}".removesuffix(".00")
    return f"{_SYMBOLS[currency]}{figure}" if currency in _SYMBOLS else f"{currency} {figure}"


def compose(
    templates: Environment,
    *,
    message: MessageTemplates,
    shop: Shop,
    sender: str,
    recipient: str,
    given_name: str | None,
    coupon: Coupon,
    reference: str,
    at: datetime,
) -> EmailMessage:
    """The finished message, dated ``at``.

    Templates see ``shop``, ``given_name`` (or none), ``discount`` ("$5", "10%"), ``at_most`` (of a percentage, or
    none), ``code``, ``minimum_basket``, ``last_day``, ``unsubscribe`` (a mailto link) and ``contact`` (the sender's
    address): nothing of score, tier or reasons can reach the customer. The Message-ID is made of ``reference``,
    so that a message composed again is recognisably the same one.

    Raises CampaignError when a template is missing, broken or names something else, when the subject comes out with
    a line break, or when sender or recipient is not exactly one address.
    """
    contact = _sender_address(sender)
    if not is_plain_address(recipient):
        raise CampaignError("the recipient is not one plain e-mail address; correct it in the contacts file")
    unsubscribe = f"mailto:{contact}?subject={quote('unsubscribe ' + reference)}"
    currency = shop.currency
    day = last_day(coupon, shop.zone)
    words = {
        "shop": shop.name,
        "given_name": given_name,
        "discount": f"{coupon.percent.normalize():f}%" if coupon.percent else money(coupon.maximum_discount, currency),
        "at_most": money(coupon.maximum_discount, currency) if coupon.percent else None,
        "code": coupon.code,
        "minimum_basket": money(coupon.minimum_basket, currency),
        "last_day": f"{day.day} {day:%B %Y}",
        "unsubscribe": unsubscribe,
        "contact": contact,
    }
    mail = EmailMessage(policy=_POLICY)
    mail["From"] = sender
    mail["To"] = Address(addr_spec=recipient)
    mail["Subject"] = _subject(templates, message.subject, words)
    mail["Date"] = format_datetime(at)
    mail["Message-ID"] = f"<{reference}@{contact.rpartition('@')[2]}>"
    mail["List-Unsubscribe"] = f"<{unsubscribe}>"
    mail.set_content(_render(templates, message.text, words))
    mail.add_alternative(_render(templates, message.html, words), subtype="html")
    mail.policy = _UNFOLDED
    return mail


def _sender_address(sender: str) -> str:
    address = parseaddr(sender)[1]
    if not is_plain_address(address):
        raise CampaignError(f"sender {sender!r} is not one address; write 'Shop <care@shop.example>'")
    return address


def _subject(templates: Environment, template: str, words: dict[str, str | None]) -> str:
    try:
        subject = templates.from_string(template).render(words).strip()
    except TemplateError as error:
        raise CampaignError(f"the campaign's subject cannot be rendered: {error}") from error
    if not subject or not subject.isprintable():
        raise CampaignError(f"the campaign's subject renders as {subject!r}; it must be one line of text")
    return subject


def _render(templates: Environment, name: str, words: dict[str, str | None]) -> str:
    try:
        return templates.get_template(name).render(words)
    except TemplateNotFound as error:
        raise CampaignError(f"template {error.name} does not exist; put it beside the campaign's others") from error
    except TemplateError as error:
        where = f"{name}, line {error.lineno}" if hasattr(error, "lineno") else name
        raise CampaignError(
            f"template {where}: {error}. A template may use {', '.join(sorted(words))} and no other names"
        ) from error
