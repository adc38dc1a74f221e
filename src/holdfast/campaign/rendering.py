"""A marketer's template and a customer's words in, subject and bodies out: sandboxed, strict, in the right language.

A template is a folder of parts, one of each for every language: ``subject.en.txt.j2``, ``body.en.txt.j2`` and
``body.en.html.j2``. A language has at least the text body; a missing subject or HTML body is left out of the message.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jinja2 import BaseLoader, Environment, StrictUndefined, TemplateError, TemplateNotFound
from jinja2.sandbox import ImmutableSandboxedEnvironment

from holdfast.errors import CampaignError

DEFAULT_LANGUAGE = "en"
LONGEST_PART = 200_000
"""Characters of one rendered part; mail programs clip far shorter ones."""


@dataclass(frozen=True)
class Rendered:
    """What a template made: ``subject`` is empty, and ``html`` None, where the template has no such part."""

    subject: str
    text: str
    html: str | None
    language: str


def environment(loader: BaseLoader) -> Environment:
    """Jinja for templates that marketers write: sandboxed, an unknown name is an error, HTML is escaped."""
    return ImmutableSandboxedEnvironment(
        loader=loader,
        undefined=StrictUndefined,
        autoescape=lambda name: name is not None and name.endswith(".html.j2"),
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render(templates: Environment, template: str, locale: str, words: Mapping[str, Any]) -> Rendered:
    """The template's parts in the language of ``locale`` (``zh-CN``: zh-CN, else zh, else the default language).

    Raises CampaignError when the template is missing or broken, names something that ``words`` does not have, or its
    subject comes out as anything but one line of text.
    """
    language = _language(templates, template, locale)

    def part(name: str) -> str | None:
        path = f"{template}/{name}"
        try:
            made = templates.get_template(path).render(words)
        except TemplateNotFound as error:
            if error.name == path:
                return None
            raise CampaignError(f"template {path} includes {error.name}, which does not exist") from error
        except TemplateError as error:
            where = f"{path}, line {error.lineno}" if hasattr(error, "lineno") else path
            raise CampaignError(
                f"template {where}: {error}. A template may use {', '.join(sorted(words))} and no other names"
            ) from error
        if len(made) > LONGEST_PART:
            raise CampaignError(f"template {path} renders {len(made):,} characters; {LONGEST_PART:,} is the limit")
        return made

    html = part(f"body.{language}.html.j2")
    subject = part(f"subject.{language}.txt.j2")
    return Rendered(
        subject="" if subject is None else _one_line(template, subject),
        text=part(f"body.{language}.txt.j2") or "",
        html=None if html is None else _inlined(html),
        language=language,
    )


def _language(templates: Environment, template: str, locale: str) -> str:
    wanted = dict.fromkeys((locale, locale.partition("-")[0], DEFAULT_LANGUAGE))
    for language in wanted:
        try:
            templates.get_template(f"{template}/body.{language}.txt.j2")
        except TemplateNotFound:
            continue
        except TemplateError:
            return language  # broken, which rendering tells with the line
        return language
    raise CampaignError(
        f"template {template} does not exist: there is no {template}/body.{DEFAULT_LANGUAGE}.txt.j2 among the "
        "campaigns' templates"
    )


def _one_line(template: str, rendered: str) -> str:
    subject = rendered.strip()
    if not subject or not subject.isprintable():
        flaw = "holds a line break or another sign that no subject can hold" if subject else "is empty"
        raise CampaignError(f"the subject of template {template} {flaw}; it must be one line of text")
    return subject


def _inlined(html: str) -> str:
    """The page with its style sheet moved into ``style`` attributes, which is all that many mail programs read.

    Rules for small screens and the like (@media) stay a style sheet; nothing is fetched.
    """
    from css_inline import inline

    return inline(html, keep_at_rules=True, load_remote_stylesheets=False)
