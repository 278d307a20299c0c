"""The cluster that `provision` is asked for: a cluster file, a raw ARM document, or options."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from aks_entra.cli.deferred import cluster_file, file_parsing
from aks_entra.core.creation import raw_document
from aks_entra.core.creation.raw_document import Unusable
from aks_entra.errors import AksEntraError, Refused
from aks_entra.fleet_file.yaml_lines import Document, Problem

if TYPE_CHECKING:
    from aks_entra.fleet_file.cluster_file import ClusterFile

_GUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_OPTIONS: Final = {
    "kubernetes_version": "--kubernetes-version",
    "vm_size": "--node-vm-size",
    "count": "--node-count",
    "admin_groups": "--admin-group",
    "members": "--member",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The options of `provision` that describe a cluster, as they were typed."""

    subscription: str | None
    resource_group: str | None
    name: str | None
    location: str | None
    admin_groups: tuple[str, ...] = ()
    create_group: bool = False
    members: tuple[str, ...] = ()
    node_count: int | None = None
    node_vm_size: str | None = None
    kubernetes_version: str | None = None
    tier: str | None = None

    def given(self) -> tuple[str, ...]:
        """Return the options that were given, except the subscription."""
        options = {
            "--resource-group": self.resource_group,
            "--name": self.name,
            "--location": self.location,
            "--admin-group": self.admin_groups,
            "--create-group": self.create_group,
            "--member": self.members,
            "--node-count": self.node_count,
            "--node-vm-size": self.node_vm_size,
            "--kubernetes-version": self.kubernetes_version,
            "--tier": self.tier,
        }
        return tuple(option for option, value in options.items() if value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A cluster to create. `notes` says what of a raw document was closed or left out; `file` is the cluster file."""

    cluster: ClusterFile
    notes: tuple[str, ...] = ()
    file: Path | None = None

    def with_queue(self, work_queue: str | None) -> Request:
        """Return the same request for the workers of another queue, unless `work_queue` is None."""
        if work_queue is None:
            return self
        return Request(
            cluster=self.cluster.model_copy(update={"work_queue": work_queue}), notes=self.notes, file=self.file
        )

    @contextmanager
    def located(self) -> Iterator[None]:
        """Say on which line of the cluster file the field of an error is written."""
        try:
            yield
        except AksEntraError as error:
            if error.field:
                error.message, error.field = f"{self.place(error.field)}{error.message}", ""
            raise

    def place(self, field: str) -> str:
        """Return where a path in the body is written, as `FILE:LINE: key: `. Empty without a cluster file."""
        if self.file is None:
            return ""
        key = cluster_file.field_of(field)
        line = file_parsing.line_of(self.file, key)
        return f"{self.file}:{line}: {key}: " if line else f"{self.file}: {key}: "


def from_file(path: Path, asked: Asked) -> Request:
    """Read a cluster file. Raises Refused for its problems, and for options that describe the cluster again."""
    if given := asked.given():
        raise Refused(f"{given[0]}: the cluster file describes the cluster", remedy=f"leave out {', '.join(given)}")
    return Request(cluster=cluster_file.load_cluster_file(path), file=path)


def from_document(path: Path, asked: Asked) -> Request:
    """Read a raw ARM document. Options name what the document does not contain, and win over what it contains."""
    if wrong := [one for one in asked.given() if one.startswith(("--node", "--kube", "--tier"))]:
        raise Refused(f"{wrong[0]}: the document describes the cluster", remedy=f"leave out {', '.join(wrong)}")
    text = file_parsing.text_of(path, cluster_file.KIND)
    try:
        raw = raw_document.read(json.loads(text))
    except ValueError as error:
        remedy = error.remedy if isinstance(error, Unusable) else "give the output of `az aks show -o json`"
        message = str(error) if isinstance(error, Unusable) else f"it is not JSON ({error})"
        raise Refused(f"{path}: {message}", remedy=remedy) from None
    found = {
        "subscription": asked.subscription or raw.subscription_id,
        "resource_group": asked.resource_group or raw.resource_group,
        "name": asked.name or raw.name,
        "location": asked.location or raw.body["location"],
    }
    for key, value in found.items():
        if not value:
            raise Refused(
                f"{path}: it does not name the {key.replace('_', ' ')}", remedy=f"add --{key.replace('_', '-')}"
            )
    groups = [{"id": one} for one in raw.admin_group_ids] if not asked.admin_groups else _groups(asked)
    if not groups:
        raise Refused(f"{path}: it names no admin group", remedy="add --admin-group NAME|ID")
    body = {**raw.body, "location": found["location"]}
    return Request(cluster=_validated({**found, "admin_groups": groups, "document": body}), notes=raw.notes)


def from_options(asked: Asked) -> Request:
    """Return the cluster that the options describe. Raises Refused if one is missing or wrong."""
    for option, value in (
        ("--resource-group", asked.resource_group),
        ("--name", asked.name),
        ("--location", asked.location),
        ("--admin-group", asked.admin_groups),
    ):
        if not value:
            raise Refused(f"'{option}' is missing", remedy="add it, or name a cluster file")
    if not asked.subscription:
        raise Refused("no subscription is named", remedy="add --subscription NAME|ID, or set AZURE_SUBSCRIPTION_ID")
    pool = {"name": "nodepool1", "mode": "System", "count": asked.node_count, "vm_size": asked.node_vm_size}
    said = {
        "subscription": asked.subscription,
        "resource_group": asked.resource_group,
        "name": asked.name,
        "location": asked.location,
        "admin_groups": _groups(asked),
        "kubernetes_version": asked.kubernetes_version,
        "tier": asked.tier,
        "node_pools": [{key: value for key, value in pool.items() if value is not None}],
    }
    return Request(cluster=_validated({key: value for key, value in said.items() if value is not None}))


def _groups(asked: Asked) -> list[dict[str, Any]]:
    return [_group(one, create=asked.create_group, members=list(asked.members)) for one in asked.admin_groups]


def _group(text: str, *, create: bool, members: list[str]) -> dict[str, Any]:
    if _GUID.fullmatch(text):
        return {"id": text}
    return {"name": text, "create": True, "members": members} if create else {"name": text}


def _validated(said: dict[str, Any]) -> ClusterFile:
    try:
        return cluster_file.ClusterFile.model_validate({"version": 1, "kind": "cluster", **said})
    except ValidationError as error:
        problem: Problem = next(cluster_file.problems_of(error, cluster_file.ClusterFile, Document()))
        key = re.split(r"[.\[]", problem.where)[-1] if not problem.where.startswith("admin_groups") else "admin_groups"
        option = _OPTIONS.get(key, f"--{key.replace('_', '-')}")
        raise Refused(f"{option}: {problem.message}", remedy=problem.remedy) from None
