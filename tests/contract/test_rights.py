"""Who holds the rights that are ways in, read from the sandbox's ARM, Graph and API server."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import pytest

from aks_entra.core.access.holders import SIGNER
from aks_entra.core.cluster import Posture
from aks_entra.core.doors.facts import DoorFacts
from aks_entra.core.doors.model import Door, DoorState
from aks_entra.core.doors.registry import doors_of
from aks_entra.probes import rights
from aks_entra.probes.rights import add_rights
from aks_entra.wiring import Session
from azure_sandbox.front.http import Reply
from azure_sandbox.server import Sandbox
from tests.contract.small_world import ADMINS, DANA, READER, SUBSCRIPTION, UNLOCKED, Opener, cluster

ARM, GRAPH, API = "management.azure.com", "graph.microsoft.com", "*.azmk8s.io"
RBAC, CERTIFICATES = "rbac.authorization.k8s.io", "certificates.k8s.io"
OF_RIGHTS: Final = (
    "client-certificates",
    "service-account-tokens",
    "impersonation",
    "certificate-names",
    "unknown-principals",
    "run-command",
    "conditional-roles",
    "fleet-roles",
)
INSIDE: Final = frozenset(OF_RIGHTS[:5])
FOR_MEMBERS = "Azure Kubernetes Fleet Manager RBAC Reader for Member Clusters"
NOBODY = "00000000-1111-4222-8333-444444444444"
ROLES = """\
customRoles:
  - {name: runner, actions: ["Microsoft.ContainerService/managedClusters/runCommand/action"]}
