"""What a simulated customer reads in an e-mail: to whom it is, what it offers, and the coupon's code."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime
from email.message import EmailMessage

from holdfast.errors import HoldfastError
from holdfast.simulator.lives import Treatment

_TO = re.compile(r"^sim-(\d+)@shop\.example$")
_CODE = re.compile(r"Your code: +(\S+)")
_AMOUNT = re.compile(r"basket is \D{0,4}?([\d.,]+) cheaper")
_PERCENT = re.compile(r"basket is ([\d.]+)% cheaper \(up to \D{0,4}?([\d.,]+)\)")
_MINIMUM = re.compile(r"on a basket of \D{0,4}?([\d.,]+) or more")
_LAST_DAY = re.compile(r"Valid until (.+?), once")
_DAYS = ("%d %B %Y", "%B %d, %Y", "%d. %B %Y")


@dataclass(frozen=True)
class Received:
    """One message as its customer (by number) understands it; ``code`` is None where it offers nothing."""

    customer: int
    treatment: Treatment
    code: str | None


def understand(mail: EmailMessage, today: date) -> Received | None:
    """What the message tells its customer on ``today``; None where it is to no simulated customer.

    Raises HoldfastError when it holds a code without terms that can be read: the templates' words have changed.
    """
    to = _TO.match(str(mail["To"] or ""))
    if to is None:
        return None
    part = mail.get_body(("plain",))
    text = " ".join((part.get_content() if part else "").replace("\u00a0", " ").split())
    code = _CODE.search(text)
    return Received(int(to[1]), _terms(text, today) if code else Treatment(), code[1] if code else None)


def _terms(text: str, today: date) -> Treatment:
    percent, amount, minimum, last = (one.search(text) for one in (_PERCENT, _AMOUNT, _MINIMUM, _LAST_DAY))
    if not (percent or amount) or not minimum or not last:
        raise HoldfastError(f"a simulated customer cannot read the terms of a coupon in: {text[:400]!r}")
    return Treatment(
        discount=_money(percent[2] if percent else amount[1] if amount else ""),
        percent=_money(percent[1]) if percent else None,
        minimum_basket=_money(minimum[1]),
        valid_days=(_day(last[1]) - today).days,
    )


def _money(text: str) -> float:
    return float(text.replace(",", ""))


def _day(text: str) -> date:
    for form in _DAYS:
        try:
            return datetime.strptime(text, form).date()  # noqa: DTZ007 - a calendar day, without a zone
        except ValueError:
            continue
    raise HoldfastError(f"a simulated customer cannot read the day {text!r}")
