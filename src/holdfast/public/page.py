"""The preference page as HTML: no script, nothing fetched, readable by a screen reader and on a phone."""

from __future__ import annotations

from holdfast.pipelines.html import rendered
from holdfast.pipelines.replies import Standing
from holdfast.public.words import WORDS


def preferences(shop: str, standing: Standing, language: str, *, action: str, saved: bool) -> str:
    """The page; its form posts to ``action``, and ``saved`` confirms a choice just made."""
    return _render("preferences.html.j2", shop, language, standing=standing, action=action, saved=saved)


def missing(shop: str, language: str) -> str:
    """The same page for every link that leads nowhere, whatever is wrong with it."""
    return _render("missing.html.j2", shop, language)


def _render(template: str, shop: str, language: str, **values: object) -> str:
    words = {name: text.format(shop=shop) for name, text in WORDS[language].items()}
    other = "en" if language == "zh" else "zh"
    return rendered(f"public/{template}", words=words, language=language, other=other, shop=shop, **values)
