"""The templates of pages and pictures. Text from elsewhere is escaped, and its invisible characters are shown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Final

from jinja2 import Environment, FunctionLoader, StrictUndefined, Template
from markupsafe import Markup, escape

from aks_entra.core.verdict.verdict import Outcome
from aks_entra.report import palette
from aks_entra.text.safe import for_html

CLASSES: Final[Mapping[Outcome, str]] = {outcome: outcome.name.lower().replace("_", "-") for outcome in Outcome}
"""The class of each outcome. Its colour has the same name."""
COLOURS: Final[Mapping[str, Markup]] = {
    name: Markup(palette.css(colours))  # noqa: S704 - our own text
    for name, colours in (("light", palette.LIGHT), ("dark", palette.DARK), ("print", palette.PRINT))
}
"""The colours for light and dark screens and for paper, as CSS."""
_CODE: Final = re.compile(r"`([^`]+)`")


def template(name: str) -> Template:
    """Return a template of this room."""
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
        loader=FunctionLoader(_source),
    )
    environment.filters |= {"code": _code, "when": to_the_second}
    return environment.get_template(name)


def _source(name: str) -> str:
    return files("aks_entra.report").joinpath(name).read_text(encoding="utf-8")


def _shown(value: object) -> str:
    """Return a value of a template as the page contains it."""
    return value if isinstance(value, Markup) else for_html(str(value))


def _code(text: str) -> Markup:
    """Return the text escaped, with text in backticks as code."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(for_html(text)))))  # noqa: S704 - the text was escaped


def to_the_second(at: str) -> str:
    """Return a time (ISO 8601, UTC) to the second. The JSON has all of its digits."""
    return at[:19].replace("T", " ")
