"""Build a world from JSON files, to rehearse a change on existing clusters.

The files hold the output of `az … -o json`, or responses of ARM and Microsoft Graph. Each document is recognized by its
shape. The files contain no secrets, and nothing is sent anywhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from azure_sandbox.world.importing.fleet import Fleet
from azure_sandbox.world.importing.people import People
from azure_sandbox.world.importing.shapes import items_of, membership_of
from azure_sandbox.world.importing.spelling import bare
from azure_sandbox.world.model import WorldError

Document = dict[str, Any]


def import_files(
    files: Iterable[Path], *, operator: str = "", tell: Callable[[str], None] = lambda _: None
) -> Document:
    """Return a world document from JSON files.

    Args:
        files: The files to read.
        operator: Name, application ID or object ID of the imported application that the environment signs in as.
        tell: Called with a message for each part that is left out.

    Raises:
        WorldError: A file cannot be read, or no file holds a cluster.
    """
    people, fleet = People(), Fleet()
    for file in files:
        items = items_of(file)
        membership = membership_of(file)
        if not items and membership is None:
            raise WorldError(f"{file}: the file is empty; write it with: az aks list -o json")
        if membership is not None:
            people.by_name.setdefault(membership, set())
        for item in items:
            if not people.take(item, membership):
                fleet.take(item)
    if not fleet.clusters:
        raise WorldError("no file holds a managed cluster; write one with: az aks list -o json")
    arm = fleet.written(people)
    people.settle(fleet.admin_groups())
    tenants = Counter(fleet.all_tenants())
    world: Document = {"version": 1, "tenant": {"name": people.domain()}}
    if tenants:
        home, *others = (it for it, _ in tenants.most_common())
        world["tenant"]["id"] = home
        world["tenants"] = [{"id": it, "name": f"tenant-{it[:8]}.onmicrosoft.com"} for it in others]
    if operator:
        world["operator"] = people.operator(operator)
    for note in dict.fromkeys((*people.notes, *fleet.notes)):
        tell(note)
    found: Document = bare({**world, **people.written(world.get("operator", "")), **arm})
    return found
