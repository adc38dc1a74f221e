"""Templates: the right language, one line of subject, nothing unknown, nothing unsafe."""

import pytest
from jinja2 import DictLoader

from holdfast.campaign.rendering import Rendered, environment, render
from holdfast.errors import CampaignError

PARTS = {
    "m/subject.en.txt.j2": "Hello {{ name }}",
    "m/body.en.txt.j2": "Dear {{ name }}",
    "m/body.en.html.j2": "<p>{{ name }}</p>",
    "m/body.zh.txt.j2": "{{ name }}，您好",
}


def rendered(changes: dict[str, str] | None = None, *, locale: str = "en", name: str = "Anna") -> Rendered:
    return render(environment(DictLoader(PARTS | (changes or {}))), "m", locale, {"name": name})


def test_the_parts_of_the_language_are_filled() -> None:
    page = "<html><head></head><body><p>Anna</p></body></html>"
    assert rendered() == Rendered("Hello Anna", "Dear Anna", page, "en")


@pytest.mark.parametrize(("locale", "language"), [("zh", "zh"), ("zh-CN", "zh"), ("de-AT", "en"), ("en-US", "en")])
def test_a_locale_gets_its_own_language_or_the_default(locale: str, language: str) -> None:
    assert rendered(locale=locale).language == language


def test_a_part_that_the_language_lacks_is_left_out_not_borrowed_from_another() -> None:
    assert rendered(locale="zh") == Rendered("", "Anna，您好", None, "zh")


def test_html_is_escaped_and_text_is_not() -> None:
    made = rendered(name="<b>Anna</b>")
    assert "<p>&lt;b&gt;Anna&lt;/b&gt;</p>" in (made.html or "")
    assert made.text == "Dear <b>Anna</b>"


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("{{ probability }}", "'probability' is undefined"),
        ("\n{% if %}", "line 2"),
        ("{{ ''.__class__.__mro__ }}", "unsafe"),
        ("{% include 'other.txt' %}", "other.txt, which does not exist"),
    ],
)
def test_a_template_that_is_broken_or_asks_for_more_is_refused_by_name(template: str, told: str) -> None:
    with pytest.raises(CampaignError, match=f"m/body.en.txt.j2.*{told}"):
        rendered({"m/body.en.txt.j2": template})


def test_a_template_that_is_not_there_is_told() -> None:
    with pytest.raises(CampaignError, match=r"template n does not exist: there is no n/body\.en\.txt\.j2"):
        render(environment(DictLoader(PARTS)), "n", "zh", {})


@pytest.mark.parametrize("subject", ["{{ '\\r\\n' }}Bcc: all@shop.example", "{{ '' }}", "a\nb", "a\u2028b"])
def test_a_subject_that_renders_to_anything_but_one_line_is_refused(subject: str) -> None:
    with pytest.raises(CampaignError, match="one line"):
        rendered({"m/subject.en.txt.j2": "Hi " + subject if "Bcc" in subject else subject})


def test_a_name_with_line_breaks_cannot_reach_the_subject() -> None:
    with pytest.raises(CampaignError, match="one line"):
        rendered(name="Anna\r\nBcc: all@shop.example")


def test_the_style_sheet_moves_into_the_elements_and_nothing_is_fetched() -> None:
    sheet = "<style>p { color: red } @media (max-width: 600px) { p { color: blue } }</style>"
    link = "<link rel='stylesheet' href='http://127.0.0.1:9/x.css'>"
    html = rendered({"m/body.en.html.j2": f"<html><head>{sheet}{link}</head><body><p>Hi</p></body></html>"}).html or ""
    assert '<p style="color: red;">Hi</p>' in html
    assert "@media (max-width: 600px)" in html
    assert "x.css" not in html
