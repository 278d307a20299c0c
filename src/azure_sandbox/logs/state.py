"""What Azure Monitor stores for clusters: diagnostic settings, workspaces and audited requests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal

Document = dict[str, Any]
Category = Literal["kube-audit", "kube-audit-admin"]
WORKSPACE_TYPE = "Microsoft.OperationalInsights/workspaces"
READS = frozenset({"get", "list", "watch"})
HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """`count` similar requests as the Kubernetes audit log records them; `at` is the time of the last one.

    `resource` and `namespace` are those of the object that they were about; without a resource they were about none.
    With `hourly` there is such a request each hour from `at` on, and one just now, as the control plane sends them.
    """

    user: str
    at: datetime
    verb: str = "get"
    count: int = 1
    groups: tuple[str, ...] = ()
    user_agent: str = ""
    address: str = "10.224.0.4"
    status: int = 200
    certificate: bool = False
    entra: bool = False
    pod: bool = False
    hourly: bool = False
    resource: str = ""
    namespace: str = ""

    def until(self, now: datetime) -> Iterator[AuditEvent]:
        """Yield the requests up to now."""
        yield self
        if self.hourly and now > self.at:
            for number in range(1, (now - self.at) // HOUR + 1):
                yield replace(self, at=self.at + number * HOUR)
            yield replace(self, at=now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """A Log Analytics workspace. `customer` is the workspace ID that the query API uses."""

    subscription: str
    group: str
    name: str
    location: str
    customer: str

    @property
    def id(self) -> str:
        """Return the resource ID."""
        return f"/subscriptions/{self.subscription}/resourceGroups/{self.group}/providers/{WORKSPACE_TYPE}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A diagnostic setting of a cluster. `dedicated`: AKSAudit and AKSAuditAdmin instead of AzureDiagnostics."""

    name: str
    categories: tuple[str, ...]
    group: str = ""
    workspace: str = ""
    dedicated: bool = True
    off: tuple[str, ...] = ()  # categories that a client wrote with `enabled: false`
    metrics: bool = False  # whether AllMetrics is sent

    @property
    def sends(self) -> frozenset[str]:
        """Return the categories of the audit log that are sent."""
        every = {"kube-audit", "kube-audit-admin"} if self.group.lower() in {"audit", "alllogs"} else set[str]()
        return frozenset(every | set(self.categories))


@dataclass(slots=True, kw_only=True)
class Logs:
    """All workspaces, settings and events, by resource ID in lower case."""

    workspaces: dict[str, Workspace] = field(default_factory=dict)
    settings: dict[str, list[Setting]] = field(default_factory=dict)  # by cluster
    events: dict[str, list[AuditEvent]] = field(default_factory=dict)  # by cluster
    described: dict[str, Document] = field(default_factory=dict)  # by cluster, as the world file declares it

    def by_customer(self, customer: str) -> Workspace | None:
        """Return the workspace with this workspace ID. Returns None if no workspace has it."""
        return next((one for one in self.workspaces.values() if one.customer.lower() == customer.lower()), None)

    def rows(
        self, workspace: Workspace, cluster: str, table: str, category: Category, now: datetime
    ) -> list[AuditEvent]:
        """Return the events of a cluster and category that a table of a workspace holds."""
        found: list[AuditEvent] = []
        for setting in self.settings.get(cluster.lower(), ()):
            here = setting.workspace.lower() == workspace.id.lower() and category in setting.sends
            if not here or setting.dedicated is (table == "AzureDiagnostics"):
                continue
            admin = category == "kube-audit-admin"
            found += [
                one
                for it in self.events.get(cluster.lower(), ())
                if not (admin and it.verb in READS)
                for one in it.until(now)
            ]
        return found
