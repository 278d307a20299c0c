"""Calls the sandbox's ARM and API servers directly, without HTTP, on a clock that the test moves."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from multidict import CIMultiDict
from ruamel.yaml import YAML

from azure_sandbox.arm.api_versions import newest
from azure_sandbox.arm.containerservice.spec import ClusterSpec
from azure_sandbox.arm.service import Arm, ArmSettings
from azure_sandbox.clock import Clock
from azure_sandbox.cluster.regime import SERVER_APP
from azure_sandbox.cluster.service import ApiServer
from azure_sandbox.entra.directory import Directory, Group, ServicePrincipal, Tenant, User
from azure_sandbox.entra.tokens import Tokens
from azure_sandbox.faults.operations import OperationFaults
from azure_sandbox.front.http import Reply, Request, split_path

TENANT = "11111111-2222-4333-8444-555555555555"
SUBSCRIPTION = "3e8b1a70-6c2f-4d95-b0e4-8f7a2c5d9163"
SCOPE = f"/subscriptions/{SUBSCRIPTION}"
GROUP = f"{SCOPE}/resourceGroups/shop-weu"
OPERATOR = "aaaaaaaa-0000-4000-8000-000000000002"
OUTSIDER = "bbbbbbbb-0000-4000-8000-000000000003"
ALICE = "cccccccc-0000-4000-8000-000000000001"
ADMINS = "dddddddd-0000-4000-8000-000000000001"
OTHERS = "dddddddd-0000-4000-8000-000000000002"
VERSION = "2026-08-01"
LONG = timedelta(hours=2)


def cluster_id(name: str) -> str:
    return f"{GROUP}/providers/Microsoft.ContainerService/managedClusters/{name}"


class ArmClient:
    """One subscription with one resource group. The operator owns it, and alice is a cluster administrator by group.

    The outsider has no rights.
    """

    def __init__(
        self,
        *clusters: ClusterSpec,
        settings: ArmSettings | None = None,
        clock: Clock | None = None,
        faults: OperationFaults | None = None,
    ) -> None:
        self.clock = clock or Clock(pace=1)
        settings = settings or ArmSettings(durations={"policy": 0})
        self.directory = Directory(Tenant(id=TENANT, domain="contoso.onmicrosoft.com"), clock=self.clock)
        self.operator = ServicePrincipal(id=OPERATOR, app_id="operator-app", display_name="operator")
        self.outsider = ServicePrincipal(id=OUTSIDER, app_id="outsider-app", display_name="outsider")
        self.alice = User(id=ALICE, upn="alice@contoso.onmicrosoft.com", display_name="Alice")
        for principal in (self.operator, self.outsider, self.alice):
            self.directory.add(principal)
        for number, members in ((ADMINS, {ALICE}), (OTHERS, set())):
            now = self.clock.now()
            self.directory.add(
                Group(
                    id=number,
                    display_name=number,
                    mail_nickname=number,
                    created_at=now,
                    visible_at=now,
                    members=set(members),
                )
            )
        self.tokens = Tokens(self.directory)
        self.arm = Arm(self.directory, self.tokens, self.clock, settings, faults)
        self.arm.add_subscription(SUBSCRIPTION, "prod-eu", TENANT)
        self.arm.add_resource_group(SUBSCRIPTION, "shop-weu", "westeurope")
        self.arm.assign(SCOPE, OPERATOR, "Owner")
        for cluster in clusters:
            self.arm.add_cluster(SUBSCRIPTION, "shop-weu", cluster)
        self.caller: ServicePrincipal | User = self.operator

    async def raw(self, method: str, target: str, body: object = None, **headers: str) -> Reply:
        """Send a request with exactly these headers."""
        parts = urlsplit(target)
        return await self.arm.router.dispatch(
            Request(
                method=method,
                host="management.azure.com",
                path=split_path(parts.path),
                raw_path=parts.path,
                query=dict(parse_qsl(parts.query, keep_blank_values=True)),
                headers=CIMultiDict(headers),
                body=b"" if body is None else json.dumps(body).encode(),
                now=self.clock.now(),
            )
        )

    async def send(self, method: str, target: str, body: object = None, **headers: str) -> Reply:
        """Send a request as the caller, with the newest api-version of the resource type."""
        if "api-version=" not in target:
            version = newest(urlsplit(target).path, self.clock.now().date()) or VERSION
            target += f"{'&' if '?' in target else '?'}api-version={version}"
        token = self.tokens.issue(self.caller, audience="https://management.azure.com")
        return await self.raw(method, target, body, Authorization=f"Bearer {token}", **headers)

    async def get(self, target: str) -> Any:
        reply = await self.send("GET", target)
        assert reply.status == 200, reply
        return reply.body

    async def refused(self, method: str, target: str, body: object = None, **headers: str) -> tuple[int, str, str]:
        """Return status, code and message of an error response, in either form of ARM."""
        reply = await self.send(method, target, body, **headers)
        assert reply.status >= 400, reply
        assert isinstance(reply.body, dict)
        error = reply.body.get("error", reply.body)
        return reply.status, error["code"], error["message"]

    async def change(self, name: str, **properties: object) -> Reply:
        """GET a cluster, change its properties, and PUT it. None removes a property."""
        held = await self.get(cluster_id(name))
        kept = {key: it for key, it in held["properties"].items() if key not in properties}
        sent = {key: it for key, it in properties.items() if it is not None}
        return await self.send("PUT", cluster_id(name), {**held, "properties": {**kept, **sent}})

    async def status_of(self, reply: Reply) -> str:
        """Return the status of the operation that a reply has started."""
        found = await self.send("GET", reply.headers["azure-asyncoperation"])
        assert isinstance(found.body, dict)
        return str(found.body["status"])

    async def finish(self, reply: Reply) -> None:
        """Move the clock until an operation ends."""
        assert reply.status in {200, 201, 202}, reply
        assert await self.status_of(reply) not in {"Succeeded", "Failed", "Canceled"}
        self.clock.advance(LONG)
        assert await self.status_of(reply) == "Succeeded"

    async def kubeconfig(self, name: str, who: str = "Admin", query: str = "") -> Any:
        reply = await self.send("POST", f"{cluster_id(name)}/listCluster{who}Credential{query}")
        assert reply.status == 200, reply
        assert isinstance(reply.body, dict)
        return YAML(typ="safe").load(b64decode(reply.body["kubeconfigs"][0]["value"]))

    async def held(self, name: str) -> tuple[bytes, str]:
        """Return the client certificate (DER) and the static token of the admin kubeconfig."""
        user = (await self.kubeconfig(name))["users"][0]["user"]
        certificate = x509.load_pem_x509_certificate(b64decode(user["client-certificate-data"]))
        return certificate.public_bytes(Encoding.DER), user["token"]

    def server(self, name: str) -> ApiServer:
        fqdn = next(it.fqdn for it in self.arm.clusters.all() if it.blueprint.resource_id.endswith(f"/{name}"))
        found = self.arm.clusters.for_host(fqdn)
        assert found is not None
        return found

    def entra(self, principal: ServicePrincipal | User, audience: str = SERVER_APP) -> str:
        """Return a new token for clusters."""
        return self.tokens.issue(principal, audience=audience)

    async def kube(
        self,
        name: str,
        method: str,
        target: str,
        body: object = None,
        *,
        token: str | None = None,
        certificate: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Send a request to a cluster's API server."""
        parts = urlsplit(target)
        server = self.server(name)
        given = dict(headers or {}) | ({} if token is None else {"Authorization": f"Bearer {token}"})
        return await server.handle(
            Request(
                method=method,
                host=server.fqdn,
                path=split_path(parts.path),
                raw_path=parts.path,
                query=dict(parse_qsl(parts.query, keep_blank_values=True)),
                headers=CIMultiDict(given),
                body=body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode(),
                peer_certificate=certificate,
                now=self.clock.now(),
            )
        )