"""
pytestmark = pytest.mark.parametrize("box", [{"world": UNLOCKED, "more": ROLES}], indirect=True)


async def doors(session: Session, name: str = "guarded", group: str = "shop-weu", **change: Any) -> dict[str, Door]:
    posture: Posture = replace(await session.ports.arm.cluster(cluster(name, group)), **change)
    facts = await add_rights(DoorFacts(posture=posture), session.ports, posture)
    return {door.kind: door for door in doors_of(facts)}


def put(box: Sandbox, key: tuple[str, str], name: str, namespace: str = "", **content: Any) -> None:
    """Put an object into the cluster `guarded`."""
    server = next(one for one in box.clusters.all() if one.fqdn.startswith("guarded-"))
    home = {"namespace": namespace} if namespace else {}
    server.store.put(key, {"metadata": {"name": name, **home}, **content}, box.clock.now())


def bind(box: Sandbox, name: str, role: str, *subjects: dict[str, str], namespace: str = "") -> None:
    reference = {"apiGroup": RBAC, "kind": "ClusterRole", "name": role}
    kind = "rolebindings" if namespace else "clusterrolebindings"
    put(box, (RBAC, kind), name, namespace, roleRef=reference, subjects=list(subjects))


def subject(kind: str, name: str) -> dict[str, str]:
    return {"kind": kind, "apiGroup": RBAC, "name": name}


async def test_the_doors_of_a_fresh_cluster_are_closed_with_a_proof(opened: Opener) -> None:
    async with opened() as session:
        found = await doors(session)
    assert {kind: found[kind].state for kind in OF_RIGHTS} == dict.fromkeys(OF_RIGHTS, DoorState.CLOSED)
    for kind in ("client-certificates", "service-account-tokens", "impersonation"):
        assert found[kind].because[1].startswith("not counted, as they may do everything: aks-admins: "), found[kind]
        assert "group system:masters" in found[kind].because[2]
    assert "user clusterAdmin" in found["certificate-names"].because[1]


async def test_every_open_door_names_who_can_use_it(opened: Opener, box: Sandbox) -> None:
    bind(box, "team", "edit", subject("Group", READER["id"]), namespace="default")
    bind(box, "by-certificate", "view", subject("User", "alice"), subject("Group", "system:masters"))
    bind(box, "gone", "view", subject("Group", NOBODY), subject("User", "nobody@contoso.com"), subject("User", DANA))
    rule = {"apiGroups": [CERTIFICATES], "resources": ["certificatesigningrequests/approval"], "verbs": ["update"]}
    signer = {"apiGroups": [CERTIFICATES], "resources": ["signers"], "verbs": ["approve"], "resourceNames": [SIGNER]}
    put(box, (RBAC, "clusterroles"), "approver", rules=[rule, signer])
    bind(box, "approvers", "approver", subject("User", DANA))
    spec = {"signerName": SIGNER, "username": DANA}
    put(box, (CERTIFICATES, "certificatesigningrequests"), "asked", spec=spec)
    others = {"signerName": "kubernetes.io/kubelet-serving", "username": "system:node:n"}
    put(box, (CERTIFICATES, "certificatesigningrequests"), "of-a-node", spec=others)
    denied = {"conditions": [{"type": "Approved"}, {"type": "Denied"}]}
    put(box, (CERTIFICATES, "certificatesigningrequests"), "denied", spec=spec, status=denied)
    put(
        box, ("", "secrets"), "old-token", "default", type="kubernetes.io/service-account-token", data={"token": "c2g="}
    )
    place = cluster("guarded").resource_id
    box.arm.assign(place, READER["id"], "runner")
    fleet = box.arm.add_fleet(SUBSCRIPTION, "pay-weu", "everything", (place.upper(), cluster("plain").resource_id))
    box.arm.add_fleet(SUBSCRIPTION, "pay-weu", "of-others", (cluster("plain").resource_id,))
    box.arm.assign(fleet, READER["id"], FOR_MEMBERS)
    async with opened() as session:
        found = await doors(session)
        assert {kind for kind in OF_RIGHTS if found[kind].state is DoorState.OPEN} == {*OF_RIGHTS} - {
            "conditional-roles"
        }
        assert found["client-certificates"].because[:2] == (
            f"{DANA}: request asked (pending)",
            f"user {DANA}: approver by clusterrolebinding approvers",
        )
        assert found["service-account-tokens"].because[:2] == (
            "everyone who holds default/old-token",
            "reader: edit by rolebinding default/team",
        )
        assert found["impersonation"].because[0] == "reader: edit by rolebinding default/team (serviceaccounts)"
        named = ["group system:masters", "user alice"]
        assert [one.partition(": ")[0] for one in found["certificate-names"].because[:2]] == named
        unknown = [NOBODY, "user nobody@contoso.com"]
        assert [one.partition(": ")[0] for one in found["unknown-principals"].because[:2]] == unknown
        assert found["run-command"].because == (f"reader: runner at {place}",)
        assert found["fleet-roles"].because == (f"reader: {FOR_MEMBERS} at {fleet}",)
        assert "c2g=" not in repr(found)
        closed = await doors(session, run_command_disabled=True)
        assert closed["run-command"].state is DoorState.CLOSED


async def test_a_role_with_a_condition_is_no_full_access(opened: Opener, box: Sandbox) -> None:
    place = cluster("azure-rbac", "pay-weu")
    box.arm.assign(place.resource_id, READER["id"], "Azure Kubernetes Service RBAC Cluster Admin")
    async with opened() as session:
        before = await doors(session, place.name, place.resource_group)
        assert "reader" in before["impersonation"].because[1]
        assert await session.ports.arm.is_cluster_admin(place, READER["id"])
    (held,) = [one for one in box.arm.state.access.all() if one.role.name.endswith("RBAC Cluster Admin")]
    box.arm.state.access.add(replace(held, condition="@Resource[Microsoft.ContainerService/…] StringEquals 'a'"))
    async with opened() as session:
        found = await doors(session, place.name, place.resource_group)
        assert await session.ports.arm.is_cluster_admin(place, READER["id"]) is None
    for kind in ("client-certificates", "service-account-tokens", "impersonation", "conditional-roles"):
        assert found[kind].state is DoorState.NOT_LOOKED_AT
        assert "Azure Kubernetes Service RBAC Cluster Admin at " in found[kind].because[0]
        assert found[kind].because[0].endswith("under a condition that is not evaluated here")


async def test_who_may_fetch_a_static_credential_is_named_while_there_are_any(opened: Opener, box: Sandbox) -> None:
    place = cluster("plain")
    async with opened() as session:
        (only,) = [(await doors(session, place.name))["static-credentials"]]
        assert only.state is DoorState.OPEN
        assert only.because == (f"reader: Azure Kubernetes Service Cluster User Role at /subscriptions/{SUBSCRIPTION}",)
        legacy = (await doors(session, "legacy"))["static-credentials"]
        assert legacy.state is DoorState.CLOSED
        assert (await doors(session))["static-credentials"].state is DoorState.CLOSED
        without = await doors(session, place.name)
        stopped = await doors(session, "asleep", "pay-weu")
    assert {without[kind].state for kind in INSIDE} == {DoorState.NOT_LOOKED_AT}
    assert "migrate" in without["impersonation"].remedy
    assert "the cluster is stopped" in stopped["impersonation"].because[0]
    assert box.faults.waiting == ()


@pytest.mark.usefixtures("as_reader")
async def test_without_rights_no_door_is_closed_and_the_rights_are_named(opened: Opener) -> None:
    async with opened() as session:
        found = await doors(session)
    assert {kind: found[kind].state for kind in OF_RIGHTS} == dict.fromkeys(OF_RIGHTS, DoorState.NOT_LOOKED_AT)
    assert all("the prover needs an admin group" in found[kind].remedy for kind in INSIDE - {"unknown-principals"})
    for kind in ("run-command", "conditional-roles"):
        assert "Microsoft.Authorization/roleAssignments/read" in found[kind].remedy
    assert "Microsoft.ContainerService/fleets/read" in found["fleet-roles"].remedy


READS = {
    "bindings": (API, "/clusterrolebindings$", INSIDE),
    "roles of namespaces": (API, "/roles$", INSIDE),
    "signing requests": (API, "/certificatesigningrequests$", {"client-certificates"}),
    "secrets": (API, "/secrets$", {"service-account-tokens"}),
    "principals": (GRAPH, "/getByIds$", {"unknown-principals"}),
    "users": (GRAPH, "/users$", {"unknown-principals"}),
    "role assignments": (ARM, "/managedClusters/guarded/.*/roleAssignments$", {"run-command", "conditional-roles"}),
    "subscriptions": (ARM, "/subscriptions$", {"fleet-roles"}),
    "fleets": (ARM, "/fleets$", {"fleet-roles"}),
    "members": (ARM, "/members$", {"fleet-roles"}),
    "roles of the fleet": (ARM, "/fleets/.*/roleAssignments$", {"fleet-roles"}),
}
ANSWERS = {
    "empty resources": Reply(200, {"value": [{}], "items": [{}]}),
    "no list": Reply(200, {}),
    "forbidden": Reply(403, {"error": {"code": "Forbidden", "message": "no"}, "message": "no"}),
}


async def test_a_read_without_a_whole_answer_closes_no_door(opened: Opener, box: Sandbox) -> None:
    bind(box, "one", "view", subject("User", DANA), subject("User", READER["id"]))
    box.arm.add_fleet(SUBSCRIPTION, "pay-weu", "everything", (cluster("guarded").resource_id,))
    for name, (host, path, of_this) in READS.items():
        for answer, reply in ANSWERS.items():
            async with opened() as session:  # the fleets are read once for each session
                box.faults.add("*", path, host=host, answer=reply)
                found = await doors(session)
            assert box.faults.waiting == (), (name, answer)
            closed = {kind for kind in OF_RIGHTS if found[kind].state is DoorState.CLOSED}
            assert closed == {*OF_RIGHTS} - of_this, (name, answer)


async def test_more_names_than_a_look_allows_are_said(opened: Opener, box: Sandbox) -> None:
    many = [subject("User", f"user-{number}@contoso.com") for number in range(rights.MOST_NAMES + 1)]
    bind(box, "many", "view", *many)
    async with opened() as session:
        found = await doors(session)
    assert found["unknown-principals"].state is DoorState.NOT_LOOKED_AT
    assert "at most 300 are looked up" in found["unknown-principals"].because[0]
    assert found["certificate-names"].state is DoorState.CLOSED
    assert ADMINS in found["impersonation"].because[1]
