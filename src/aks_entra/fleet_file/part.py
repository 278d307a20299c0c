"""The base of each part of a fleet file: it is frozen, has no unknown keys, and its errors repeat no value."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from aks_entra.fleet_file.errors import Mistake, Mistakes


class Part(BaseModel):
    """A part of the file: a pydantic model whose errors are in our own words."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        hide_input_in_errors=True,  # somebody may have pasted a secret
    )


def once(field: str, names: list[str], message: str, remedy: str, key: str = "") -> None:
    """Raise a mistake for each name that is in the list twice."""
    again = [index for index, name in enumerate(names) if name in names[:index]]
    if again:
        raise Mistakes(Mistake(message, remedy, at=(field, index, key) if key else (field, index)) for index in again)


def pairs(tags: dict[str, str] | None) -> tuple[tuple[str, str], ...]:
    """Return tags as the core has them: sorted."""
    return tuple(sorted((tags or {}).items()))
