"""Text that strangers wrote, made safe for Markdown: CommonMark with GitHub's tables, raw HTML allowed. Pure.

A text stays inside the line, the cell or the list item that it was put into, and shows every character of its own.
Ordinary names (dashes, underscores within words, dots, `@`, parentheses, letters of any script) stay as they are.
"""

from __future__ import annotations

import re
from typing import Final

from aks_entra.text.safe import visible

_ACTIVE: Final = re.compile(
    r"""[\\`*<>\[\]|~$]                                            # code, emphasis, HTML, links, tables, formulas
    | (?<!\w)_++ | _++(?!\w)                                       # underscores that are not inside a word
    | &(?=\#[0-9]{1,7};|\#[xX][0-9a-fA-F]{1,6};|[A-Za-z][A-Za-z0-9]{0,31};)
    | :(?=//) | (?<=www)\.                                         # what GitHub makes a link of
    """,
    re.VERBOSE | re.IGNORECASE,
)
_BLOCK: Final = re.compile(r"(?P<number>[0-9]{1,9}(?=[.)])|(?=[-+=#:]))(?P<mark>[-+=#:.)])(?![^\W_])")
"""The beginning of a list item, a heading, a rule or a table's second line."""
_EDGES: Final = re.compile(r"^[ \u3000]|[ \u3000]$")
_RUN: Final = re.compile("`+")


def for_markdown(text: str, *, code: bool = False) -> str:
    """The text inside a paragraph, a heading or a list item. `code`: what is in backticks is shown as code.

    Pass `code` for a sentence of ours, in which strangers' words may be; not for a name.
    """
    return _inline(text, code=code, table=False)


def for_markdown_table_cell(text: str, *, code: bool = False) -> str:
    """The text inside a cell of a table; `code` as in `for_markdown`."""
    return _inline(text, code=code, table=True)


def strong(text: str) -> str:
    """The text in bold; an empty one is shown as a dash."""
    return f"**{for_markdown(text) or '–'}**"


def code(text: str) -> str:
    """The text as code, whatever backticks it has; not for a table's cell. An empty one is shown as a dash."""
    shown = visible(text)
    if not shown.strip():
        return "–"
    fence = "`" * (max((len(run) for run in _RUN.findall(shown)), default=0) + 1)
    space = " " if shown[0] in "` " or shown[-1] in "` " else ""
    return f"{fence}{space}{shown}{space}{fence}"


def _inline(text: str, *, code: bool, table: bool) -> str:
    shown = _EDGES.sub(lambda found: f"\\u{ord(found[0]):04x}", visible(text))
    runs = _RUN.findall(shown) if code else []
    if len(runs) % 2 or any(len(run) > 1 for run in runs) or not runs:
        return _at_start(shown)
    parts = shown.split("`")
    literal = [_at_start(part) if index == 0 else _literal(part) for index, part in enumerate(parts) if index % 2 == 0]
    spans = [part.replace("|", "\\|") if table else part for part in parts[1::2]]
    return "".join(
        before + (f"`{span}`" if span is not None else "") for before, span in zip(literal, [*spans, None], strict=True)
    )


def _at_start(text: str) -> str:
    """A literal text that may begin a line."""
    opening = _BLOCK.match(text)
    if opening is None:
        return _literal(text)
    return f"{opening['number']}\\{opening['mark']}{_literal(text[opening.end() :])}"


def _literal(text: str) -> str:
    escaped = _ACTIVE.sub(lambda found: "".join(f"\\{one}" for one in found[0]), text)
    return re.sub("(?<= ) ", "\N{NO-BREAK SPACE}", escaped)
