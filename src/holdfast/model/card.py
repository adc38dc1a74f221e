"""The model card: what a model is for, what it was made of, how good, how fair, what it goes by, and its limits.

After M. Mitchell et al., "Model Cards for Model Reporting", FAT* 2019.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from holdfast.features.catalog import FEATURES
from holdfast.features.spec import Family
from holdfast.model.explanation import Explanation
from holdfast.model.fairness import Fairness, Figure, Group
from holdfast.model.record import CandidateRun
from holdfast.rules import Rules

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Card:
    """What a card tells: ``run`` with its plots, and ``fairness``, None where the rules name no groups."""

    run: CandidateRun
    rules: Rules
    explanation: Explanation
    fairness: Fairness | None
    families: Sequence[Family]

    @property
    def families_by_effect(self) -> list[tuple[Family, float]]:
        """Each family with its contribution, the largest first."""
        by_name = {family.name: family for family in self.families}
        return [(by_name[name], size) for name, size in self.explanation.by_family.items()]

    @property
    def groups(self) -> list[Group]:
        """Everyone, then each group."""
        return [self.fairness.everyone, *self.fairness.groups] if self.fairness else []

    @property
    def figures(self) -> list[tuple[str, float, list[float]]]:
        """Each metric: its name, its mean over the test cutoffs, and its value on each of them."""
        evaluation = self.run.evaluation
        each = [evaluation.by_cutoff[cutoff].as_dict() for cutoff in evaluation.cutoffs]
        return [
            (name.replace("_", " "), mean, [figures[name] for figures in each])
            for name, mean in evaluation.mean.as_dict().items()
        ]


def markdown(card: Card) -> str:
    """The card as Markdown; plots are referred to as files in ``../plots``."""
    text: str = _template().render(card=card, rules=card.rules, features=FEATURES)
    return text


def html(card: Card) -> str:
    """The card as one HTML page that holds its plots and fetches nothing; nothing in the shop's words is markup."""
    from markdown_it import MarkdownIt

    renderer = MarkdownIt("commonmark", {"html": False}).enable("table")
    renderer.validateLink = _is_plot  # type: ignore[method-assign]
    body = renderer.render(markdown(card))
    for name, png in card.run.plots.items():
        body = body.replace(
            f'src="../plots/{name}.png"', f'src="data:image/png;base64,{base64.b64encode(png).decode()}"'
        )
    return f"{_HEAD}<body><main>\n{body}</main></body></html>\n"


def _is_plot(url: str) -> bool:
    return url.startswith("../plots/")


_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>Model card</title>
<style>body { font: 15px/1.5 system-ui, sans-serif; color: #1c2430; margin: 2em } main { max-width: 60em; margin: auto }
table { border-collapse: collapse } th, td { border-bottom: 1px solid #dde3ea; padding: 4px 10px; text-align: left }
img { max-width: 28em }</style></head>
"""


def _template() -> Any:
    environment = Environment(
        loader=PackageLoader("holdfast"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701  Markdown, which is turned into HTML with HTML switched off
    )
    filters: Mapping[str, Callable[..., str]] = {"cell": _cell, "number": "{:.4g}".format, "figure": _figure}
    environment.filters |= filters
    return environment.get_template("model_card.md.j2")


def _cell(text: object) -> str:
    """Text that stays within one cell of a Markdown table, and is no markup."""
    escaped = "".join(f"\\{mark}" if mark in "\\`*_[]<>|&" else mark for mark in str(text))
    return " ".join(escaped.split())


def _figure(figure: Figure | None) -> str:
    return "–" if figure is None else f"{figure.value:.3f} ({figure.low:.3f} to {figure.high:.3f})"
