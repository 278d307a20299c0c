"""The doors of a real control plane: those of a fresh cluster, and those that somebody opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aks_entra.core.cluster import ClusterId
from aks_entra.core.doors.facts import DoorFacts
from aks_entra.core.doors.model import Door, DoorState
from aks_entra.core.doors.registry import doors_of
from aks_entra.probes.rights import add_rights
from aks_entra.settings import Settings
from aks_entra.wiring import Session, open_session
from tests.control_plane.caller import Caller
from tests.control_plane.real_sandbox import GUARDED, OUTSIDER, SUBSCRIPTION, real_sandbox

pytestmark = pytest.mark.control_plane

RBAC = "rbac.authorization.k8s.io"
PLACE = ClusterId(subscription_id=SUBSCRIPTION, resource_group="shop", name="guarded")
INSIDE = (
    "client-certificates",
    "service-account-tokens",
    "impersonation",
    "certificate-names",
    "unknown-principals",
)


async def doors(session: Session) -> dict[str, Door]:
    posture = await session.ports.arm.cluster(PLACE)
    facts = await add_rights(DoorFacts(posture=posture), session.ports, posture)
    return {door.kind: door for door in doors_of(facts) if door.kind in INSIDE}


async def post(caller: Caller, path: str, name: str, **content: Any) -> None:
    token = caller.generation("guarded").token
    body = {**content, "metadata": {"name": name, **content.get("metadata", {})}}
    answer = await caller.ask("guarded", path, method="POST", body=body, token=token)
    assert answer.status == 201, answer.message


async def test_a_fresh_cluster_has_closed_doors_and_each_that_is_opened_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with real_sandbox(tmp_path, GUARDED) as caller:
        for name, value in caller.sandbox.environment.items():
            monkeypatch.setenv(name, value)
        async with open_session(Settings()) as session:
            fresh = await doors(session)
            assert {kind: door.state for kind, door in fresh.items()} == dict.fromkeys(INSIDE, DoorState.CLOSED), fresh
            approvers = fresh["client-certificates"].because[-1]
            assert approvers.startswith("not counted, as Kubernetes and AKS bring them (")
            assert "group system:masters" in approvers
            assert "user system:kube-controller-manager" in fresh["service-account-tokens"].because[-1]

            whose = {"annotations": {"kubernetes.io/service-account.name": "default"}}
            static = "kubernetes.io/service-account-token"
            await post(caller, "/api/v1/namespaces/default/secrets", "old-token", metadata=whose, type=static)
            rules = [
                {"apiGroups": [""], "resources": ["serviceaccounts/token"], "verbs": ["create"]},
                {"apiGroups": [""], "resources": ["users"], "verbs": ["impersonate"]},
            ]
            await post(caller, f"/apis/{RBAC}/v1/clusterroles", "maker", rules=rules)
            reference = {"apiGroup": RBAC, "kind": "ClusterRole", "name": "maker"}
            for kind, name in (("User", "alice"), ("User", OUTSIDER["id"]), ("User", "left@contoso.com")):
                subject = {"apiGroup": RBAC, "kind": kind, "name": name}
                path = f"/apis/{RBAC}/v1/clusterrolebindings"
                await post(caller, path, name.replace("@", "-"), roleRef=reference, subjects=[subject])
            seen = await doors(session)
    assert seen["client-certificates"].state is DoorState.CLOSED
    assert seen["service-account-tokens"].because[0] == "everyone who holds default/old-token"
    for kind in ("service-account-tokens", "impersonation"):
        assert {one.partition(":")[0] for one in seen[kind].because} >= {"user alice", "outsider"}
    assert seen["certificate-names"].because[0].startswith("user alice: maker by clusterrolebinding alice")
    assert seen["unknown-principals"].because[0].startswith("user left@contoso.com: maker by ")
