"""The languages that people are told things in: English as declared in code, Simplified Chinese from its catalogue.

The key of a translation is the English text itself, so that a declaration stays the one place where its English is
written. ``locales/<language>/LC_MESSAGES/holdfast.po`` is an ordinary gettext catalogue that any translator's tool
opens.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Literal

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = ("en", "zh")


def translate(text: str, language: Language) -> str:
    """``text`` in that language; in English where the catalogue lacks it."""
    return text if language == "en" else _catalogue(language).get(text, text)


def language_of(locale: str | None) -> Language:
    """The language to speak to someone with this locale ("zh-CN", "en_US"); English where it is unknown or not ours."""
    from babel.core import negotiate_locale

    spoken = negotiate_locale([(locale or "").replace("_", "-")], LANGUAGES, sep="-")
    return "zh" if spoken == "zh" else "en"


@cache
def _catalogue(language: Language) -> dict[str, str]:
    """Every finished translation by its English text."""
    from babel.messages.pofile import read_po

    path = files("holdfast") / "locales" / language / "LC_MESSAGES" / "holdfast.po"
    with path.open("rb") as file:
        catalogue = read_po(file, locale=language)
    return {str(one.id): str(one.string) for one in catalogue if one.id and one.string and not one.fuzzy}
