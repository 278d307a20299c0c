"""What a person types and others will read: a reason, a ticket, the name of who decides. One line, nothing hidden."""

from __future__ import annotations

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


def typed(text: str) -> str:
    """The check of a field of one of our forms. Raises ValueError: pydantic names the field."""
    if found := unprintable(text):
        message = f"it has the character {found} in it: type it on one line, without control characters"
        raise ValueError(message)
    return text
