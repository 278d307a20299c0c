"""A cluster's story against the sandbox over HTTPS, with the steps and results of the world in memory."""

from __future__ import annotations

import json
from asyncio import sleep
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from multidict import CIMultiDict

from aks_entra.core.cluster import ClusterId
from aks_entra.core.planning.fleet import Fleet, Selector, WantedGroup, WantedTarget
from aks_entra.core.target import RotationPolicy
from aks_entra.ports.access import AccessPorts
from aks_entra.ports.migration import Clock
from aks_entra.wiring import Session
from azure_sandbox.front.http import Reply, Request, split_path
from azure_sandbox.server import Sandbox
from tests.contract.small_world import ADMINS, SUBSCRIPTION, TENANT, cluster
from tests.matrix.statements.cluster_history import ClusterHistory, Log
from tests.matrix.statements.portal import Portal
from tests.matrix.statements.statement import Process
from tests.support.memory_ports import World

VERSION = "2026-08-01"
UNREADABLE = Reply(403, {"error": {"code": "AuthorizationFailed", "message": "not allowed"}})
LOG = "/eventtypes/management/values"
PAUSE = 0.01


@dataclass(slots=True)
class HttpsClusterHistory(ClusterHistory):
    """One cluster of the sandbox. `world` is not used here."""

    session: Session | None = None
    box: Sandbox | None = None
    name: str = "plain"

    @classmethod
    def over(cls, session: Session, box: Sandbox, name: str) -> HttpsClusterHistory:
        """Return the story of a cluster in the sandbox, whose admin kubeconfig was handed out before."""
        world, key = World(), cluster(name).key
        history = cls(world=world, key=key, portal=Portal(world, key), session=session, box=box, name=name)
        held = next(one for one in box.arm.state.clusters.values() if one.name == name)
        box.arm.ledger.hand_out(held, box.clock.now(), "listClusterAdminCredential")
        return history

    @property
    def id(self) -> ClusterId:
        """Return the cluster's ID."""
        return cluster(self.name)

    @property
    def clock(self) -> Clock:
        """Return the clock that aks-entra reads."""
        return self._session.ports.clock

    @property
    def _session(self) -> Session:
        assert self.session is not None
        return self.session

    @property
    def _box(self) -> Sandbox:
        assert self.box is not None
        return self.box

    @property
    def access(self) -> AccessPorts:
        """Return the ports with which the access review reads members, roles and bindings."""
        return self._session.access

    def process(self) -> Process:
        """Return the only process of this test."""
        return self._session

    def fleet(self, rotation: RotationPolicy = RotationPolicy.AT_ONCE) -> Fleet:
        """Return a fleet file with only this cluster."""
        return Fleet(
            name="prod",
            selectors=(Selector(subscription=SUBSCRIPTION, name=self.name),),
            target=WantedTarget(admin_groups=(WantedGroup(id=ADMINS),), rotation=rotation),
        )

    @property
    def live(self) -> tuple[str, ...]:
        """Return the credentials that the cluster accepts now, according to the sandbox's ledger."""
        return tuple(
            f"handed out at {one['at']} through {one['through']}"
            for one in self._box.ledger()["handedOut"]
            if one["cluster"] == self.key and (one["clientCertificate"]["accepted"] or one["staticToken"]["accepted"])
        )

    async def cluster_at_rest(self) -> None:
        """Wait until Azure's operation on the cluster has ended."""
        while True:
            reply = await self._send("GET", "")
            if reply.status == 404 or str(_properties(reply)["provisioningState"]) in {"Succeeded", "Failed"}:
                return
            await sleep(PAUSE)

    def log(self, state: Log) -> None:
        """Set whether the activity log can be read."""
        self.events.append(f"the activity log is {state}")
        self._box.faults.clear()
        if state == "unreadable":
            self._box.faults.add("GET", LOG, answer=UNREADABLE, times=1000)

    async def in_portal(self, *deeds: str) -> None:
        """Do some things in the portal, one after the other."""
        for deed in deeds:
            await self.cluster_at_rest()
            self.events.append(f"somebody in the portal {deed}")
            await self._deed(deed)
        await self.cluster_at_rest()

    async def _deed(self, deed: str) -> None:
        match deed:
            case "opens" | "closes":
                held = await self._send("GET", "")
                body = dict(_body(held))
                body["properties"] = {**_properties(held), "disableLocalAccounts": deed == "closes"}
                await self._done("PUT", "", body)
            case "fetches":
                await self._send("POST", "/listClusterAdminCredential")
            case "fetches by its access profile":
                await self._send("POST", "/accessProfiles/clusterAdmin/listCredential")
            case "rotates":
                await self._done("POST", "/rotateClusterCertificates")
            case _:
                await self._done("DELETE", "")
                await self.cluster_at_rest()
                await self._done("PUT", "", _anew(self.name, closed=deed.endswith("closed")))

    async def _done(self, method: str, path: str, body: object = None) -> None:
        reply = await self._send(method, path, body)
        assert reply.status < 300, reply

    async def _send(self, method: str, path: str, body: object = None) -> Reply:
        box, target = self._box, urlsplit(f"{self.id.resource_id}{path}?api-version={VERSION}")
        token = box.tokens.issue(box.operator.principal, audience="https://management.azure.com")
        return await box.arm.router.dispatch(
            Request(
                method=method,
                host="management.azure.com",
                path=split_path(target.path),
                raw_path=target.path,
                query={"api-version": VERSION},
                headers=CIMultiDict({"Authorization": f"Bearer {token}"}),
                body=b"" if body is None else json.dumps(body).encode(),
                now=box.clock.now(),
            )
        )


def _body(reply: Reply) -> dict[str, Any]:
    assert isinstance(reply.body, dict), reply
    return reply.body


def _properties(reply: Reply) -> dict[str, Any]:
    found: dict[str, Any] = _body(reply)["properties"]
    return found


def _anew(name: str, *, closed: bool) -> dict[str, Any]:
    return {
        "location": "westeurope",
        "identity": {"type": "SystemAssigned"},
        "properties": {
            "dnsPrefix": name,
            "agentPoolProfiles": [{"name": "nodepool1", "count": 1, "vmSize": "Standard_D2s_v5", "mode": "System"}],
            "aadProfile": {"managed": True, "tenantID": TENANT, "adminGroupObjectIDs": [ADMINS]},
            "disableLocalAccounts": closed,
        },
    }
