"""Build API servers from Azure's documents of clusters."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any

from azure_sandbox.arm.authorization.access import RoleAssignments
from azure_sandbox.arm.containerservice.spec import IdentityKind, WorkloadSpec
from azure_sandbox.arm.state import CLUSTER_TYPE, ResourceGroup
from azure_sandbox.clock import Clock
from azure_sandbox.cluster.declared import Declared
from azure_sandbox.cluster.machines import Pool, Workload
from azure_sandbox.cluster.regime import Regime
from azure_sandbox.cluster.service import ApiServer, Blueprint
from azure_sandbox.entra.directory import Directory
from azure_sandbox.entra.tokens import Tokens

Document = dict[str, Any]


def regime_of(document: Document) -> Regime:
    """Return the sign-in and authorization settings of a document."""
    properties = document["properties"]
    entra: Document = properties.get("aadProfile") or {}
    identity: IdentityKind = "none" if not entra else "managed" if entra.get("managed") else "legacy"
    return Regime(
        identity=identity,
        tenant=entra.get("tenantID") or "",
        admin_groups=tuple(entra.get("adminGroupObjectIDs") or ()),
        azure_rbac=bool(entra.get("enableAzureRBAC")),
        kubernetes_rbac=bool(properties.get("enableRBAC", True)),
        legacy_server_app=entra.get("serverAppID") or "",
        legacy_client_app=entra.get("clientAppID") or "",
    )


def pools_of(document: Document) -> tuple[Pool, ...]:
    """Return the agent pools of a document; a stopped pool has no nodes."""
    return tuple(
        Pool(
            name=it["name"],
            count=0 if (it.get("powerState") or {}).get("code") == "Stopped" else it.get("count") or 0,
            mode=it.get("mode") or "User",
            vm_size=it.get("vmSize") or "",
            version=it["currentOrchestratorVersion"],
            labels=tuple(sorted((it.get("nodeLabels") or {}).items())),
            max_pods=it.get("maxPods") or 110,
        )
        for it in document["properties"]["agentPoolProfiles"]
    )


class Builder:
    """Builds API servers from documents; `real` is the default of a call's `real`."""

    def __init__(
        self, *, clock: Clock, directory: Directory, tokens: Tokens, access: RoleAssignments, real: bool = False
    ) -> None:
        self._clock = clock
        self._directory = directory
        self._tokens = tokens
        self._access = access
        self._real = real

    def __call__(
        self,
        home: ResourceGroup,
        name: str,
        document: Document,
        *,
        created: dt.datetime,
        ca_created: dt.datetime | None = None,
        workloads: Iterable[WorkloadSpec] = (),
        declared: Declared | None = None,
        real: bool | None = None,
    ) -> ApiServer:
        """Return the API server of a cluster, running and with all its nodes.

        With `real` a kube-apiserver serves it. `ca_created` defaults to `created`.
        """
        properties = document["properties"]
        blueprint = Blueprint(
            resource_id=f"{home.id}/providers/{CLUSTER_TYPE}/{name}",
            fqdn=properties["fqdn"],
            version=properties["currentKubernetesVersion"],
            node_group=f"/subscriptions/{home.subscription}/resourceGroups/{properties['nodeResourceGroup']}",
            created=created,
            ca_created=ca_created or created,
            pools=pools_of(document),
            workloads=tuple(
                Workload(name=it.name, namespace=it.namespace, kind=it.kind, replicas=it.replicas) for it in workloads
            ),
            declared=declared or Declared(),
            real=self._real if real is None else real,
        )
        return ApiServer(
            blueprint,
            regime_of(document),
            clock=self._clock,
            directory=self._directory,
            tokens=self._tokens,
            azure=self._access.data_role,
        )
