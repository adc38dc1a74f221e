"""What people are told exists in every language, with the same numbers in it."""

from string import Formatter

import pytest

from holdfast.features.catalog import FAMILIES, FEATURES
from holdfast.language import LANGUAGES, Language, language_of, translate, translated
from holdfast.model.reasons import COHORT

SENTENCES = {
    *(feature.reason for feature in FEATURES.values()),
    *(feature.null for feature in FEATURES.values() if feature.nullable),
    *(family.meaning for family in FAMILIES),
    COHORT,
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_feature_and_family_can_be_told(language: Language) -> None:
    assert sorted(text for text in SENTENCES if not translated(text, language)) == []


@pytest.mark.parametrize("text", sorted(SENTENCES))
def test_a_translation_names_the_same_numbers_in_the_same_format(text: str) -> None:
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
