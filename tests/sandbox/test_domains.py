"""graph.microsoft.com: the domains of the tenant, which Prowler and other scanners name in their reports."""

from __future__ import annotations

import pytest
from multidict import CIMultiDict

from azure_sandbox.front.http import Reply, Request
from azure_sandbox.graph.service import HOST
from azure_sandbox.server import Sandbox
from azure_sandbox.world.model import World


async def domains(permission: str, **query: str) -> Reply:
    described = {
        "version": 1,
        "servicePrincipals": [{"name": "it", "graphPermissions": [permission]}],
        "operator": "it",
    }
    sandbox = Sandbox(World.model_validate(described | {"subscriptions": [{"name": "prod-eu"}]}))
    token = sandbox.tokens.issue(sandbox.operator.principal, audience=f"https://{HOST}")
    return await sandbox.graph.handle(
        Request(
            method="GET",
            host=HOST,
            path="/v1.0/domains",
            raw_path="/v1.0/domains",
            query=query,
            headers=CIMultiDict({"Authorization": f"Bearer {token}"}),
            body=b"",
            now=sandbox.clock.now(),
        )
    )


@pytest.mark.parametrize("permission", ["Domain.Read.All", "Directory.Read.All"])
async def test_the_initial_domain_of_the_tenant_is_listed(permission: str) -> None:
    reply = await domains(permission, **{"$select": "isDefault,isVerified"})
    assert reply.status == 200
    assert isinstance(reply.body, dict)
    assert reply.body["value"] == [{"isDefault": True, "isVerified": True}]


async def test_a_caller_without_the_permission_and_an_option_that_is_not_modelled_are_refused() -> None:
    assert (await domains("User.Read.All")).status == 403
    assert (await domains("Domain.Read.All", **{"$top": "1"})).status == 501
