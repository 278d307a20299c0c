"""The shape of a JSON document: its key paths, with the type at each."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

from ruamel.yaml import YAML

Shapes = set[tuple[str, str]]


def shapes(value: Any, path: str = "") -> Shapes:
    """Return every key path with its type. All numbers are one type; all members of a list share a path."""
    kind = "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__
    found = {(path, kind)}
    if isinstance(value, dict):
        for key, inner in value.items():
            found |= shapes(inner, f"{path}.{key}")
    elif isinstance(value, list):
        for inner in value:
            found |= shapes(inner, f"{path}[]")
    return found


def kubeconfig_shape(document: dict[str, Any]) -> Shapes:
    """Return the shape of the first kubeconfig in an answer, which a recording holds without its encoding."""
    text = document["kubeconfigs"][0]["value"]
    if text.startswith("<base64 of>"):
        return shapes(YAML(typ="safe").load(text.removeprefix("<base64 of>")))
    return shapes(YAML(typ="safe").load(b64decode(text)))


def difference(recorded: Shapes, ours: Shapes) -> set[str]:
    """Return `-path type` for what only the recorded document has, and `+path type` for what only ours has."""
    lacking = {f"-{path} {kind}" for path, kind in recorded - ours}
    return lacking | {f"+{path} {kind}" for path, kind in ours - recorded}
