"""Make text storable. Foreign text may contain lone surrogates, which UTF-8 cannot encode."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

_HALVES: Final = re.compile("[\ud800-\udfff]")
REPLACEMENT: Final = "\ufffd"
"""Unicode's sign for a character that could not be read."""


def storable(value: Any) -> Any:
    """Return a JSON-like value with each lone surrogate replaced by U+FFFD. Other text is unchanged."""
    if isinstance(value, str):
        return value if value.isascii() else _HALVES.sub(REPLACEMENT, value)
    if isinstance(value, Mapping):
        return {storable(name): storable(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [storable(inner) for inner in value]
    return value


def canonical(value: Any) -> str:
    """Return the JSON text that digests cover. A text and its `storable` form have the same."""
    text = _dump(value)
    return _dump(storable(value)) if "\\ud" in text else text


def _dump(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
