"""The pages of measured effects as a browser shows them, with words that try to break them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from holdfast.pipelines.effect_page import PROGRAMME, publish
from holdfast.rules import Shop
from tests.browser.chromium import Watch
from tests.fakes import readouts

HOSTILE = "<script>document.title = 'broken in'</script><img src=x onerror=\"document.title = 'broken in'\">"
SHOP = Shop(name="A Shop", source="s", timezone="UTC", currency="EUR", note=HOSTILE)
WIDTHS = (1280, 380)


@dataclass
class Opened:
    """A page in the browser, and what it asked for and complained of."""

    page: Page
    watch: Watch


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages of simulated trials, one of them of a campaign that another system named."""
    folder = tmp_path_factory.mktemp("effect")

    def write(name: str, page: str) -> str:
        (folder / name).write_text(page, encoding="utf-8")
        return name

    history = replace(readouts.described(), campaign_id=f"../{HOSTILE}")
    quarters = [readouts.quarter("2018Q1"), readouts.quarter("2018Q2")]
    unread = {"2017Q4": f"{HOSTILE} the holdout changed"}
    stale = replace(readouts.quarter("2018Q3"), campaign_id="programme@2017Q4")
    early = replace(readouts.too_early(), campaign_id="programme@2018Q3")
    publish([readouts.measured(), readouts.too_early(), history, stale, *quarters, early], SHOP, unread, write)
    return folder


@pytest.fixture(params=WIDTHS, ids=lambda width: f"{width}px", scope="module")
def opened(request: pytest.FixtureRequest, browser: Browser, folder: Path) -> Iterator[Opened]:
    shown = browser.new_page(viewport={"width": request.param, "height": 900})
    yield Opened(shown, Watch(shown))
    shown.close()


def links(opened: Opened, folder: Path) -> list[str]:
    opened.page.goto((folder / PROGRAMME).as_uri())
    return [one.get_attribute("href") or "" for one in opened.page.locator("td a").all()]


def test_every_readout_is_reached_from_the_programme_and_leads_back(opened: Opened, folder: Path) -> None:
    found = links(opened, folder)
    assert len(found) == 6
    for place in range(6):
        opened.page.goto((folder / PROGRAMME).as_uri())
        opened.page.locator("td a").nth(place).click()
        opened.page.get_by_role("link", name="All campaigns").click()
        assert opened.page.get_by_role("heading", name="A Shop: what campaigns achieved").is_visible()


def test_nothing_is_fetched_or_complained_of_nothing_runs_and_nothing_scrolls_sideways(
    opened: Opened, folder: Path
) -> None:
    for name in [PROGRAMME, *links(opened, folder)]:
        opened.page.goto((folder / name).as_uri())
        for closed in opened.page.locator("details:not([open]) > summary").all():
            closed.click()
        assert opened.page.get_by_text(HOSTILE).first.is_visible()
        assert opened.page.title() != "broken in"
        wide, shown = opened.page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        assert wide <= shown, name
    assert opened.watch.complaints == []
    assert all(url.startswith(("data:", folder.as_uri())) for url in opened.watch.requests)


def test_plots_are_drawn_and_the_headline_is_seen(opened: Opened, folder: Path) -> None:
    opened.page.goto((folder / "win_back@2018-03-05.html").as_uri())
    assert opened.page.get_by_text("Kept 151 (69 to 233) of 2,405 treated customers").is_visible()
    assert opened.page.locator(".tile b").get_by_text("+151", exact=True).is_visible()
    sizes = opened.page.evaluate("[...document.images].map(image => image.complete && image.naturalWidth)")
    assert len(sizes) == 2
    assert all(width > 300 for width in sizes)


def test_what_may_not_be_claimed_shows_no_effect(opened: Opened, folder: Path) -> None:
    (history,) = [name for name in links(opened, folder) if name.startswith("-")]
    for name, told in ((history, "No effect can be claimed"), ("keep@2018-03-05.html", "Too early")):
        opened.page.goto((folder / name).as_uri())
        assert opened.page.locator("#claim").get_by_text(told).is_visible()
        assert opened.page.locator("#effect").count() == 0


def test_a_quarter_that_was_not_measured_says_why(opened: Opened, folder: Path) -> None:
    opened.page.goto((folder / PROGRAMME).as_uri())
    rows = {row.locator("td").first.inner_text(): row for row in opened.page.locator("#programme tr").all()[1:]}
    assert list(rows) == ["2017Q4", "2018Q1", "2018Q2", "2018Q3"]
    assert rows["2017Q4"].inner_text().endswith("the holdout changed")
    assert "data are complete up to" in rows["2018Q3"].locator("td").last.inner_text()
    assert rows["2018Q1"].locator("td").last.inner_text() == "measured"
