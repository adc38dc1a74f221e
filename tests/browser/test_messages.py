"""The HTML mail as a browser shows it: inlined, whole on a phone, nothing runs; and the page of previews."""

import os
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from jinja2 import FileSystemLoader
from playwright.sync_api import Browser, Page

from holdfast.campaign.definition import Message
from holdfast.campaign.envelope import Envelope
from holdfast.campaign.messages import Composer, Personal, Product
from holdfast.campaign.offers import issue
from holdfast.campaign.rendering import environment, render
from holdfast.pipelines.message_preview import invented, page
from tests.browser.chromium import Watch
from tests.fakes.operations import LINKS, NOON, SHOP, campaign

HOSTILE = "<script>document.title = 'broken in'</script>"
MESSAGE = Message(channel="email", template="win_back")
SAID = ("We would love to see you again", "7KQ2-M0XD-9RTA", "Yogurt", "$1.25", "$25 or more", "Unsubscribe")
PRODUCTS = (
    Product("1", "Yogurt", "1.25", page="https://shop.example/yogurt"),
    Product("2", "Bananas"),
    Product("3", "Bread, whole wheat", "2.80"),
)


@pytest.fixture(scope="module")
def composer(project: Path) -> Composer:
    templates = environment(FileSystemLoader(project / "campaigns" / "templates"))
    return Composer(partial(render, templates), SHOP, LINKS, "care@shop.example")


def mail(composer: Composer, given_name: str = "Anna", products: tuple[Product, ...] = PRODUCTS) -> Envelope:
    terms = campaign().arms[0].offer
    return composer.compose(
        MESSAGE,
        key="win_back@2017-11-26:7:email",
        recipient="anna@shop.example",
        given_name=given_name,
        coupon=issue("7", "7KQ2-M0XD-9RTA", terms, NOON, SHOP.zone),
        at=NOON,
        personal=Personal(products=products),
    )


def opened(browser: Browser, html: str, width: int) -> tuple[Page, Watch]:
    shown = browser.new_page(viewport={"width": width, "height": 900})
    watch = Watch(shown)
    shown.set_content(html)
    return shown, watch


@pytest.mark.parametrize("width", [800, 360])
def test_the_mail_shows_offer_code_products_and_way_out_without_scrolling_sideways(
    browser: Browser, composer: Composer, width: int
) -> None:
    envelope = mail(composer)
    shown, watch = opened(browser, envelope.html or "", width)
    assert [said for said in SAID if not shown.get_by_text(said).first.is_visible()] == []
    assert envelope.way_out is not None
    assert shown.get_by_role("link", name="Unsubscribe").get_attribute("href") == envelope.way_out.page
    wide, room = shown.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert wide <= room
    assert watch.complaints == []
    shown.close()


def test_the_mail_looks_the_same_where_style_sheets_are_thrown_away(browser: Browser, composer: Composer) -> None:
    shown, _ = opened(browser, mail(composer).html or "", 800)
    look = """[...document.querySelectorAll('td')].map(cell => {
        const style = getComputedStyle(cell); return [style.color, style.padding, style.fontSize] })"""
    with_sheet = shown.evaluate(look)
    shown.evaluate("document.querySelectorAll('style').forEach(sheet => sheet.remove())")
    assert shown.evaluate(look) == with_sheet
    assert len({tuple(one) for one in with_sheet}) > 5
    shown.close()


def test_hostile_names_are_read_and_never_run(browser: Browser, composer: Composer) -> None:
    hostile = (Product("1", HOSTILE), Product("2", "x", page='"><img src=x onerror="document.title=1">'))
    shown, _ = opened(browser, mail(composer, given_name=HOSTILE, products=hostile).html or "", 800)
    assert shown.get_by_text(HOSTILE).first.is_visible()
    assert shown.locator("script").count() == 0
    assert shown.locator("[onerror]").count() == 0
    shown.close()


def test_the_preview_page_shows_every_message_and_nothing_in_it_runs(
    browser: Browser, composer: Composer, tmp_path: Path
) -> None:
    messages = invented(composer, MESSAGE, NOON)
    broken_in = "<script>top.document.title = 'broken in'</script><p>Still here</p>"
    messages["hostile"] = replace(mail(composer), html=broken_in)
    path = tmp_path / "page.html"
    path.write_text(page("Messages", messages), encoding="utf-8")
    shown = browser.new_page(viewport={"width": 1280, "height": 900})
    shown.goto(path.as_uri())
    assert shown.locator("article").count() == 5
    assert shown.frame_locator("iframe").nth(0).get_by_text("7KQ2-M0XD-9RTA").is_visible()
    assert shown.frame_locator("iframe").nth(4).get_by_text("Still here").is_visible()
    assert shown.title() == "Messages"
    shown.close()


def test_the_documentations_picture_shows_the_whole_mail(browser: Browser, composer: Composer, tmp_path: Path) -> None:
    """With PICTURES=docs/images in the environment it is kept there."""
    shown, _ = opened(browser, mail(composer).html or "", 640)
    assert [said for said in SAID if not shown.get_by_text(said).first.is_visible()] == []
    picture = Path(os.environ.get("PICTURES", tmp_path)) / "mail.png"
    shown.screenshot(path=picture, full_page=True)
    shown.close()
    assert picture.stat().st_size < 150_000
