"""OpenAPI v3 as far as kubectl needs it to leave the validation to the server: paths with options, without schemas."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from azure_sandbox.cluster.resources import RESOURCES, Resource

Document = dict[str, Any]
PATCH_OPTIONS = ("dryRun", "fieldManager", "fieldValidation")


def described(path: str, version: str) -> Document | None:
    """Return `/openapi/v3`, or the description of a group and version below it. Returns None for another path."""
    groups = {_place(it): it for it in RESOURCES}
    name = path.removeprefix("/openapi/v3").strip("/")
    if not name:
        return {"paths": {it: {"serverRelativeURL": f"/openapi/v3/{it}?hash={_hash(it, version)}"} for it in groups}}
    return _of(name, version) if name in groups else None


def _place(it: Resource) -> str:
    return f"apis/{it.api_version}" if it.group else f"api/{it.api_version}"


def _hash(name: str, version: str) -> str:
    return hashlib.sha512(json.dumps(_of(name, version)).encode()).hexdigest().upper()


def _of(name: str, version: str) -> Document:
    release = ".".join(version.split(".")[:2])
    paths = {_path(it): {"patch": _patch(it)} for it in RESOURCES if _place(it) == name and "patch" in it.verbs}
    info = {"title": "Kubernetes", "version": release}
    return {"openapi": "3.0.0", "info": info, "paths": paths, "components": {"schemas": {}}}


def _path(it: Resource) -> str:
    return f"/{_place(it)}/{'namespaces/{namespace}/' if it.namespaced else ''}{it.plural}/{{name}}"


def _patch(it: Resource) -> Document:
    options = [{"name": name, "in": "query", "schema": {"type": "string"}} for name in PATCH_OPTIONS]
    return {
        "parameters": options,
        "x-kubernetes-action": "patch",
        "x-kubernetes-group-version-kind": {"group": it.group, "version": it.version, "kind": it.kind},
    }
