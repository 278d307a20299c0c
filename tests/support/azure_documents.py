"""A fleet as documents: the answers of ARM and Graph about a sandbox world, as `az` saves them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from multidict import CIMultiDict
from ruamel.yaml import YAML

from azure_sandbox.arm.api_versions import newest
from azure_sandbox.front.http import Request, split_path
from azure_sandbox.server import Sandbox
from azure_sandbox.world.model import World

TENANT = "6f0c2a51-9b1e-4c7d-8a33-2f5e9d4b7c10"
SUBSCRIPTION = "0b7d5c1e-3f2a-4e89-9c64-d8a1b5e7f302"
SECOND = "0b7d5c1e-3f2a-4e89-9c64-d8a1b5e7f303"
ADMINS = "2d1f6b0e-7c55-4d0a-9a4e-1c3b5d7f9e21"
WORLD = f"""
version: 1
tenant: {{id: {TENANT}, name: contoso.onmicrosoft.com}}
users:
  - {{name: Alice Adams, upn: alice@contoso.onmicrosoft.com, password: alice-signs-in, roles: [Global Administrator]}}
  - {{name: Bob Brown, upn: bob@contoso.onmicrosoft.com}}
servicePrincipals:
  - {{name: deployer, graphPermissions: [Group.ReadWrite.All, User.Read.All, Application.Read.All, Policy.Read.All,
      PrivilegedEligibilitySchedule.Read.AzureADGroup]}}
  - {{name: pipeline}}
groups:
  - {{name: aks-admins, id: {ADMINS}, uniqueName: aks-admins, members: [Alice Adams, aks-inner], owners: [deployer],
      eligible: [{{principal: Bob Brown, end: "2030-01-01T00:00:00+00:00"}}]}}
  - {{name: aks-inner, members: [pipeline, deployer], roleAssignable: true}}
  - {{name: everybody, mailEnabled: true, securityEnabled: false, groupTypes: [Unified], members: [Bob Brown]}}
conditionalAccess:
  - {{name: mfa for clusters, state: reportOnly, users: [All], excludeGroups: [aks-inner]}}
