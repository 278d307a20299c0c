"""The content of a cluster in a world file, and policies and activity log events."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from azure_sandbox.arm.authorization.policies import Definition, PolicyAssignment, find_definition
from azure_sandbox.arm.authorization.policy_rules import Effect
from azure_sandbox.arm.insights.activity_log import Entry
from azure_sandbox.cluster.declared import BudgetSpec, Declared, VolumeSpec, WebhookSpec
from azure_sandbox.world.identity import Model, Moment


class PolicyModel(Model):
    """An assigned Azure Policy: a built-in one by ID or display name, or a custom one that denies by content.

    `deny` of a custom policy maps paths of the resource to the values that it refuses, such as
    `properties.disableLocalAccounts: true`.
    """

    name: str
    definition: str | None = None
    effect: Effect = "Audit"
    display_name: str = ""
    enforced: bool = True
    not_scopes: tuple[str, ...] = ()
    deny: dict[str, Any] | None = None

    def assignment(self, scope: str) -> PolicyAssignment:
        """Return the assignment on a scope. Raises ValueError for an unknown definition or effect."""
        found = find_definition(self.definition) if self.definition else None
        effect: Effect = self.effect
        if self.deny is not None:
            title = self.display_name or self.name
            found, effect = Definition(name=self.name, display_name=title, custom=True, denies=self.deny), "Deny"
        if found is None:
            raise ValueError(
                f"policy {self.name}: unknown definition {self.definition!r}; write the id of a built-in one"
            )
        if effect not in found.effects:
            raise ValueError(f"policy {self.name}: the effect must be one of {', '.join(found.effects)}")
        return PolicyAssignment(
            scope=scope,
            name=self.name,
            definition=found,
            effect=effect,
            display_name=self.display_name,
            enforced=self.enforced,
            not_scopes=self.not_scopes,
        )


class ActivityModel(Model):
    """An event of the activity log from before the sandbox started."""

    operation: str
    caller: str
    at: Moment
    status: Literal["Started", "Accepted", "Succeeded", "Failed"] = "Succeeded"

    def entry(self, resource: str, oid: str, at: datetime) -> Entry:
        """Return the log entry for a resource. `oid`: object ID of the caller."""
        return Entry(
            at=at,
            operation=self.operation,
            resource=resource,
            caller=self.caller,
            oid=oid,
            status=self.status,
            code="OK" if self.status == "Succeeded" else "",
            correlation=f"{resource}/{at.isoformat()}",
            method="POST",
        )


class BudgetModel(Model):
    """A PodDisruptionBudget for a workload. Without numbers, `minAvailable` is 1."""

    name: str
    workload: str
    namespace: str = "default"
    min_available: int | str | None = None
    max_unavailable: int | str | None = None


class WebhookModel(Model):
    """An admission webhook. With `trustsCluster`, a rotation of the certificates breaks it."""

    name: str
    kind: Literal["validating", "mutating"] = "validating"
    namespace: str = "default"
    groups: tuple[str, ...] = ("",)
    resources: tuple[str, ...] = ("pods",)
    failure_policy: Literal["Fail", "Ignore"] = "Fail"
    trusts_cluster: bool = False


class VolumeModel(Model):
    """A persistent volume and its claim. With `hostPath`, its data is lost with its node."""

    name: str
    namespace: str = "default"
    size: str = "8Gi"
    storage_class: str = "managed-csi"
    zone: str = ""
    host_path: str = Field(default="")


def declared(
    budgets: tuple[BudgetModel, ...],
    webhooks: tuple[WebhookModel, ...],
    volumes: tuple[VolumeModel, ...],
    objects: tuple[dict[str, Any], ...],
) -> Declared:
    """Return the objects of a cluster besides its workloads."""
    return Declared(
        budgets=tuple(BudgetSpec(**it.model_dump()) for it in budgets),
        webhooks=tuple(WebhookSpec(**it.model_dump()) for it in webhooks),
        volumes=tuple(VolumeSpec(**it.model_dump()) for it in volumes),
        objects=objects,
    )
