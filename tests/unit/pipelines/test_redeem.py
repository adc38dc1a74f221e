"""Redemptions and coupon codes as text: what cannot be one is told by place, with what one looks like."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from holdfast.campaign.offers import RedemptionReport
from holdfast.errors import SourceError
from holdfast.pipelines.redeem import codes_of, report_of, reports_of

AT = "2017-11-26T12:00:00-05:00"
ROW = {"redemption_id": "r1", "code": "SPRING-1", "redeemed_at": AT, "basket": "30", "discount": "5"}


def test_a_redemption_is_read_from_text_its_time_in_utc() -> None:
    at = datetime(2017, 11, 26, 17, tzinfo=UTC)
    told = RedemptionReport("r1", "SPRING-1", at, Decimal(30), Decimal(5), "o7")
    assert report_of({name: f" {value} " for name, value in ROW.items()} | {"order_id": "o7"}, "hook") == told


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"code": " ", "basket": None}, "code, basket missing. A redemption needs redemption_id, code, redeemed_at, "),
        ({"code": "X" * 61}, f"code '{'X' * 61}' is none: at most 60 printable characters"),
        ({"redemption_id": "r\x00"}, r"redemption_id 'r\\x00' is none: at most 200 printable characters"),
        ({"order_id": "o" * 201}, f"order_id '{'o' * 80}' is none: at most 200 printable characters"),
        ({"redeemed_at": "soon"}, "redeemed_at 'soon' is no time; write it as 2017-11-26T17:00:00Z"),
        ({"redeemed_at": "2017-11-26T12:00"}, "redeemed_at '2017-11-26T12:00' has no zone; write it as"),
        ({"redeemed_at": "0001-01-01T00:00:00+14:00"}, r"redeemed_at '0001-01-01T00:00:00\+14:00' is .*; write it as"),
        ({"basket": "thirty"}, "basket 'thirty' is no number"),
        ({"discount": "5.001"}, "discount '5.001' is no amount of money: at least 0, at most two decimal places"),
        ({"discount": "-1"}, "discount '-1' is no amount of money"),
        ({"basket": "NaN"}, "basket 'NaN' is no amount of money"),
    ],
)
def test_what_is_no_redemption_is_told_by_row_and_field(changed: dict[str, str | None], told: str) -> None:
    with pytest.raises(SourceError, match=rf"^used\.csv, row 3: {told}"):
        reports_of([ROW, ROW | changed], "used.csv")


def test_codes_are_read_one_a_line() -> None:
    assert codes_of("\n SPRING-1 \nSPRING-2\n\n", "codes.txt") == ["SPRING-1", "SPRING-2"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("A\nB C\n", r"codes\.txt, code 2: 'B C' is no code; write one a line, without blanks"),
        ("A,B\n", r"codes\.txt, code 1: 'A,B' is no code"),
        ("X" * 61, rf"codes\.txt, code 1: '{'X' * 61}' is no code"),
        (" \n\n", r"codes\.txt holds no code; write one a line"),
    ],
)
def test_what_is_no_code_is_told_by_place(text: str, told: str) -> None:
    with pytest.raises(SourceError, match=told):
        codes_of(text, "codes.txt")
