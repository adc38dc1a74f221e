"""What people are told exists in every language, with the same numbers in it."""

from importlib.resources import files
from string import Formatter

import pytest
from babel.messages.pofile import read_po

from holdfast.features.catalog import FAMILIES, FEATURES
from holdfast.language import Language, language_of, translate
from holdfast.model.personas import AVERAGE, TRAITS
from holdfast.model.reasons import COHORT

DECLARED = {
    *(feature.reason for feature in FEATURES.values()),
    *(feature.null for feature in FEATURES.values() if feature.nullable),
    *(family.meaning for family in FAMILIES),
    COHORT,
    *(word for trait in TRAITS for word in (trait.much, trait.little)),
    AVERAGE,
}


def test_the_catalogue_has_every_feature_family_and_persona_and_nothing_else() -> None:
    with (files("holdfast") / "locales" / "zh" / "LC_MESSAGES" / "holdfast.po").open("rb") as file:
        finished = {str(one.id) for one in read_po(file, locale="zh") if one.id and one.string and not one.fuzzy}
    assert sorted(DECLARED - finished) == [], "declared and not translated"
    assert sorted(finished - DECLARED) == [], "translated and no longer declared"


@pytest.mark.parametrize("text", sorted(DECLARED))
def test_a_translation_names_the_same_numbers_in_the_same_format(text: str) -> None:
    assert translate(text, "en") == text
    assert translate(text, "zh") != text
    assert numbers(translate(text, "zh")) == numbers(text)


def numbers(template: str) -> set[tuple[str, str | None]]:
    return {(name, form) for _, name, form, _ in Formatter().parse(template) if name}


@pytest.mark.parametrize(
    ("locale", "language"),
    [
        ("zh-CN", "zh"),
        ("zh_Hans_CN", "zh"),
        ("zh", "zh"),
        ("en-GB", "en"),
        ("de-DE", "en"),
        (None, "en"),
        ("", "en"),
        ("?", "en"),
    ],
)
def test_a_locale_has_a_language(locale: str | None, language: Language) -> None:
    assert language_of(locale) == language


def test_what_no_translator_has_seen_stays_english() -> None:
    assert translate("a sentence of tomorrow", "zh") == "a sentence of tomorrow"
