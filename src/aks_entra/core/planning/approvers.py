"""Who has to sign an approval at Microsoft Entra ID before a gate opens."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from aks_entra.core.durations import in_words

LONGEST_SIGN_IN: Final = 86_400
"""The longest time, in seconds, for which the key of one sign-in may sign approvals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Approvers:
    """People of these groups (object ids), who sign in through one application of one tenant.

    `at_least` different people have to sign. `not_requester`: the person who started the run does not count.
    `sign_in_expires_after`: how long after a sign-in its key may sign, in seconds; `LONGEST_SIGN_IN` at most.
    """

    tenant_id: str
    client_id: str
    groups: tuple[str, ...]
    at_least: int = 1
    not_requester: bool = False
    sign_in_expires_after: int = LONGEST_SIGN_IN

    @property
    def key_lasts(self) -> timedelta:
        """How long after a sign-in its key may sign. A plan may come from anywhere, so a day is the most."""
        return timedelta(seconds=min(self.sign_in_expires_after, LONGEST_SIGN_IN))

    def bound(self) -> dict[str, Any]:
        """Return what a plan's digest covers: as in older digests, without `sign_in_expires_after` if it is a day."""
        said = asdict(self)
        if self.sign_in_expires_after == LONGEST_SIGN_IN:
            del said["sign_in_expires_after"]
        return said

    @property
    def words(self) -> str:
        """`2 people of group 1f… sign it, and not the person who started the run; a sign-in signs for 8h`."""
        people = "1 person" if self.at_least == 1 else f"{self.at_least} people"
        verb = "signs" if self.at_least == 1 else "sign"
        groups = f"group{'' if len(self.groups) == 1 else 's'} {', '.join(self.groups)}"
        other = ", and not the person who started the run" if self.not_requester else ""
        lasts = in_words(int(self.key_lasts.total_seconds()))
        return f"{people} of {groups} {verb} it{other}; a sign-in signs for {lasts}"


def accepted(setting: str) -> frozenset[str]:
    """Return what `AKS_ENTRA_APPROVERS` names: texts `tenant id/client id/group id` in lower case. Empty: it is blank.

    Raises ValueError if it is malformed, also if it is not blank and names nobody.
    """
    named = frozenset(one.strip().lower() for one in setting.split(",") if one.strip())
    parts = [one.split("/") for one in named]
    if any(len(one) != len(_PARTS) or not all(map(_is_id, one)) for one in parts) or (setting.strip() and not named):
        raise ValueError(f"not {'/'.join(_PARTS)}, several with commas")
    return named


def approvers_named(setting: str) -> Approvers | None:
    """Return who has to sign by a setting of `accepted`'s form. None: it is empty, so a typed name is enough.

    One person signs, and not the requester. Raises ValueError if it is malformed or names two applications.
    """
    named = sorted(one.split("/") for one in accepted(setting))
    if not named:
        return None
    if len({(tenant, client) for tenant, client, _ in named}) > 1:
        raise ValueError("people sign in through one application, and it names several")
    tenant, client, _ = named[0]
    groups = tuple(group for _, _, group in named)
    return Approvers(tenant_id=tenant, client_id=client, groups=groups, not_requester=True)


def application_named(setting: str) -> Approvers | None:
    """Return the application of `AKS_ENTRA_SIGN_IN_APPLICATION`: `tenant id/client id`. None: the setting is empty.

    Nobody has to sign through it: it has no groups, so at a gate that names approvers nobody counts by it. Raises
    ValueError if it is malformed.
    """
    named = setting.strip().lower()
    if not named:
        return None
    parts = named.split("/")
    if len(parts) != len(_PARTS) - 1 or not all(map(_is_id, parts)):
        raise ValueError(f"not {'/'.join(_PARTS[:-1])}")
    return Approvers(tenant_id=parts[0], client_id=parts[1], groups=())


_PARTS = ("TENANT", "CLIENT", "GROUP")


def _is_id(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False
