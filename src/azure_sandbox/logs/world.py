"""The audit log of a cluster in a world file (`auditLog`)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import Field
from pydantic.alias_generators import to_camel

from azure_sandbox.logs.state import AuditEvent, Logs, Setting, Workspace
from azure_sandbox.world.identity import Model, Moment


class AuditEventModel(Model):
    """Similar requests: user, program, address, and the time of the last one. `hourly`: one each hour since then.

    `resource` (such as `pods`) and `namespace`: what they were about.
    """

    user: str
    groups: tuple[str, ...] = ()
    user_agent: str = ""
    address: str = "10.224.0.4"
    verb: str = "get"
    count: int = Field(default=1, ge=1)
    at: Moment
    status: int = 200
    certificate: bool = False
    entra: bool = False
    pod: bool = False
    hourly: bool = False
    resource: str = ""
    namespace: str = ""


class AuditLogModel(Model):
    """A diagnostic setting that sends the audit log to a workspace in the cluster's resource group, and its events.

    An empty `workspace` sends to a storage account only. `dedicated` sends to the tables AKSAudit and AKSAuditAdmin.
    """

    workspace: str = "logs"
    categories: tuple[Literal["kube-audit", "kube-audit-admin", "kube-apiserver", "guard"], ...] = ("kube-audit",)
    category_group: Literal["audit", "allLogs"] | None = None
    dedicated: bool = True
    events: tuple[AuditEventModel, ...] = ()

    def build(self, logs: Logs, cluster: str, location: str, customer: str, now: datetime) -> None:
        """Add setting, workspace and events. `customer`: workspace ID if the workspace does not exist yet."""
        _, _, subscription, _, group, *_ = cluster.split("/")
        workspace = Workspace(
            subscription=subscription, group=group, name=self.workspace, location=location, customer=customer
        )
        if self.workspace:
            workspace = logs.workspaces.setdefault(workspace.id.lower(), workspace)
        key = cluster.lower()
        logs.settings[key] = [
            Setting(
                name="audit",
                categories=() if self.category_group else self.categories,
                group=self.category_group or "",
                workspace=workspace.id if self.workspace else "",
                dedicated=self.dedicated,
            )
        ]
        logs.events[key] = [
            AuditEvent(**it.model_dump(exclude={"at"}), at=now - it.at if isinstance(it.at, timedelta) else it.at)
            for it in self.events
        ]
        said = self.model_dump(mode="json", exclude_defaults=True)
        written = [
            {**_camel(it), "at": event.at.isoformat()}
            for event, it in zip(logs.events[key], said.pop("events", ()), strict=True)
        ]
        logs.described[key] = {**_camel(said), "events": written}


def _camel(document: dict[str, Any]) -> dict[str, Any]:
    return {to_camel(name): value for name, value in document.items()}
