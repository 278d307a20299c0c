"""Makes rich's texts for all printers, so that no field can control the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from rich.table import Table
from rich.text import Text

from aks_entra.text.safe import for_terminal

SafeText: TypeAlias = Text
"""A text that one of these functions made."""


def safe_line(text: str, style: str = "") -> Text:
    """Return one line. Text from outside cannot start a new line, and is not read as markup."""
    return Text(for_terminal(text), style=style)


def joined(texts: Iterable[str], between: str, style: str = "") -> Text:
    """Return several texts on one line, each made safe."""
    return Text(between.join(for_terminal(text) for text in texts), style=style)


def side_by_side(*parts: Text) -> Text:
    """Return several texts with their own styles on one line."""
    return Text().join(parts)


def stacked(*lines: Text) -> Text:
    """Return several lines, one below the other."""
    return Text("\n").join(lines)


def borderless_table(*headings: str) -> Table:
    """Return a table without lines, whose long cells are wrapped."""
    made = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", show_edge=False)
    for heading in headings:
        made.add_column(safe_line(heading), overflow="fold")
    return made


def table(headings: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Table:
    """Return a table of plain texts."""
    made = Table(box=None, pad_edge=False)
    for heading in headings:
        made.add_column(safe_line(heading), overflow="fold")
    for row in rows:
        made.add_row(*(safe_line(cell) for cell in row))
    return made
