"""What a person types and others will read: a reason, a ticket, the name of who decides. One line, nothing hidden."""

from __future__ import annotations

from typing import Final

from aks_entra.errors import Refused
from aks_entra.text.safe import unprintable


def one_line(field: str, text: str) -> str:
    """The text, as it was typed. Raises Refused that names the field, for a line break or a character nobody sees."""
    if found := unprintable(text):
        raise Refused(
            f"{field}: it has the character {found} in it",
            remedy="type it on one line, without control characters or changes of direction",
        )
    return text


LONGEST_APPROVER: Final = 200
LONGEST_REASON: Final = 500
LONGEST_TICKET: Final = 100
"""Characters that the form of a gate takes."""


def words(field: str, text: str, longest: int) -> str:
    """The text, as it was typed. Raises Refused that names the field, also for one that is blank or too long."""
    if not text.strip():
        raise Refused(f"{field}: it is blank", remedy="write something in it, because it is recorded")
    if len(text) > longest:
        raise Refused(f"{field}: it has {len(text)} characters, and {longest} are allowed", remedy="shorten it")
    return one_line(field, text)


def typed(text: str) -> str:
    """The check of a field of one of our forms. Raises ValueError: pydantic names the field."""
    if found := unprintable(text):
        message = f"it has the character {found} in it: type it on one line, without control characters"
        raise ValueError(message)
    return text
