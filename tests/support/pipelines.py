"""The scripts in the pipelines of deployments/pipelines/."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML

_FOLDER: Final = Path(__file__).parents[2] / "deployments" / "pipelines"
PIPELINES: Final = ("github-actions.yaml", "azure-devops.yaml")


def step(pipeline: str, name: str) -> str:
    """Return the script of the step with a name."""
    (found,) = _scripts(YAML(typ="safe").load(_FOLDER / pipeline), name)
    return found.strip()


def _scripts(value: Any, name: str) -> Iterator[str]:
    if isinstance(value, dict):
        if name in (value.get("name"), value.get("displayName")):
            yield value.get("run") or value.get("bash") or value["inputs"]["inlineScript"]
        for inner in value.values():
            yield from _scripts(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from _scripts(inner, name)
