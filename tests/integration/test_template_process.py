"""Templates in a child process: the same words as in this one, and no template takes more than its share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.adapters.template_process import TemplateProcess
from holdfast.campaign.rendering import Rendered
from holdfast.errors import CampaignError

PARTS = {
    "good/subject.en.txt.j2": "Hello {{ name }}",
    "good/body.en.txt.j2": "Dear {{ name }}",
    "broken/body.en.txt.j2": "{{ nobody }}",
    "greedy/body.en.txt.j2": "{{ ('a' * 900000000)|length }}",
    "endless/body.en.txt.j2": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "long/body.en.txt.j2": "{{ 'a' * 300000 }}",
}
GOOD = Rendered("Hello 王", "Dear 王", None, "en")


@pytest.fixture(scope="module")
def render(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TemplateProcess]:
    folder: Path = tmp_path_factory.mktemp("templates")
    for name, text in PARTS.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    process = TemplateProcess(folder, cpu_seconds=0.5)
    yield process
    process.close()


def test_it_renders_what_the_templates_say(render: TemplateProcess) -> None:
    assert render("good", "en", {"name": "王"}) == GOOD


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("broken", "'nobody' is undefined"),
        ("greedy", "takes more than 512 MB"),
        ("endless", r"took more than 0\.5 s"),
        ("long", "renders 300,000 characters; 200,000 is the limit"),
        ("absent", "does not exist"),
    ],
)
def test_what_a_template_may_not_do_is_told_and_the_next_one_is_rendered(
    render: TemplateProcess, template: str, told: str
) -> None:
    with pytest.raises(CampaignError, match=told):
        render(template, "en", {"name": "Anna"})
    assert render("good", "en", {"name": "王"}) == GOOD
