"""From what Azure prints of a fleet to a world in which a change of that fleet can be rehearsed.

It reads what `az … -o json` prints and what ARM and Microsoft Graph answer, each told apart by its shape. Nothing
secret is in them, and nothing leaves this machine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from azure_sandbox.importing.fleet import Fleet
from azure_sandbox.importing.people import People
from azure_sandbox.importing.shapes import items_of, membership_of
from azure_sandbox.importing.spelling import bare
from azure_sandbox.world import WorldError

Document = dict[str, Any]


def import_files(
    files: Iterable[Path], *, operator: str = "", tell: Callable[[str], None] = lambda _: None
) -> Document:
    """A world document out of JSON files; raises WorldError for what cannot be read.

    `operator`: which of the imported applications the environment signs in as. `tell` hears what was left out, and why.
    """
    people, fleet = People(), Fleet()
    for file in files:
        items = items_of(file)
        membership = membership_of(file)
        if not items and membership is None:
            raise WorldError(f"{file}: nothing is in it; write it with: az aks list -o json")
        if membership is not None:
            people.by_name.setdefault(membership, set())
        for item in items:
            if not people.take(item, membership):
                fleet.take(item)
    if not fleet.clusters:
        raise WorldError("none of the files holds a managed cluster; write one with: az aks list -o json")
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
