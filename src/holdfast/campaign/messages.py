"""The message of one treated customer: a campaign's template filled for exactly one recipient."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal

from babel.dates import format_date
from babel.numbers import format_currency

from holdfast.campaign.definition import Message, Purpose
from holdfast.campaign.envelope import Envelope
from holdfast.campaign.links import Links
from holdfast.campaign.offers import Coupon, last_day
from holdfast.campaign.outbox import reference
from holdfast.campaign.recipient import is_one_recipient
from holdfast.campaign.rendering import DEFAULT_LANGUAGE, Rendered
from holdfast.errors import CampaignError
from holdfast.language import LANGUAGES, language_of
from holdfast.rules import Shop

STAFF_CHANNELS = frozenset({"care_desk"})
"""Channels that reach the shop's own people, who may see why a customer is thought to be leaving."""


SPECIMENS = {"email": "specimen@example.com", "sms": "+12025550143"}
"""An address nobody has, for trying a template out, where a channel's addresses have a form of their own."""

Render = Callable[[str, str, Mapping[str, Any]], Rendered]
"""``rendering.render`` on some templates: template, locale and words (JSON values) in, the parts out."""


@dataclass(frozen=True)
class Product:
    """A product to show. ``price`` is a decimal number as text; ``picture`` and ``page`` are addresses to link to."""

    product_id: str
    name: str
    price: str | None = None
    picture: str | None = None
    page: str | None = None


@dataclass(frozen=True)
class Case:
    """What the care desk is told about a customer: risk tier, probability, value (money) and reasons in words."""

    customer_id: str
    tier: str
    probability: float
    value: float
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Personal:
    """What a message knows of its customer beyond address and coupon, fixed when it is planned.

    ``reason`` is the feature family of the customer's first reason, which may choose the template; neither it nor
    ``case`` is ever shown to a customer. ``as_json`` and ``of`` turn it into what the outbox keeps and back.
    """

    locale: str = DEFAULT_LANGUAGE
    reason: str | None = None
    products: tuple[Product, ...] = ()
    case: Case | None = None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of(cls, kept: Mapping[str, Any] | None) -> Personal:
        if not kept:
            return cls()
        case = kept["case"]
        return cls(
            locale=kept["locale"],
            reason=kept["reason"],
            products=tuple(Product(**one) for one in kept["products"]),
            case=None if case is None else Case(**(case | {"reasons": tuple(case["reasons"])})),
        )


_PRODUCTS = (
    Product("1", "Green tea", "4.50", "https://shop.example/tea.jpg", "https://shop.example/tea"),
    Product("2", "Oat biscuits", "2.20"),
    Product("3", "Honey"),
)
_CASE = Case("specimen", "high", 0.61, 84.0, ("usually orders every 12 days, silent for 31",))


@dataclass(frozen=True)
class Specimen:
    """A message to an invented customer who has all that a customer may have (``full``) or lacks it (``bare``)."""

    template: str
    locale: str
    customer: Literal["full", "bare"]
    envelope: Envelope


