"""Compares the answers of the sandbox's own API server with those of a real kube-apiserver."""

from __future__ import annotations

import re
from typing import Any

CELLS = "/cells"
OLDER = {"v1beta1", "v1alpha1"}  # of SelfSubjectReview, which only the built-in server has, for kubectl 1.27
VOLATILE = re.compile(r"X509SHA256=\w+|JTI=\S+")


def steady(value: Any) -> Any:
    return VOLATILE.sub("…", value) if isinstance(value, str) else value


def without_uid(body: Any) -> Any:
    """Return a Status without the uid of the deleted object."""
    details = body.get("details") if isinstance(body, dict) and body.get("kind") == "Status" else None
    return body if not details else {**body, "details": {key: it for key, it in details.items() if key != "uid"}}


def missing(said: Any, real: Any, where: str = "") -> list[str]:
    """Return what only the built-in server has: keys, types and members of lists of names."""
    if type(said) is not type(real):
        return [f"{where}: {said!r}, but {real!r}"]
    if isinstance(said, dict):
        gaps = [f"{where}/{key}" for key in said if key not in real]
        return gaps + [it for key in said if key in real for it in missing(said[key], real[key], f"{where}/{key}")]
    if isinstance(said, list) and where.endswith(CELLS):  # ages differ, and the real one also has the wide columns
        return [it for one, other in zip(said, real, strict=False) for it in missing(one, other, where)]
    if isinstance(said, list):
        return [it for one in said for it in _nearest(one, real, where)]
    return []


def _identity(value: Any) -> Any:
    """Return what distinguishes the members of a list."""
    if not isinstance(value, dict):
        return steady(value)
    metadata = value.get("metadata") or (value.get("object") or {}).get("metadata") or {}
    named = metadata.get("name") or value.get("name") or value.get("resource") or value.get("type")
    return named or value.get("version") or value.get("groupVersion")


def _nearest(one: Any, members: list[Any], where: str) -> list[str]:
    if _identity(one) in OLDER and "authentication.k8s.io" in where:
        return []
    same = [it for it in members if _identity(it) == _identity(one)]
    if not same:
        return [f"{where}[{_identity(one)!r}]"]
    return min((missing(one, it, f"{where}[{_identity(one)!r}]") for it in same), key=len)


def verdict(status: dict[str, Any]) -> dict[str, Any]:
    """Return the status of a review without the IDs of a token or certificate."""
    if (info := status.get("userInfo")) is None:
        return {key: it for key, it in status.items() if key not in {"resourceRules", "nonResourceRules"}}
    extra = {key: [steady(it) for it in values] for key, values in info.get("extra", {}).items()}
    return {**info, "extra": extra}
