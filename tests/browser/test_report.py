"""The report as a browser shows it, with real plots and with text that tries to break it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Browser, Page

from holdfast.model import plots
from holdfast.pipelines.page import render
from holdfast.risk import curve
from holdfast.rules import ThresholdTiers
from tests.browser.chromium import Watch
from tests.fakes.page import CARD, MODEL, PAGE, UPLIFT, page

HOSTILE = "<script>document.title = 'broken in'</script><img src=x onerror=\"document.title = 'broken in'\">"
WIDTHS = (1280, 380)


@dataclass
class Opened:
    """A page in the browser, what it asked for and complained of, and where it lies."""

    page: Page
    watch: Watch
    url: str


THRESHOLDS = ThresholdTiers(by="threshold", high=0.5, medium=0.25)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The literal page, with real plots of two hundred customers, and hostile words where data can bring them."""
    probability = np.linspace(0.01, 0.9, 200)
    churned = (np.arange(200) % 10 < 10 * probability).astype(float)
    curves = {"lightgbm": pd.DataFrame({"churned": churned, "probability": probability})}
    tier = np.where(probability > 0.5, "high", np.where(probability > 0.25, "medium", "low"))
    path = tmp_path_factory.mktemp("reports") / "2017-11-26.html"
    path.write_text(
        render(
            page(
                note=HOSTILE,
                model=replace(MODEL, plots={"Calibration": plots.calibration(curves), "Gain": plots.gain(curves)}),
                probabilities=plots.probabilities(probability, tier),
                tier_curve=plots.tier_curve(curve(probability, THRESHOLDS)),
                uplifts=(replace(UPLIFT, campaign=HOSTILE, shares=UPLIFT.shares.assign(arm="y" * 120)),),
                card=replace(CARD, reasons=(HOSTILE, "x" * 120)),
                provenance=PAGE.provenance | {"run": "f" * 200},
            )
        ),
        encoding="utf-8",
    )
    return path


@pytest.fixture(params=WIDTHS, ids=lambda width: f"{width}px", scope="module")
def opened(request: pytest.FixtureRequest, browser: Browser, report: Path) -> Iterator[Opened]:
    shown = browser.new_page(viewport={"width": request.param, "height": 900})
    watch = Watch(shown)
    shown.goto(report.as_uri())
    yield Opened(shown, watch, report.as_uri())
    shown.close()


def test_it_opens_without_a_complaint_and_asks_for_nothing_but_itself(opened: Opened) -> None:
    assert opened.watch.complaints == []
    assert [url for url in opened.watch.requests if not url.startswith("data:")] == [opened.url]


def test_every_plot_is_drawn(opened: Opened) -> None:
    widths = opened.page.evaluate("[...document.images].map(image => image.complete && image.naturalWidth)")
    assert len(widths) == 4
    assert all(width > 400 for width in widths)


@pytest.mark.parametrize("figure", ["1,901", "55", "0.862", "231", "34"])
def test_the_headline_figures_are_seen(opened: Opened, figure: str) -> None:
    assert opened.page.locator(".tile b").get_by_text(figure, exact=True).is_visible()


def test_it_never_scrolls_sideways_even_with_all_details_and_endless_words(opened: Opened) -> None:
    for closed in opened.page.locator("details:not([open]) > summary").all():
        closed.click()
    assert opened.page.get_by_text("time from the last order to the cutoff").is_visible()
    wide, shown = opened.page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert wide <= shown


def test_who_chooses_by_uplift_and_who_is_not_disturbed_is_seen(opened: Opened) -> None:
    section = opened.page.locator("#uplift")
    assert section.get_by_role("heading", name="Whom campaigns move").is_visible()
    assert section.get_by_text("champion, version 3").is_visible()
    assert section.get_by_text("95 % interval +12.2 to +98.3").is_visible()
    assert section.get_by_text("46 are not disturbed").is_visible()
    assert section.get_by_role("cell", name="73.5 %").is_visible()


def test_hostile_words_are_read_and_never_run(opened: Opened) -> None:
    assert opened.page.get_by_text(HOSTILE).first.is_visible()
    assert opened.page.title() == "A Shop · 2017-11-26 · Holdfast"


def test_a_script_that_had_slipped_into_the_page_would_be_refused(browser: Browser, report: Path) -> None:
    tampered = report.with_name("tampered.html")
    run = "<script>document.title = 'broken in'</script><img src='http://127.0.0.1:9/x.png'>"
    tampered.write_text(report.read_text(encoding="utf-8").replace("</main>", run + "</main>"), encoding="utf-8")
    shown = browser.new_page()
    watch = Watch(shown)
    shown.goto(tampered.as_uri())
    assert shown.title() == "A Shop · 2017-11-26 · Holdfast"
    assert len([told for told in watch.complaints if "Content Security Policy" in told]) == 2
    shown.close()
