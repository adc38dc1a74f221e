"""The preference page as a browser shows it: by keyboard and on a phone, in both languages, with hostile words."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvicorn
from playwright.sync_api import Browser, Page
from sqlalchemy import Engine

from holdfast.adapters.operations.replies import RepliesDatabase
from holdfast.pipelines.replies import Preferences
from holdfast.public.app import create_app
from tests.browser.chromium import Watch
from tests.fakes.correspondence import sent
from tests.fakes.operations import LINKS, NOON, contact, decide, operations_engine

HOSTILE = "A Shop <script>document.title = 'broken in'</script>"
WIDTHS = (1280, 360)


@dataclass
class Served:
    """The page of customer 7, who has an e-mail address and a phone, and allowed e-mail."""

    url: str
    engine: Engine


@contextmanager
def serving(folder: Path, shop: str) -> Iterator[Served]:
    engine = operations_engine(folder)
    contact(engine, "7", email="7@shop.example", phone="+12025550143")
    decide(engine, ["7"], "given", NOON.replace(year=2016))
    token = LINKS.way_out(sent(engine, "7")).page.rpartition("/")[2]
    app = create_app(shop, Preferences(LINKS, RepliesDatabase(engine)), {}, lambda: NOON)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        thread.join(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield Served(f"http://127.0.0.1:{port}/preferences/{token}", engine)
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path, HOSTILE) as served:
        yield served


@pytest.fixture(params=WIDTHS, ids=lambda width: f"{width}px")
def shown(request: pytest.FixtureRequest, browser: Browser, served: Served) -> Iterator[tuple[Page, Watch]]:
    page = browser.new_page(viewport={"width": request.param, "height": 800}, device_scale_factor=1)
    watch = Watch(page)
    page.goto(served.url)
    yield page, watch
    page.close()


def allowed(page: Page) -> list[str]:
    """The labels of the boxes that are ticked, without their notes."""
    return [
        page.locator(f"label[for={box.get_attribute('id')}]").inner_text().strip().splitlines()[0]
        for box in page.get_by_role("checkbox").all()
        if box.is_checked()
    ]


BY_WHAT_I_BOUGHT = "Choose offers by what I bought"


def test_a_choice_is_made_saved_and_confirmed(shown: tuple[Page, Watch]) -> None:
    page, watch = shown
    assert allowed(page) == ["E-mail", BY_WHAT_I_BOUGHT]
    page.get_by_label("Text message").check()
    page.get_by_label("E-mail").uncheck()
    page.get_by_role("button", name="Save my choice").click()
    assert page.get_by_role("status").inner_text() == "Your choice is saved. It holds from now on."
    assert allowed(page) == ["Text message", BY_WHAT_I_BOUGHT]
    page.reload()
    assert allowed(page) == ["Text message", BY_WHAT_I_BOUGHT]
    assert watch.complaints == []


def test_everything_can_be_stopped_by_keyboard_alone(shown: tuple[Page, Watch]) -> None:
    page, _ = shown
    reached = []
    for _ in range(6):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.value || document.activeElement.textContent"))
    assert reached[:5] == ["email", "sms", "yes", "Save my choice", "all"]
    page.get_by_role("button", name="Stop all offers").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**?saved")
    assert allowed(page) == []
    assert page.get_by_text("You receive no offers from").is_visible()


def test_a_screen_reader_finds_language_heading_labels_and_the_confirmation(shown: tuple[Page, Watch]) -> None:
    page, _ = shown
    assert page.locator("html").get_attribute("lang") == "en"
    assert page.get_by_role("heading", level=1).count() == 1
    assert page.get_by_role("group", name="What you receive from").count() == 1
    for box in page.get_by_role("checkbox").all():
        assert page.locator(f"label[for={box.get_attribute('id')}]").count() == 1
    page.get_by_role("link", name="中文").click()
    assert page.locator("html").get_attribute("lang") == "zh-Hans"
    assert page.get_by_label("电子邮件").is_checked()
    page.get_by_role("button", name="停止接收所有优惠").click()
    assert page.get_by_role("status").inner_text() == "您的选择已保存，即刻生效。"


def test_words_stand_out_enough_from_what_is_behind_them(shown: tuple[Page, Watch]) -> None:
    page, _ = shown
    faint = page.evaluate(
        """() => {
            const light = c => { const v = c / 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4 };
            const bright = rgb => 0.2126 * light(rgb[0]) + 0.7152 * light(rgb[1]) + 0.0722 * light(rgb[2]);
            const colour = text => text.match(/[\\d.]+/g).map(Number);
            const behind = e => {
                for (; e; e = e.parentElement) {
                    const c = colour(getComputedStyle(e).backgroundColor);
                    if (c.length < 4 || c[3]) return c;
                }
                return [255, 255, 255];
            };
            const words = [...document.querySelectorAll('h1, p, label, button, a, .shop')];
            const contrast = e => {
                const [a, b] = [bright(colour(getComputedStyle(e).color)), bright(behind(e))];
                return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
            };
            return words.filter(e => contrast(e) < 4.5).map(e => e.textContent);
        }"""
    )
    assert faint == []


def test_it_never_scrolls_sideways_and_asks_for_nothing_but_itself(shown: tuple[Page, Watch], served: Served) -> None:
    page, watch = shown
    wide, room = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert wide <= room
    assert watch.requests == [served.url]


def test_hostile_words_are_read_and_never_run(shown: tuple[Page, Watch]) -> None:
    page, _ = shown
    assert page.locator(".shop").inner_text() == HOSTILE
    assert page.title() != "broken in"


def test_the_documentations_picture_shows_every_choice(browser: Browser, tmp_path: Path) -> None:
    """With PICTURES=docs/images in the environment it is kept there."""
    page = browser.new_page(viewport={"width": 640, "height": 540})
    picture = Path(os.environ.get("PICTURES", tmp_path)) / "preferences.png"
    with serving(tmp_path, "Complete Journey") as served:
        page.goto(served.url)
        card = page.locator(".card")
        for said in (
            "Complete Journey",
            "E-mail",
            "Text message",
            BY_WHAT_I_BOUGHT,
            "Save my choice",
            "Stop all offers",
        ):
            assert card.get_by_text(said).first.is_visible(), said
        card.screenshot(path=picture)
        page.close()
    assert picture.stat().st_size < 100_000
