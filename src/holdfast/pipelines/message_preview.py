"""Messages as they will look, for whoever writes templates, before anyone gets one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from holdfast.campaign.definition import AmountOff, Message
from holdfast.campaign.envelope import Envelope
from holdfast.campaign.messages import SPECIMENS, Composer
from holdfast.campaign.offers import Coupon, issue
from holdfast.errors import MissingDataError
from holdfast.pipelines.html import rendered
from holdfast.pipelines.personal import personals
from holdfast.pipelines.score import SCORES
from holdfast.ports import Lake
from holdfast.rules import Shop

_TERMS = AmountOff(kind="amount", amount=Decimal(5), minimum_basket=Decimal(25), valid_days=21)


def invented(composer: Composer, message: Message, at: datetime) -> dict[str, Envelope]:
    """The message to invented customers, by heading: in every language, with all that one may have and with nothing."""
    return {
        f"{one.template} · {one.locale} · {one.customer}": one.envelope
        for one in composer.specimens(message, coupon(composer.shop, at), at)
    }


def for_customer(
    lake: Lake, composer: Composer, message: Message, customer_id: str, at: datetime
) -> dict[str, Envelope]:
    """The message as this customer would get it by the latest scores, but with an invented coupon, name and address.

    Raises MissingDataError when the customer was never scored.
    """
    scores = lake.read(SCORES, columns=["cutoff", "customer_id"])
    cutoffs = scores.loc[scores["customer_id"] == customer_id, "cutoff"]
    if cutoffs.empty:
        raise MissingDataError(f"customer {customer_id!r} was never scored, so there is nothing to say about them")
    cutoff = str(cutoffs.max())
    personal = personals(lake, cutoff, [customer_id])[customer_id]
    envelope = composer.compose(
        message,
        key="specimen",
        recipient=SPECIMENS.get(message.channel, customer_id),
        given_name="Alex",
        coupon=coupon(composer.shop, at),
        at=at,
        personal=personal,
    )
    return {f"{message.template_for(personal.reason)} · customer {customer_id} · {cutoff}": envelope}


def page(title: str, messages: Mapping[str, Envelope]) -> str:
    """A self-contained page of the messages by their headings.

    Each HTML body is shown in a frame in which nothing runs; pictures are fetched from where the message links to.
    """
    return rendered("messages.html.j2", title=title, messages=messages)


def coupon(shop: Shop, at: datetime) -> Coupon:
    """An invented coupon, as if issued ``at``."""
    return issue("specimen", "7KQ2-M0XD-9RTA", _TERMS, at, shop.zone)
