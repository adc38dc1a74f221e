"""The pages of measured effects: readouts in, self-contained HTML out; nothing is fetched when one is opened."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence

from holdfast.effect import plots
from holdfast.effect.programme import ARM
from holdfast.effect.readout import Readout
from holdfast.pipelines.html import rendered
from holdfast.rules import Shop

PROGRAMME = "programme.html"

TITLES = {
    "described": "no effect can be claimed",
    "too_early": "too early to read",
    "refused": "refused: a check failed",
    "measured": "measured",
}
_WORDS = {
    "retained": "share who ordered",
    "net": "margin net of offer and contact",
    "visited": "share who visited",
    "retained_before": "share who ordered",
    "orders_before": "orders",
    "revenue_before": "revenue",
    "visited_before": "share who visited",
}


def file_name(campaign_id: str) -> str:
    """The page's file: the id with what no file name or address should hold replaced, and told apart by its hash."""
    plain = re.sub(r"[^A-Za-z0-9@_-]", "-", campaign_id)
    if plain != campaign_id:
        plain = f"{plain[:80]}-{hashlib.sha256(campaign_id.encode()).hexdigest()[:8]}"
    return f"{plain}.html"


def render(one: Readout, shop: Shop) -> str:
    """The page of one readout."""
    drawn = {}
    if one.readings:
        drawn["arms"] = plots.arms(one)
    if one.looks:
        drawn["days"] = plots.days(one.looks)
    return rendered(
        "effect.html.j2", _FILTERS, one=one, shop=shop.name, note=shop.note, titles=TITLES, words=_WORDS, plots=drawn
    )


def render_programme(readouts: Sequence[Readout], shop: Shop, unread: Mapping[str, str]) -> str:
    """The page of all of them: the programme by quarter, then campaign by campaign.

    ``unread`` says why a quarter cannot be read; a readout made of it before that was so is not shown.
    """
    of_quarters = [one for one in readouts if one.campaign_id.startswith(f"{ARM}@") and "Q" in one.campaign_id]
    by_name = {one.campaign_id.partition("@")[2]: one for one in of_quarters}
    quarters = {name: one for name, one in by_name.items() if name not in unread}
    measured = [one for one in quarters.values() if one.readings]
    return rendered(
        "programme.html.j2",
        _FILTERS,
        shop=shop.name,
        note=shop.note,
        currency=shop.currency,
        quarters=quarters,
        measured=measured,
        unread=unread,
        campaigns=[one for one in readouts if one not in of_quarters],
        plots={"quarters": plots.quarters(measured)} if measured else {},
        hrefs={one.campaign_id: file_name(one.campaign_id) for one in readouts},
        titles=TITLES,
    )


def publish(
    readouts: Sequence[Readout], shop: Shop, unread: Mapping[str, str], write: Callable[[str, str], str]
) -> list[str]:
    """Write every readout's page and the programme's by ``write`` (file name, page); returns their places."""
    pages = {file_name(one.campaign_id): render(one, shop) for one in readouts}
    pages[PROGRAMME] = render_programme(readouts, shop, unread)
    return [write(name, page) for name, page in pages.items()]


def _svg(image: bytes) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(image).decode()


_FILTERS = {"count": "{:,}".format, "svg": _svg}
