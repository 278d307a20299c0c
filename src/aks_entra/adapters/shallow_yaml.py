"""Reads the YAML of files that strangers wrote, such as a leaked kubeconfig."""

from __future__ import annotations

import io
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import CollectionEndEvent, CollectionStartEvent

DEEPEST: Final = 50
"""Levels of lists and mappings. A kubeconfig has six; each level takes some of the stack of libyaml's composer."""


def load_shallow(content: str | bytes) -> Any:
    """Return the document in a YAML text.

    Raises YAMLError if it cannot be parsed, or if it is nested so deeply that reading it could end this process.
    """
    depth = 0
    for event in YAML(typ="safe").parse(_stream(content)):
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if depth > DEEPEST:
            raise YAMLError("the text is nested too deeply")
    return YAML(typ="safe").load(_stream(content))


def _stream(content: str | bytes) -> io.BytesIO | io.StringIO:
    return io.BytesIO(content) if isinstance(content, bytes) else io.StringIO(content)
