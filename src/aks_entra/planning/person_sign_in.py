"""Find out whether a person of an admin group has signed in to AKS: the sign-in log says who, and the groups say if."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from aks_entra.core.preflight import GroupFacts, PersonSignIn
from aks_entra.planning.reader import Reading
from aks_entra.ports.migration import Ports

_KEPT: Final = timedelta(days=30)  # Microsoft Entra ID keeps sign-ins for 30 days
_MOST: Final = 20  # people who are looked up, those who signed in last


async def person_sign_in(
    ports: Ports, reader: Reading, groups: tuple[GroupFacts, ...]
) -> tuple[PersonSignIn | None, bool]:
    """Return the last sign-in to AKS of a member of these groups, and whether the log could be read."""
    rules = ports.conditional_access
    if rules is None:
        return None, False
    since = ports.clock.now() - _KEPT
    seen = await reader.known(lambda: reader.once("sign-ins", "", lambda: rules.sign_ins("", since)))
    if seen is None:
        return None, False
    last = {one.user: one.at for one in reversed(seen) if not one.error}
    living = [one.id for one in groups if one.exists and one.deleted_on is None]
    for name, at in list(reversed(last.items()))[:_MOST]:
        if await _in_one_of(ports, reader, name, living):
            return PersonSignIn(name=name, at=at), True
    return None, True


async def _in_one_of(ports: Ports, reader: Reading, name: str, groups: list[str]) -> bool:
    directory = ports.directory
    user = await reader.known(lambda: reader.once("user", name, lambda: directory.user_id(name)))
    if user is None:
        return False
    for group in groups:
        key = f"{group} {user}"
        if await reader.known(lambda: reader.once("in group", key, lambda: directory.is_member(group, user))):  # noqa: B023 - awaited at once
            return True
    return False
