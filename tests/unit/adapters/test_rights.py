"""What is asked of an API server about rights: of secrets only metadata, of signing requests their state."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

from aks_entra.adapters.kubernetes.api_server import METADATA, ApiServers
from aks_entra.adapters.rights import Rights
from aks_entra.core.access.holders import SIGNER
from tests.support.access_cases import POSTURE


class Servers:
    """An API server that lists the same objects at every path, and notes what it is asked for."""

    def __init__(self, *items: dict[str, Any]) -> None:
        self.items = items
        self.asked: list[tuple[str, str]] = []

    @asynccontextmanager
    async def opened(self, _: object) -> AsyncIterator[None]:
        yield None

    def listing(self, _: object, accept: str) -> Callable[[str], AsyncIterator[dict[str, Any]]]:
        async def pages(path: str) -> AsyncIterator[dict[str, Any]]:
            self.asked.append((path, accept))
            for item in self.items:
                yield item

        return pages


def reads(servers: Servers) -> Rights:
    unused = cast("Any", None)
    return Rights(unused, unused, unused, cast("ApiServers", servers))


async def test_of_secrets_only_metadata_is_asked_for() -> None:
    servers = Servers({"metadata": {"namespace": "ci", "name": "old"}})
    assert await reads(servers).service_account_secrets(POSTURE) == ("ci/old",)
    ((path, accept),) = servers.asked
    assert accept == METADATA
    assert path.endswith("?fieldSelector=type%3Dkubernetes.io%2Fservice-account-token")


async def test_signing_requests_are_told_with_their_state() -> None:
    def request(name: str, signer: str | None, *conditions: str, certificate: str = "") -> dict[str, Any]:
        status = {"conditions": [{"type": one} for one in conditions], "certificate": certificate}
        spec = {"username": "dana", **({"signerName": signer} if signer else {})}
        return {"metadata": {"name": name}, "spec": spec, "status": status}

    servers = Servers(
        request("waits", SIGNER),
        request("of a newer kind", SIGNER, "Parked"),
        request("approved", SIGNER, "Approved"),
        request("signed", SIGNER, "Approved", certificate="LS0t"),
        request("refused", SIGNER, "Approved", "Denied"),
        request("unsigned", SIGNER, "Approved", "Failed"),
        request("of nodes", "kubernetes.io/kubelet-serving"),
        request("half", None),
        {},
    )
    found = await reads(servers).certificate_requests(POSTURE)
    assert [(one.name, one.requester, one.status) for one in found] == [
        ("waits", "dana", "pending"),
        ("of a newer kind", "dana", "pending"),
        ("approved", "dana", "approved"),
        ("signed", "dana", "issued"),
        ("refused", "dana", "denied"),
        ("unsigned", "dana", "failed"),
        ("half", "dana", "pending"),
        ("", "", "pending"),
    ]
