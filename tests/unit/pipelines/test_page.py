"""The report's page: numbers in, HTML out."""

import re
from base64 import b64encode
from dataclasses import replace
from datetime import date
from html.parser import HTMLParser

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from holdfast.model.fairness import Fairness
from holdfast.monitoring.freshness import Finding, Kind
from holdfast.pipelines.page import Page, TierRow, render
from tests.fakes.page import (
    CAMPAIGN,
    CARD,
    CONTROLS,
    EMAILED,
    EVERYONE,
    IMAGE,
    MODEL,
    PAGE,
    PERSONAS,
    REASON,
    SENT,
    UPLIFT,
    page,
)


class Parsed(HTMLParser):
    """What a browser makes of a page: its elements with the names of their attributes, its links, its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, tuple[str, ...]]] = []
        self.links: list[str] = []
        self._text: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, tuple(name for name, _ in attrs)))
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "action", "srcset")]

    def handle_data(self, data: str) -> None:
        self._text.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self._text).split())


def text(shown: Page) -> str:
    return Parsed(render(shown)).text


@pytest.mark.parametrize(
    "told",
    [
        "A Shop: who is lapsing, as of 2017-11-26",
        "an order in the 56 days before the cutoff; lapsing means no order in the 28 days after it",
        "Written 2026-01-05 09:41 UTC by Holdfast 0.1.0",
        "1,901 active customers scored",
        "55 at high risk, 202 USD of expected spend at risk",
        "0.862 AUC of lightgbm on later cutoffs; the best simple rule has 0.751",
        "231 messages sent",
        "34 rows in quarantine, 21 of them open; 1,564,470 accepted",
        "562 landing files, 2 of them refused; complete up to 2017-11-27",
        "orders 140,771 order lines 1,322,181",
        "refused: 2017-11-21/sales.csv line 3, byte 17: not UTF-8",
        "missing day: 2017-11-22 nothing has arrived for 2017-11-22",
        "orders customer_id missing 33 21",
        "Trained as of 2017-11-19. Means over the test cutoffs 2017-10-01, 2017-10-29",
        "Base rate 12.5 %",
        "recency rule 0.751 0.319 0.0977 0.334 0.030 3.26",
        "lightgbm 0.862 0.441 0.0842 0.279 0.021 3.97",
        "Promoted: it beats the rule.",
        "high 55 0.549 202 medium 2 0.356 2,922 low 1,844 0.056 8,153",
        "audience 331 – skipped: no consent 18 – control, by hash: contacted by nobody 63 = treatment 250",
        "planned, with a coupon each 250 sent 231 failed 7 unknown (a person decides) 5 skipped at the last moment 4 "
        "waiting 3 chosen by value_at_risk expected cost, USD 245.43",
        "win_back uplift model learner learned up to what the gate found champion, version 3 dr logistic 2017-10-29 "
        "Passed: dr_logistic brings more than choosing by random: +61.5 USD per 1,000 customers, 95 % interval +12.2",
        "Of 2,107 customers predicted, 46 are not disturbed: every arm surely harms them.",
        "high sms coupon 73.5 % +1.50 (+0.52 to +2.48) 1,234",
        "A customer's card: 4711 medium probability 0.498, by model version 12",
        "has not ordered for 49 days orders a third as often as before",
        "win_back@2017-11-26 treatment valid until 2026-01-19 sent –",
        "lake orders v10",
    ],
)
def test_every_number_is_shown(told: str) -> None:
    assert told in text(PAGE)


def test_a_feature_is_told_by_its_meaning_with_its_unit_and_null_is_a_dash() -> None:
    shown = text(PAGE)
    assert "share of all orders placed on a Saturday or Sunday weekend_share 24.4 %" in shown
    assert "share of all orders placed from 18:00 on evening_share 0.0 %" in shown
    assert "1/7 evenly spread, 1 always the same day weekday_concentration 0.19" in shown
    assert "daypart_concentration –" in shown


@pytest.mark.parametrize(
    ("family", "feature", "value", "written"),
    [
        ("rhythm", "days_since_order", 48.52, "48.5 days"),
        ("rhythm", "order_count", 1234.0, "1,234"),
        ("rhythm", "gap_growth", 2.686, "2.69"),
        ("activity", "amount_84d", 1585.6, "1,585.60 USD"),
        ("activity", "orders_trend", -1.0, "-1.00"),
        ("choice", "categories_change", -9.0, "-9"),
    ],
)
def test_a_value_is_written_as_a_person_would(family: str, feature: str, value: float, written: str) -> None:
    features = CARD.features | {family: CARD.features[family] | {feature: value}}
    assert f"{feature} {written}" in text(page(card=replace(CARD, features=features)))


def test_kinds_of_customers_are_named_and_counted_with_how_stable_they_are() -> None:
    shown = text(PAGE)
    assert "P2 orders often, buys by discount 977 0.203 4,513" in shown
    assert "agreement of 0.83 (adjusted Rand index" in shown
    assert "silhouette 0.15" in shown
    assert "Kinds of customers" not in text(page(personas=None))


def test_groups_are_shown_with_intervals_and_a_breach_is_told() -> None:
    shown = text(PAGE)
    assert "age band: 35-44 191 0.13 (0.11 to 0.14) 0.17 (0.16 to 0.19) – 0.00 (-0.01 to 0.02) –" in shown
    assert "35-44: too far off" in shown
    fair = replace(MODEL, fairness=Fairness(EVERYONE, (), ()))
    assert "No group is surely beyond a limit" in text(page(model=fair))
    assert "Whom the challenger" not in text(page(model=replace(MODEL, fairness=None)))


def test_without_a_champion_it_is_told_who_chooses_and_why_not_a_model() -> None:
    challenger = replace(UPLIFT.models["champion"], verdict="Not passed: only 40 customers of control, fewer than 100.")
    declined = text(page(uplifts=(replace(UPLIFT, models={"challenger": challenger}),)))
    assert "challenger, version 3 dr logistic 2017-10-29 Not passed: only 40 customers of control" in declined
    assert "No model has passed yet: customers are chosen by random until one has proved" in declined
    nothing = text(page(uplifts=(replace(UPLIFT, models={}, shares=UPLIFT.shares.head(0), predicted=0, spared=0),)))
    assert "win_back No model has been learned yet: customers are chosen by random until" in nothing
    assert "customers predicted" not in nothing
    assert "Whom campaigns move" not in text(page(uplifts=()))


def test_a_coupon_code_is_not_on_the_page() -> None:
    assert "SECRET-CODE" not in render(PAGE)


def hostile(word: str) -> Page:
    """The page with ``word`` in every place that a shop, its data or a person can fill."""
    return page(
        shop=word,
        currency=word,
        word=word,
        note=word,
        intake=replace(
            PAGE.intake,
            tables={word: 1, f"{word} again": 1},
            reasons=(replace(REASON, table=word, field=word, rule=word),),
            refused={word: word, f"{word} again": word},
            findings=(Finding(Kind.MISSING, date(2017, 11, 22), word),),
        ),
        model=replace(
            MODEL,
            rows=tuple(replace(row, candidate=word) for row in MODEL.rows),
            verdict=word,
            plots={word: b""},
            fairness=Fairness(EVERYONE, (replace(EVERYONE, name=word),), (word,)),
        ),
        personas=replace(PERSONAS, rows=(replace(PERSONAS.rows[0], name=word),)),
        uplifts=(
            replace(
                UPLIFT,
                campaign=word,
                models={"champion": replace(UPLIFT.models["champion"], verdict=word, candidate=word)},
                shares=UPLIFT.shares.assign(segment=word, arm=word),
            ),
        ),
        campaigns=(CAMPAIGN | {"campaign_id": word, "skipped": {word: 1}},),
        funnels={word: (replace(EMAILED, arm=word), replace(CONTROLS, arm=word))},
        card=replace(
            CARD,
            customer_id=word,
            reasons=(word, word),
            persona=word,
            model_version=word,
            campaigns=(replace(SENT, campaign_id=word, arm=word, message=word, detail=word),),
        ),
        provenance={word: word},
    )


@example("order_lines")
@given(st.text(min_size=1) | st.sampled_from(["<script>alert(1)</script>", '"><img src=x onerror=a()>', "{{ 7*7 }}"]))
def test_no_text_of_the_shop_becomes_an_element_or_an_attribute(word: str) -> None:
    assert Parsed(render(hostile(word))).elements == Parsed(render(PAGE)).elements


def test_hostile_text_is_shown_as_it_is_written() -> None:
    word = "<script>alert(1)</script>"
    shown = text(hostile(word))
    assert f"A customer's card: {word}" in shown
    assert f"{word}: who is {word}, as of" in shown
    assert f"– skipped: {word} 1" in shown


def test_nothing_is_fetched_when_the_page_is_opened() -> None:
    html = render(PAGE)
    links = Parsed(html).links
    assert set(links) == {"data:image/png;base64," + b64encode(IMAGE).decode()}
    assert not re.search(r"url\(|@import|https?://", html)


def test_the_page_forbids_scripts_and_fetches_even_if_one_slipped_in() -> None:
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', render(PAGE))
    assert policy
    assert policy[1].startswith("default-src 'none';")
    assert "script-src" not in policy[1]


def test_without_a_model_the_page_says_so() -> None:
    shown = text(page(model=None))
    assert "No model has been trained up to this cutoff." in shown
    assert "AUC of" not in shown


def test_models_without_a_simple_rule_beside_them_stand_alone() -> None:
    alone = text(page(model=replace(MODEL, rows=MODEL.rows[1:])))
    assert "0.862 AUC of lightgbm on later cutoffs" in alone
    assert "simple rule has" not in alone


def test_rules_without_a_model_beside_them_make_no_claim_of_a_model() -> None:
    shown = text(page(model=replace(MODEL, rows=MODEL.rows[:1])))
    assert "recency rule 0.751" in shown
    assert "AUC of" not in shown


def test_without_campaigns_quarantine_or_note_the_page_says_so() -> None:
    clean = replace(PAGE.intake, reasons=(), quarantined=0, open=0, refused={}, findings=())
    shown = text(page(campaigns=(), note=None, intake=clean))
    assert "No campaign has run on this cutoff." in shown
    assert "0 messages sent" in shown
    assert "quarantined from field rule rows open nothing 0 0" in shown
    assert "need a person" not in shown
    assert "562 landing files; complete up to" in shown
    assert "These data are real." not in shown


def test_an_empty_tier_has_no_mean() -> None:
    shown = text(page(tiers=(TierRow("high", 0, None, 0.0), *PAGE.tiers[1:])))
    assert "high 0 – 0 medium" in shown
    assert "0 at high risk, 0 USD" in shown


def test_a_customer_who_is_not_scored_has_a_card_without_a_probability() -> None:
    card = replace(CARD, probability=None, tier=None, model_version=None, reasons=(), campaigns=())
    shown = text(page(card=card))
    assert "A customer's card: 4711 Not scored: not active at the latest cutoff." in shown
    assert "no campaign has met this customer" in shown


def test_a_skipped_customer_is_told_why() -> None:
    skipped = replace(SENT, skipped="no_consent", arm=None, code=None, valid_until=None, message=None)
    assert "win_back@2017-11-26 skipped – – no_consent" in text(page(card=replace(CARD, campaigns=(skipped,))))


def test_every_arm_is_told_step_by_step_and_what_does_not_apply_is_left_open() -> None:
    section = text(PAGE).partition("ordered since")[2].partition("Opened is counted")[0].split()
    assert section == ["treatment", "250", "250", "231", "102", "17", "96", "control", "63", "–", "–", "–", "–", "21"]
