"""What every part of a fleet file has in common: frozen, no unknown keys, no value repeated in an error."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from aks_entra.fleet_file_errors import Mistake, Mistakes


class Part(BaseModel):
    """A part of the file: pydantic at the rim, with our own words for what is wrong."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        hide_input_in_errors=True,  # somebody may have pasted a secret
    )


def once(field: str, names: list[str], message: str, remedy: str, key: str = "") -> None:
    """Raise a mistake for every name that stood before."""
    again = [index for index, name in enumerate(names) if name in names[:index]]
    if again:
        raise Mistakes(Mistake(message, remedy, at=(field, index, key) if key else (field, index)) for index in again)


def pairs(tags: dict[str, str] | None) -> tuple[tuple[str, str], ...]:
    """Tags as the core has them: sorted."""
    return tuple(sorted((tags or {}).items()))
