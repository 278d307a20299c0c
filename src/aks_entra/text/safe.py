"""Text that strangers wrote, made safe for each kind of page that shows it. Pure: standard library only.

Names, tags, reasons and service errors come from Azure, Graph, Kubernetes, fleet files and forms. A character that is
invisible, or that a page would act on, is shown as an escape. It is never dropped, so that two names that differ do
not look the same. An escape cannot be forged: a backslash that a stranger put before `u202e` is escaped
itself. Letters that merely look alike (of the Latin and the Cyrillic script) are shown as they are: see docs/limits.md.

Sources: Unicode 14 (general categories, Default_Ignorable_Code_Point), CommonMark 0.31, GitHub Flavored Markdown 0.29,
XML 1.0 section 2.2, RFC 8259, OWASP's "CSV Injection".
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from functools import lru_cache
from typing import Final

LONGEST: Final = 4_000
"""Characters of one text that are shown; what follows is counted."""
LONGEST_NAME: Final = 120
"""Characters of a name of a run."""
LONGEST_FILE_NAME: Final = 40
"""Characters of a part of a file's name: 160 bytes at most, of the 255 that file systems take."""

LINE_END: Final = "\N{RETURN SYMBOL}"
"""Shown for a line feed, so that a text stays on its line. The symbol itself is shown as an escape."""

_SUSPECT: Final = re.compile(r"[^\x20-\x7e]|\\(?=u[0-9a-f]{4}|U[0-9a-f]{8})")
_UNSEEN_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
_IDEOGRAPHIC_SPACE: Final = "\N{IDEOGRAPHIC SPACE}"
_UNSEEN: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u2800\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8"
    "\U000e0000-\U000e0fff]"
)
"""What shows nothing though its category is that of a letter, a mark or a symbol."""

_SURROGATE_OR_NUL: Final = re.compile("[\0\ud800-\udfff]")


def visible(text: str, *, longest: int = LONGEST) -> str:
    """The text on one line, with an escape for each character that shows nothing, moves others, or starts a line."""
    if len(text) > longest:
        return f"{visible(text[:longest], longest=longest)}… ({len(text)} characters)"
    return _SUSPECT.sub(lambda found: _shown(found[0]), text)


for_terminal = visible
"""One line for a terminal: no escape sequence, no control character, no change of direction."""
for_log = visible
"""One line for a log, a state message or an error: nobody forges a second line."""
for_html = visible
"""What HTML cannot hold is shown; the template's own escaping does the rest."""
for_xml = visible
"""What XML 1.0 cannot hold is shown; the builder's own escaping does the rest."""


def lines_for_terminal(text: str) -> str:
    """A document of several lines for a terminal: line feeds and tabs stay, all else is as `for_terminal` has it.

    What `visible` made is not escaped again.
    """
    return _SUSPECT.sub(lambda found: found[0] if found[0] in f"\n\t\\{LINE_END}" else _shown(found[0]), text)


def for_message(text: str) -> str:
    """A text in a chat message or a mail: on one line, and without what Slack or Teams makes a link or a mention of."""
    return re.sub(r"[<>\[\]]", lambda found: _escape(found[0]), visible(text))


def for_csv(text: str) -> str:
    """A cell on one line that no spreadsheet takes for a formula: what looks like one gets an apostrophe before it."""
    cell = visible(text)
    first = unicodedata.normalize("NFKC", cell.lstrip(f" {_IDEOGRAPHIC_SPACE}\"'")[:1])
    return f"'{cell}" if first in {*"=+-@|%", "\N{MINUS SIGN}"} else cell


def for_json(text: str) -> str:
    """JSON text with the same meaning, in which characters that a terminal would act on are JSON's own escapes.

    It can always be written as UTF-8.
    """
    return re.sub(r"[^\x20-\x7e]", lambda found: _in_json(found[0]), text)


def for_storage(text: str) -> str:
    """A text that a database and UTF-8 can hold: an escape for each NUL and each lone surrogate, all else as it is."""
    return _SURROGATE_OR_NUL.sub(lambda found: _escape(found[0]), text)


def for_name(text: str) -> str:
    """A short name on one line, for runs and tasks."""
    return visible(text.strip(), longest=LONGEST_NAME)


def for_file_name(text: str) -> str:
    """A part of a file's name: letters, digits, dots, dashes and underscores, never a path.

    Spaces become dashes. A name that lost anything else gets six digits over the whole, so that two stay two.
    """
    plain = text.replace(" ", "-")
    kept = re.sub(r"[^\w.-]", "-", visible(plain)).lstrip(".-")[:LONGEST_FILE_NAME]
    if kept and kept == plain:
        return kept
    return f"{kept or 'unnamed'}-{hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()[:6]}"


def unprintable(text: str) -> str:
    """The first character that no form or option accepts, such as `U+202E`; empty when there is none.

    That is a control character, a line or paragraph separator, a change of direction, or half of a surrogate pair.
    """
    return next((f"U+{ord(one):04X}" for one in text if _refused(one)), "")


@lru_cache(maxsize=4096)
def _shown(character: str) -> str:
    if character == "\n":
        return LINE_END
    if unicodedata.category(character) in _UNSEEN_CATEGORIES or _UNSEEN.match(character) or _unassignable(character):
        return _escape(character)
    if character in {"\\", LINE_END} or (character.isspace() and character not in {" ", _IDEOGRAPHIC_SPACE}):
        return _escape(character)
    return character


def _in_json(character: str) -> str:
    if character in "\n\r\t" or _shown(character) in {character, _escape(LINE_END)}:
        return character
    if character <= "\uffff":
        return f"\\u{ord(character):04x}"
    high, low = divmod(ord(character) - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004 - the last of the basic plane


def _unassignable(character: str) -> bool:
    """Whether Unicode promises never to assign it: XML has no place for some of them."""
    code = ord(character)
    return 0xFDD0 <= code <= 0xFDEF or code & 0xFFFE == 0xFFFE  # noqa: PLR2004 - Unicode's noncharacters


def _refused(character: str) -> bool:
    if unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} or _unassignable(character):
        return True
    return unicodedata.category(character) == "Cf" and character not in "\u200c\u200d\u00ad"