operator: deployer
customRoles:
  - {{name: Rotator, actions: [Microsoft.ContainerService/managedClusters/*], notActions: [], assignableScopes:
      [/subscriptions/{SUBSCRIPTION}]}}
subscriptions:
  - name: prod
    id: {SUBSCRIPTION}
    roleAssignments:
      - {{principal: deployer, role: Owner}}
      - {{principal: aks-admins, role: Reader, scope: resourceGroups/MC_shop_shop-01_westeurope}}
    locks: [{{name: keep-nodes, level: CanNotDelete, scope: resourceGroups/MC_shop_shop-01_westeurope, notes: ask}}]
    resourceGroups:
      - name: shop
        tags: {{team: shop}}
        roleAssignments: [{{principal: pipeline, role: Rotator}}]
        policies: [{{name: no-local, definition: 993c2fcd-2b29-49d2-9eb0-df2c3a730c32, effect: Audit}}]
        virtualNetworks:
          - name: net
            addressPrefixes: [10.1.0.0/16]
            subnets: [{{name: nodes, addressPrefix: 10.1.0.0/24, used: 3}}]
        clusters:
          - name: shop-01
            identity: managed
            adminGroups: [aks-admins]
            azureRbac: true
            tags: {{env: prod}}
            version: 1.32.9
            tier: Standard
            pools: [{{name: system, count: 2}}, {{name: apps, mode: User, count: 1, min: 1, max: 4}}]
            roleAssignments:
              - {{principal: Bob Brown, role: Azure Kubernetes Service RBAC Reader, scope: namespaces/web}}
              - {{principal: pipeline, role: Azure Kubernetes Service Cluster User Role, description: for the pipeline}}
            maintenance:
              default: {{timeInWeek: [{{day: Sunday, hourSlots: [1, 2]}}]}}
            locks: [{{name: careful, level: ReadOnly}}]
          - {{name: shop-02, identity: legacy}}
  - {{name: test, id: {SECOND}, roleAssignments: [{{principal: deployer, role: Owner}}], resourceGroups: [{{name: lab,
      location: northeurope, clusters: [{{name: lab-01, powerState: Stopped, created: 2024-02-03}}]}}]}}
"""
BELOW = (
    ("clusters", "providers/Microsoft.ContainerService/managedClusters"),
    ("resourceGroups", "resourceGroups"),
    ("assignments", "providers/Microsoft.Authorization/roleAssignments"),
    ("locks", "providers/Microsoft.Authorization/locks"),
    ("policies", "providers/Microsoft.Authorization/policyAssignments"),
    ("roles", "providers/Microsoft.Authorization/roleDefinitions?$filter=type eq 'CustomRole'"),
    ("networks", "providers/Microsoft.Network/virtualNetworks"),
)


async def answer_of(sandbox: Sandbox, host: str, target: str) -> Any:
    """Return the answer of a service to the operator, without HTTP."""
    if "api-version" not in target and host[0] != "g":
        version = newest(urlsplit(target).path, sandbox.clock.now().date())
        target = f"{target}{'&' if '?' in target else '?'}api-version={version}"
    parts = urlsplit(target)
    audience = f"https://{host}"
    token = sandbox.tokens.issue(sandbox.operator.principal, audience=audience)
    request = Request(
        method="GET",
        host=host,
        path=split_path(parts.path),
        raw_path=parts.path,
        query=dict(parse_qsl(parts.query)),
        headers=CIMultiDict({"authorization": f"Bearer {token}"}),
        now=sandbox.clock.now(),
    )
    service = sandbox.graph.handle if host.startswith("graph") else sandbox.arm.router.dispatch
    reply = await service(request)
    assert reply.status == 200, (target, reply)
    return json.loads(reply.encoded()[0])


async def documents(sandbox: Sandbox) -> dict[str, Any]:
    """Return every document about the fleet, by file name."""
    found: dict[str, Any] = {"subscriptions": await answer_of(sandbox, "management.azure.com", "/subscriptions")}
    for id_ in (SUBSCRIPTION, SECOND):
        for name, below in BELOW:
            found[f"{name}-{id_[-1]}"] = await answer_of(
                sandbox, "management.azure.com", f"/subscriptions/{id_}/{below}"
            )
        for cluster in found[f"clusters-{id_[-1]}"]["value"]:
            for kind in ("agentPools", "maintenanceConfigurations"):
                answer = await answer_of(sandbox, "management.azure.com", f"{cluster['id']}/{kind}")
                if answer["value"]:
                    found[f"{cluster['name']}-{kind}"] = answer
    for kind in ("users", "groups", "servicePrincipals", "identity/conditionalAccess/policies"):
        found[kind.rpartition("/")[2]] = await answer_of(sandbox, "graph.microsoft.com", f"/v1.0/{kind}")
    for group in found["groups"]["value"]:
        for relation in ("members", "owners"):
            answer = await answer_of(sandbox, "graph.microsoft.com", f"/v1.0/groups/{group['id']}/{relation}")
            found[f"{group['displayName']}.{relation}"] = answer
    schedules = f"/v1.0/identityGovernance/privilegedAccess/group/eligibilitySchedules?$filter=groupId eq '{ADMINS}'"
    found["eligible"] = await answer_of(sandbox, "graph.microsoft.com", schedules)
    for document in found.values():
        document.pop(
            "nextLink", None
        )  # each list of this fleet fits into one page; `az` drops the link to the empty one
    return {name: it for name, it in found.items() if it.get("value") or name.endswith(("members", "owners"))}


def written_to(folder: Path, found: dict[str, Any]) -> list[Path]:
    """Write the documents to files, and return their paths."""
    files = []
    for name, document in found.items():
        files.append(folder / f"{name}.json")
        files[-1].write_text(json.dumps(document))
    return files


def world(text: str) -> World:
    return World.model_validate(YAML(typ="safe").load(text))
