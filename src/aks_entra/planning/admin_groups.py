"""Resolve the admin groups of a fleet file: to object ids, or to groups to create."""

from __future__ import annotations

import asyncio
import re

from aks_entra.core.cluster import is_guid
from aks_entra.core.planning.fleet import WantedGroup
from aks_entra.core.target import GroupTarget
from aks_entra.errors import AksEntraError, Refused, TryLater
from aks_entra.ports.directory import Directory


async def resolve_groups(directory: Directory, wanted: tuple[WantedGroup, ...], prover: str) -> tuple[GroupTarget, ...]:
    """Resolve admin groups. Raises Refused with the field `admin_groups[i]`.

    A group with `create` may exist: it is found by its unique name, or without one by its display name. It is not
    changed. It is refused if another group has its display name, because two groups of one name are never created.
    """
    return tuple(await asyncio.gather(*(_resolve(directory, at, one, prover) for at, one in enumerate(wanted))))


async def _resolve(directory: Directory, at: int, wanted: WantedGroup, prover: str) -> GroupTarget:
    if wanted.id is not None:
        return GroupTarget(display_name=await _display_name(directory, wanted.id, prover), id=wanted.id.lower())
    name = wanted.name or wanted.unique_name
    if not name:
        raise Refused("no group is named here", field=f"admin_groups[{at}]", remedy="give it an `id` or a `name`")
    group_id = await _existing(directory, at, wanted, name)
    if group_id is not None:
        return GroupTarget(
            display_name=name,
            id=group_id.lower(),
            unique_name=wanted.unique_name,
            description=wanted.description,
            members=wanted.members,
            owners=wanted.owners,
        )
    if not wanted.create:
        raise Refused(
            f"no group is called {name!r}",
            field=f"admin_groups[{at}].name",
            remedy="correct the name, give the `id`, or let the group be created with `create: true`",
        )
    return GroupTarget(
        display_name=name,
        unique_name=wanted.unique_name or unique_name(name),
        description=wanted.description,
        members=await _people(directory, f"admin_groups[{at}].members", wanted.members),
        owners=await _people(directory, f"admin_groups[{at}].owners", wanted.owners),
    )


async def _display_name(directory: Directory, group_id: str, prover: str) -> str:
    """Return the group's name. Empty if it cannot be read: preflight then shows the group as unknown."""
    try:
        return (await directory.group(group_id, prover=prover)).display_name
    except TryLater:
        raise
    except AksEntraError:
        return ""


def unique_name(display_name: str) -> str:
    """Return the default `uniqueName` for a group of this display name."""
    return re.sub(r"[^a-z0-9]+", "-", display_name.casefold()).strip("-")


async def _existing(directory: Directory, at: int, wanted: WantedGroup, name: str) -> str | None:
    if wanted.create:
        if wanted.unique_name is not None:
            return await _under_its_key(directory, at, name, wanted.unique_name)
        made = await directory.group_with_unique_name(unique_name(name))
        if made is not None:
            return made
    named = await directory.groups_named(name)
    if len(named) > 1:
        raise Refused(
            f"{len(named)} groups are called {name!r}: {', '.join(sorted(named))}",
            field=f"admin_groups[{at}].name",
            remedy="give the `id` of the one that is meant",
        )
    return named[0] if named else None


async def _under_its_key(directory: Directory, at: int, name: str, key: str) -> str | None:
    """Find a group by its unique name. Raises Refused if another group has its display name."""
    found = await directory.group_with_unique_name(key)
    if found is not None:
        return found
    namesakes = await directory.groups_named(name)
    if not namesakes:
        return None
    found = await directory.group_with_unique_name(key)  # perhaps it was just not to be seen everywhere yet
    if found is None:
        raise Refused(
            f"another group is already called {name!r} ({', '.join(sorted(namesakes))}), "
            f"and its unique name is not {key!r}",
            field=f"admin_groups[{at}].name",
            remedy="name that group by its `id` without `create`, or give the new group another name",
        )
    return found


async def _people(directory: Directory, field: str, names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(await asyncio.gather(*(_person(directory, field, name) for name in names)))


async def _person(directory: Directory, field: str, name: str) -> str:
    """Return the object id of a principal. A GUID that is not an application's id counts as an object id."""
    try:
        return await directory.user_id(name)
    except Refused as error:
        if is_guid(name) and error.status not in {401, 403}:
            return name.lower()
        error.field = field
        raise
