"""HTML from the package's templates: every value is escaped, and a name that a template does not know is an error."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from jinja2 import Environment, PackageLoader, StrictUndefined


def rendered(template: str, filters: Mapping[str, Callable[..., str]] | None = None, /, **values: object) -> str:
    """The template, by its path below ``holdfast/templates``, filled with the values."""
    environment = Environment(
        loader=PackageLoader("holdfast"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= filters or {}
    return environment.get_template(template).render(**values)
