"""What a world file says about what stands in a cluster, and about policies and events around it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from azure_sandbox.arm.activity import Entry
from azure_sandbox.arm.policies import Definition, Effect, PolicyAssignment, find_definition
from azure_sandbox.cluster.declared import BudgetSpec, Declared, VolumeSpec, WebhookSpec
from azure_sandbox.world_identity import Model, Moment


class PolicyModel(Model):
    """An Azure Policy in force: a built-in by its id or display name, or a custom one that denies by content.

    `deny` of a custom policy: paths of the resource with the values that it refuses, such as
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
        """The assignment on a scope; ValueError if there is no such definition."""
        found = find_definition(self.definition) if self.definition else None
        effect: Effect = self.effect
        if self.deny is not None:
            title = self.display_name or self.name
            found, effect = Definition(name=self.name, display_name=title, custom=True, denies=self.deny), "Deny"
        if found is None:
            raise ValueError(f"policy {self.name}: there is no definition {self.definition!r}; write a built-in's id")
        if effect not in found.effects:
            raise ValueError(f"policy {self.name}: its effect is one of {', '.join(found.effects)}")
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
    """An event of the activity log from before the sandbox was there."""

    operation: str
    caller: str
    at: Moment
    status: Literal["Started", "Accepted", "Succeeded", "Failed"] = "Succeeded"

    def entry(self, resource: str, oid: str, at: datetime) -> Entry:
        """The event about a resource."""
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
    """A PodDisruptionBudget over a workload; without numbers, at least one pod stays."""

    name: str
    workload: str
    namespace: str = "default"
    min_available: int | str | None = None
    max_unavailable: int | str | None = None


class WebhookModel(Model):
    """An admission webhook; one that `trustsCluster` breaks when the certificates are rotated."""

    name: str
    kind: Literal["validating", "mutating"] = "validating"
    namespace: str = "default"
    groups: tuple[str, ...] = ("",)
    resources: tuple[str, ...] = ("pods",)
    failure_policy: Literal["Fail", "Ignore"] = "Fail"
    trusts_cluster: bool = False


class VolumeModel(Model):
    """A persistent volume with its claim; with a `hostPath` its content dies with its node."""

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
    """What a cluster holds beside its workloads."""
    return Declared(
        budgets=tuple(BudgetSpec(**it.model_dump()) for it in budgets),
        webhooks=tuple(WebhookSpec(**it.model_dump()) for it in webhooks),
        volumes=tuple(VolumeSpec(**it.model_dump()) for it in volumes),
        objects=objects,
    )
