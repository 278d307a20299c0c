"""What a cluster should be, as the fleet file asks for it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class AzureRbac(StrEnum):
    """What happens to `aadProfile.enableAzureRBAC`."""

    KEEP = "keep"
    ON = "on"
    OFF = "off"


class LocalAccounts(StrEnum):
    """What happens to `disableLocalAccounts`."""

    OFF = "off"
    KEEP = "keep"


class Keep(StrEnum):
    """What keeps local accounts off once the cluster is verified: a policy assignment with the effect Deny."""

    DENY = "deny"


class RotationPolicy(StrEnum):
    """When old credentials end. With `later` the rotation is owed, and every report says so until it is done."""

    AT_ONCE = "at-once"
    LATER = "later"


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupTarget:
    """An admin group that exists (`id`), or that the plan creates under its `unique_name` with these `members`.

    The prover becomes the first member when the group is created, and never later. `owners` and `members` are object
    ids for a group to create. For a declared group that exists (`id` and `unique_name`) they are as declared.
    """

    display_name: str
    id: str | None = None
    unique_name: str | None = None
    description: str = ""
    members: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()

    @property
    def reference(self) -> str:
        """The name of the group in plan and digest: its object id, or its unique name while it does not exist."""
        return self.id or f"uniqueName:{self.unique_name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The posture that a migration leads to. An empty `admin_groups` keeps those of a cluster that has some."""

    tenant_id: str
    admin_groups: tuple[GroupTarget, ...] = ()
    azure_rbac: AzureRbac = AzureRbac.KEEP
    local_accounts: LocalAccounts = LocalAccounts.OFF
    rotation: RotationPolicy = RotationPolicy.AT_ONCE
    doors: tuple[str, ...] = ()  # ids of the kinds of doors that must be proven closed, sorted
    keep: Keep | None = None  # None: nothing keeps local accounts off

    def bound(self) -> dict[str, Any]:
        """Return what a plan's digest covers. Without `doors` and `keep`, it is what earlier versions covered."""
        bound = asdict(self)
        if not self.doors:
            del bound["doors"]
        if self.keep is None:
            del bound["keep"]
        return bound
