"""Read the quota family and the number of vCPUs from the name of an Azure VM size.

Source: Azure's naming conventions for virtual machine sizes. Other names tell nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_NAME: Final = re.compile(
    r"Standard_(?P<kind>[A-Z]+)(?P<cores>\d+)(?:-\d+)?(?P<more>[a-z]*)(?:_(?!v\d+$)\w+?)?(?:_(?P<version>v\d+))?",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """`families` holds possible names of the vCPU quota, the likeliest first, in lower case."""

    cores: int
    families: tuple[str, ...]


def size_of(name: str) -> Size | None:
    """`Standard_D4ads_v5` → 4 vCPUs of standarddadsv5family. Returns None for a name of another form."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    kind, more, version = (str(found[part] or "").lower() for part in ("kind", "more", "version"))
    families = (f"standard{kind}{more}{version}family", f"standard{kind}{more.replace('m', '')}{version}family")
    return Size(cores=int(found["cores"]), families=tuple(dict.fromkeys(families)))
