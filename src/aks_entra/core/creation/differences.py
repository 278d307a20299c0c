"""How an existing cluster differs from the one that is asked for. What nobody asked for is not compared."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any, Final

from aks_entra.core.creation.new_cluster import Body

_NAMED: Final = ("agentPoolProfiles",)  # lists whose entries have names
_VERSIONS: Final = ("kubernetesVersion", "orchestratorVersion")
_LOGS: Final = "logs"  # of a diagnostic setting
_WRITE_ONLY: Final = ("linuxProfile", "windowsProfile")  # keys and passwords that ARM does not return, or changes


def differences(asked: Body, found: Body, *, but: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return `path: asked for X, found Y` for each property of a body that an existing resource does not have.

    Case, order and a range's `/32` do not matter. A version that was upgraded since is no difference, and neither is
    the node count of a pool that scales by itself. `but` names paths that are not compared.
    """
    paths = (*but, "dnsPrefix", *_WRITE_ONLY)
    return tuple(
        f"{path}: asked for {_said(one)}, found {_said(other)}" for path, one, other in _apart(asked, found, paths)
    )


def _apart(asked: Body, found: Body, but: tuple[str, ...], path: str = "") -> Iterator[tuple[str, Any, Any]]:
    for key, wanted in asked.items():
        where = f"{path}.{key}" if path else key
        if where.removeprefix("properties.") in but:
            continue
        there = found.get(key, found.get(_spelt(key, found)))
        if key in _NAMED:
            yield from _apart_by_name(wanted, there, but, where)
        elif isinstance(wanted, Mapping):
            yield from _apart(wanted, there if isinstance(there, Mapping) else {}, but, where)
        elif not (key == "count" and asked.get("enableAutoScaling")) and not _alike(key, wanted, there):
            yield where, wanted, there


def _alike(key: str, wanted: Any, there: Any) -> bool:
    if key == _LOGS:
        return _sent(wanted) <= _sent(there)
    if key in _VERSIONS:
        return _upgraded(str(wanted or ""), str(there or ""))
    return bool(_plain(wanted) == _plain(there))


def _apart_by_name(asked: list[Any], found: Any, but: tuple[str, ...], path: str) -> Iterator[tuple[str, Any, Any]]:
    there = {str(one.get("name")): one for one in found or ()}
    for wanted in asked:
        name = str(wanted.get("name"))
        if name not in there:
            yield f"{path}[{name}]", "a pool", None
        else:
            yield from _apart(wanted, there[name], but, f"{path}[{name}]")


def _sent(logs: Any) -> set[str]:
    """Return the categories and category groups that a diagnostic setting sends."""
    on = [one for one in logs or () if one.get("enabled")]
    return {str(one.get("category") or one.get("categoryGroup")) for one in on}


def _spelt(key: str, found: Body) -> str:
    """Return a key as the resource spells it: ids that are keys ignore case."""
    return next((one for one in found if one.casefold() == key.casefold()), key)


def _upgraded(asked: str, found: str) -> bool:
    """Whether a version is the one that was asked for, or a later one. Without a request every version is right."""
    if not asked:
        return True
    try:
        wanted, there = ([int(part) for part in version.split(".")] for version in (asked, found))
    except ValueError:
        return asked == found
    return there[: len(wanted)] >= wanted


def _plain(value: Any) -> Any:
    """Return a value in the form in which values are compared. Absent, empty and false are alike, as for ARM."""
    if isinstance(value, list):
        return sorted(str(_plain(one)) for one in value) or None
    if isinstance(value, str):
        return _address(value.casefold()) or None
    return value or None


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        return text


def _said(value: Any) -> str:
    match value:
        case None | "" | []:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case [{}, *_]:
            return ", ".join(sorted(_sent(value))) or "nothing"
        case list():
            return ", ".join(sorted(str(one).casefold() for one in value))
        case _:
            return str(value)
