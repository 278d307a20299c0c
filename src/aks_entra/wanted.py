"""Turns admin groups as a person names them into groups of the directory: ids, or what is to be created."""

from __future__ import annotations

import asyncio
import re
from typing import Final

from aks_entra.core.fleet import WantedGroup
from aks_entra.core.target import GroupTarget
from aks_entra.errors import AksEntraError, Refused, TryLater
from aks_entra.ports import Directory

_GUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


async def resolve_groups(directory: Directory, wanted: tuple[WantedGroup, ...], prover: str) -> tuple[GroupTarget, ...]:
    """Object ids for names, and what is to be created. Raises Refused that names the field `admin_groups[i]`.

    A group with `create` that exists, by its unique name (or without one as the only one of its display name), is taken
    as it is; where another group has its display name, it is refused: there must never be two.
    """
    return tuple(await asyncio.gather(*(_resolve(directory, at, one, prover) for at, one in enumerate(wanted))))


async def _resolve(directory: Directory, at: int, wanted: WantedGroup, prover: str) -> GroupTarget:
    if wanted.id is not None:
        return GroupTarget(display_name=await _display_name(directory, wanted.id, prover), id=wanted.id.lower())
    name = wanted.name or wanted.unique_name
    if not name:
        raise Refused(f"`admin_groups[{at}]` names no group", remedy="give it an `id` or a `name`")
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
            f"`admin_groups[{at}].name`: no group is called {name!r}",
            remedy="correct the name, give the `id`, or let the group be created with `create: true`",
        )
    return GroupTarget(
        display_name=name,
        unique_name=wanted.unique_name or unique_name(name),
        description=wanted.description,
        members=await _people(directory, f"`admin_groups[{at}].members`", wanted.members),
        owners=await _people(directory, f"`admin_groups[{at}].owners`", wanted.owners),
    )


async def _display_name(directory: Directory, group_id: str, prover: str) -> str:
    """What the group is called; nothing when it cannot be read, which preflight then shows as unknown."""
    try:
        return (await directory.group(group_id, prover=prover)).display_name
    except TryLater:
        raise
    except AksEntraError:
        return ""


def unique_name(display_name: str) -> str:
    """The `uniqueName` under which a group of this display name is created unless the fleet file gives one."""
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
            f"`admin_groups[{at}].name`: {len(named)} groups are called {name!r}: {', '.join(sorted(named))}",
            remedy="give the `id` of the one that is meant",
        )
    return named[0] if named else None


async def _under_its_key(directory: Directory, at: int, name: str, key: str) -> str | None:
    """The group under its unique name; Refused where another one has its display name: there must never be two."""
    found = await directory.group_with_unique_name(key)
    if found is not None:
        return found
    namesakes = await directory.groups_named(name)
    if not namesakes:
        return None
    found = await directory.group_with_unique_name(key)  # perhaps it was just not to be seen everywhere yet
    if found is None:
        raise Refused(
            f"`admin_groups[{at}].name`: another group is called {name!r} already ({', '.join(sorted(namesakes))}), "
            f"and not under the unique name {key!r}",
            remedy="name that one by its `id` without `create`, or give the new group another name",
        )
    return found


async def _people(directory: Directory, field: str, names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(await asyncio.gather(*(_person(directory, field, name) for name in names)))


async def _person(directory: Directory, field: str, name: str) -> str:
    """An object id; a GUID that is no application's id is taken for one."""
    try:
        return await directory.user_id(name)
    except Refused as error:
        if _GUID.fullmatch(name) and error.status not in {401, 403}:
            return name.lower()
        error.message = f"{field}: {error.message}"
        raise
