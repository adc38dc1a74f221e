"""Redemptions into the coupon ledger, from whatever source, and the ledger's reconciliation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation

from holdfast.campaign.offers import Balance, Redeemed, RedemptionReport
from holdfast.errors import SourceError
from holdfast.ports import Operations
from holdfast.windows import in_utc

_LONGEST_CODE, _LONGEST_ID = 60, 200
_COLUMNS = ("redemption_id", "code", "redeemed_at", "basket", "discount")


@dataclass(frozen=True)
class Reconciliation:
    """Each campaign run's coupons as the ledger holds them, and the redemptions it refused, by outcome."""

    balances: tuple[Balance, ...]
    refused: Mapping[str, int]

    @property
    def liability(self) -> Decimal:
        """The most that all open coupons together can still take off."""
        return sum((one.liability for one in self.balances), Decimal(0))


def redeem(
    operations: Operations, reports: Iterable[RedemptionReport], source: str, received_at: datetime
) -> dict[str, Redeemed]:
    """Record redemptions and say, by the shop's id of each, whether it counts.

    Each in a transaction of its own. A report told again gets the answer it got before and changes nothing; a coupon
    is accepted once, and only within its validity. ``source`` says where the reports came from.
    """
    answers = {}
    for report in reports:
        with operations.writing() as tx:
            answers[report.id] = tx.ledger.redeem(report, source, received_at)
    return answers


def import_codes(operations: Operations, pool: str, codes: Sequence[str], actor: str, at: datetime) -> int:
    """Put the shop's own codes into a pool; returns how many were new. One that is known already is left where it is.

    No plan takes codes meanwhile, and no other import brings the same.
    """
    with operations.planning() as tx:
        return tx.ledger.import_codes(pool, codes, actor, at)


def counted(answers: Mapping[str, Redeemed]) -> dict[str, int]:
    return dict(Counter(answer.value for answer in answers.values()))


def reconcile(operations: Operations, at: datetime) -> Reconciliation:
    """What became of all coupons, as of ``at``."""
    with operations.reading() as tx:
        return Reconciliation(tuple(tx.ledger.balances(at)), tx.ledger.refusals())


def report_of(row: Mapping[str, str | None], where: str) -> RedemptionReport:
    """A redemption from a row of text: redemption_id, code, redeemed_at (ISO 8601 with zone), basket, discount;
    order_id where there is one.

    Raises SourceError naming ``where``, the field and the remedy.
    """
    missing = [name for name in _COLUMNS if not (row.get(name) or "").strip()]
    if missing:
        raise SourceError(f"{where}: {', '.join(missing)} missing. A redemption needs {', '.join(_COLUMNS)}.")
    text = {name: (row[name] or "").strip() for name in _COLUMNS}
    order = (row.get("order_id") or "").strip() or None
    for name, word, longest in (
        ("redemption_id", text["redemption_id"], _LONGEST_ID),
        ("code", text["code"], _LONGEST_CODE),
        ("order_id", order or "", _LONGEST_ID),
    ):
        if len(word) > longest or not word.isprintable():
            raise SourceError(f"{where}: {name} {word[:80]!r} is none: at most {longest} printable characters")
    return RedemptionReport(
        id=text["redemption_id"],
        code=text["code"],
        redeemed_at=_instant(text["redeemed_at"], where),
        basket=_money(text["basket"], "basket", where),
        discount=_money(text["discount"], "discount", where),
        order_id=order,
    )


def reports_of(rows: Sequence[Mapping[str, str | None]], file: str) -> list[RedemptionReport]:
    """The redemptions of a file's rows; the header is row 1. Raises as ``report_of`` does."""
    return [report_of(row, f"{file}, row {number}") for number, row in enumerate(rows, start=2)]


def codes_of(text: str, file: str) -> list[str]:
    """The coupon codes of a file, one a line. Raises SourceError for a code with a blank in it, or none at all."""
    codes = [line.strip() for line in text.splitlines() if line.strip()]
    for number, code in enumerate(codes, start=1):
        if len(code) > _LONGEST_CODE or not code.isprintable() or " " in code or "," in code:
            raise SourceError(f"{file}, code {number}: {code[:80]!r} is no code; write one a line, without blanks")
    if not codes:
        raise SourceError(f"{file} holds no code; write one a line")
    return codes


def _instant(text: str, where: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise SourceError(f"{where}: redeemed_at {text!r} is no time; write it as 2017-11-26T17:00:00Z") from error
    if at.tzinfo is None:
        raise SourceError(f"{where}: redeemed_at {text!r} has no zone; write it as 2017-11-26T17:00:00Z")
    try:
        return in_utc(at)
    except ValueError as error:
        raise SourceError(f"{where}: redeemed_at {text!r} is {error}; write it as 2017-11-26T17:00:00Z") from error


def _money(text: str, name: str, where: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation as error:
        raise SourceError(f"{where}: {name} {text!r} is no number") from error
    if not amount.is_finite() or amount < 0 or amount > 10**8 or amount != round(amount, 2):
        raise SourceError(f"{where}: {name} {text!r} is no amount of money: at least 0, at most two decimal places")
    return amount
