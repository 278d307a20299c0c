"""Plain objects of the sandbox as JSON and back.

Decoding creates objects of this package's classes only, and runs none of their code.
"""

from __future__ import annotations

import importlib
from base64 import b64decode, b64encode
from collections import deque
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime, timedelta
from typing import Any

PACKAGE = "azure_sandbox."
TAG = "$"
MOVED = {
    "arm.access": "arm.authorization.access",
    "arm.activity": "arm.insights.activity_log",
    "arm.denials": "arm.authorization.deny_assignments",
    "arm.ledger": "arm.containerservice.credential_ledger",
    "arm.policies": "arm.authorization.policies",
    "arm.roles": "arm.authorization.roles",
    "arm.run_command": "arm.containerservice.run_command",
    "operation_faults": "faults.operations",
}
"""Present modules of classes that folders of an earlier version store under another module."""


def encode(value: Any) -> Any:
    """Return a value as JSON. Raises TypeError for a value that is not plain data."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list):
        return [encode(it) for it in value]
    if isinstance(value, dict):
        if all(isinstance(key, str) and key != TAG for key in value):
            return {key: encode(it) for key, it in value.items()}
        return {TAG: "dict", "of": [[encode(key), encode(it)] for key, it in value.items()]}
    for name, (kind, write, _) in _PLAIN.items():
        if type(value) is kind:
            return {TAG: name, "of": write(value)}
    if type(value).__module__.startswith(PACKAGE):
        attributes = _attributes(value)
        kind_name = f"{type(value).__module__}:{type(value).__qualname__}"
        return {TAG: kind_name, "of": {name: encode(it) for name, it in attributes.items()}}
    raise TypeError(f"{type(value)} cannot be stored as JSON")


def _attributes(value: Any) -> dict[str, Any]:
    if is_dataclass(value):
        return {it.name: getattr(value, it.name) for it in fields(value) if hasattr(value, it.name)}
    return dict(vars(value))


def decode(value: Any) -> Any:
    """Return the value that `encode` stored. Raises ValueError for a class of another package."""
    if isinstance(value, list):
        return [decode(it) for it in value]
    if not isinstance(value, dict):
        return value
    if TAG not in value:
        return {key: decode(it) for key, it in value.items()}
    name, of = value[TAG], value["of"]
    if name == "dict":
        return {decode(key): decode(it) for key, it in of}
    if name in _PLAIN:
        return _PLAIN[name][2](of)
    module, _, qualified = str(name).partition(":")
    if not module.startswith(PACKAGE):
        raise ValueError(f"{name} is not a class of the sandbox")
    inner = module.removeprefix(PACKAGE)
    kind = getattr(importlib.import_module(PACKAGE + MOVED.get(inner, inner)), qualified)
    made = object.__new__(kind)
    for key, it in (_defaults(kind) | {key: decode(it) for key, it in of.items()}).items():
        object.__setattr__(made, key, it)
    return made


def _defaults(kind: type) -> dict[str, Any]:
    """Return the defaults of a dataclass: a folder of an earlier version does not know the fields added since."""
    found: dict[str, Any] = {}
    for it in fields(kind) if is_dataclass(kind) else ():
        if it.default is not MISSING:
            found[it.name] = it.default
        elif it.default_factory is not MISSING:
            found[it.name] = it.default_factory()
    return found


_PLAIN: dict[str, tuple[type, Callable[[Any], Any], Callable[[Any], Any]]] = {
    "tuple": (tuple, lambda it: [encode(one) for one in it], lambda of: tuple(decode(one) for one in of)),
    "set": (set, lambda it: sorted((encode(one) for one in it), key=str), lambda of: {decode(one) for one in of}),
    "frozenset": (
        frozenset,
        lambda it: sorted((encode(one) for one in it), key=str),
        lambda of: frozenset(decode(one) for one in of),
    ),
    "deque": (deque, lambda it: [it.maxlen, [encode(one) for one in it]], lambda of: deque(decode(of[1]), of[0])),
    "datetime": (datetime, datetime.isoformat, datetime.fromisoformat),
    "timedelta": (timedelta, timedelta.total_seconds, lambda of: timedelta(seconds=of)),
    "bytes": (bytes, lambda it: b64encode(it).decode(), b64decode),
}
