"""Who has to sign an approval at Microsoft Entra ID before a gate opens."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Approvers:
    """People of these groups (object ids), who sign in through one application of one tenant.

    `at_least` different people have to sign. `not_requester`: the person who started the run does not count.
    """

    tenant_id: str
    client_id: str
    groups: tuple[str, ...]
    at_least: int = 1
    not_requester: bool = False

    @property
    def words(self) -> str:
        """`2 people of group 1f… sign it, and not the person who started the run`."""
        people = "1 person" if self.at_least == 1 else f"{self.at_least} people"
        verb = "signs" if self.at_least == 1 else "sign"
        groups = f"group{'' if len(self.groups) == 1 else 's'} {', '.join(self.groups)}"
        other = ", and not the person who started the run" if self.not_requester else ""
        return f"{people} of {groups} {verb} it{other}"