@dataclass(frozen=True)
class Composer:
    """Fills templates. ``contact`` is the address that customers may write to."""

    render: Render
    shop: Shop
    links: Links
    contact: str

    def compose(
        self,
        message: Message,
        *,
        key: str,
        recipient: str,
        given_name: str | None,
        coupon: Coupon | None,
        at: datetime,
        personal: Personal = Personal(),
        purpose: Purpose = "marketing",
    ) -> Envelope:
        """The finished message, dated ``at``; ``key`` is its idempotency key.

        Templates see ``shop``, ``given_name`` (or none), ``contact``, ``way_out`` (the preference page's address),
        ``products`` (a list; each has name, price, picture, page, the last three or none), and, none without a coupon,
        ``discount`` ("$5", "10%"), ``at_most`` (of a percentage, or none), ``code``, ``minimum_basket``, ``last_day``.
        Templates of a staff channel see ``case`` as well; in all others it is none, so that nothing of score, tier or
        reasons can reach the customer. Only marketing carries the envelope's ``way_out``, whose one click stops it.

        Raises CampaignError when the template cannot be rendered, or ``recipient`` is not exactly one address of the
        message's channel.
        """
        if not is_one_recipient(message.channel, recipient):
            raise CampaignError(
                f"the recipient is not one plain address for channel {message.channel}; correct it in the contacts file"
            )
        way_out = self.links.way_out(reference(key))
        case = None
        if personal.case is not None and message.channel in STAFF_CHANNELS:  # they know the customer by the shop's id
            case = replace(personal.case, customer_id=recipient)
        locale = personal.locale
        words: dict[str, Any] = {
            "shop": self.shop.name,
            "given_name": given_name,
            "contact": self.contact,
            "way_out": way_out.page,
            "products": [self._shown(product, locale) for product in personal.products],
            **self._terms(coupon, locale),
            "case": asdict(case) if case else None,
        }
        rendered = self.render(message.template_for(personal.reason), locale, words)
        return Envelope(
            channel=message.channel,
            recipient=recipient,
            idempotency_key=key,
            at=at,
            text=rendered.text,
            subject=rendered.subject,
            html=rendered.html,
            language=rendered.language,
            way_out=way_out if purpose == "marketing" and message.channel not in STAFF_CHANNELS else None,
            data={"customer_id": case.customer_id, "tier": case.tier} if case else {},
        )

    def try_out(self, message: Message, coupon: Coupon | None, at: datetime) -> None:
        """Compose specimens of the message, so that a broken template is found before anything is planned.

        Raises CampaignError as ``compose`` does.
        """
        for _ in self.specimens(message, coupon, at):
            pass

    def specimens(self, message: Message, coupon: Coupon | None, at: datetime) -> Iterator[Specimen]:
        """The message as invented customers would get it: in every language, for every reason that has a template of
        its own, to one who has all that a customer may have and to one who lacks it.
        """
        for reason in (None, *message.by_reason):
            for locale in LANGUAGES:
                for given_name, products in (("Alex", _PRODUCTS), (None, ())):
                    envelope = self.compose(
                        message,
                        key="specimen",
                        recipient=SPECIMENS.get(message.channel, "specimen"),
                        given_name=given_name,
                        coupon=coupon,
                        at=at,
                        personal=Personal(locale, reason, products, _CASE),
                    )
                    yield Specimen(message.template_for(reason), locale, "full" if given_name else "bare", envelope)

    def _shown(self, product: Product, locale: str) -> dict[str, str | None]:
        price = None if product.price is None else money(Decimal(product.price), self.shop.currency, locale)
        return {"name": product.name, "price": price, "picture": product.picture, "page": product.page}

    def _terms(self, coupon: Coupon | None, locale: str) -> dict[str, str | None]:
        if coupon is None:
            return dict.fromkeys(("discount", "at_most", "code", "minimum_basket", "last_day"))
        currency = self.shop.currency
        terms = coupon.terms
        most = money(terms.maximum_discount, currency, locale)
        return {
            "discount": f"{terms.percent.normalize():f}%" if terms.percent else most,
            "at_most": most if terms.percent else None,
            "code": coupon.code,
            "minimum_basket": money(terms.minimum_basket, currency, locale),
            "last_day": day(last_day(coupon, self.shop.zone), locale),
        }


def money(amount: Decimal, currency: str, locale: str = DEFAULT_LANGUAGE) -> str:
    """As people of that locale write it, ``$5`` or ``$7.50``: cents only where there are any."""
    whole = amount == amount.to_integral_value()
    return format_currency(
        amount,
        currency,
        format="¤#,##0" if whole else "¤#,##0.00",
        locale=_babel(locale),
        currency_digits=False,
    )


def day(of: date, locale: str = DEFAULT_LANGUAGE) -> str:
    """The day in words: ``17 December 2017`` in English, ``2017年12月17日`` in Chinese."""
    if _babel(locale) == "en":
        return f"{of.day} {of:%B %Y}"
    return format_date(of, format="long", locale=_babel(locale))


def _babel(locale: str) -> str:
    """The language alone: a region decides neither a template nor, here, the way money and days are written."""
    return {"zh": "zh_Hans", "en": "en"}[language_of(locale)]
