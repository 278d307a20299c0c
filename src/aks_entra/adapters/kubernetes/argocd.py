"""Cluster secrets of Argo CD in a hub. What is in a secret stays in this module."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from aks_entra.adapters.kubernetes.api_server import ApiServers
from aks_entra.adapters.kubernetes.secrets import (
    certificate_ended,
    decoded,
    name_of,
    read_secret,
    replace_value,
    token_ended,
)
from aks_entra.core.hooks.argocd import ArgoCdConfig, same_server, with_authority
from aks_entra.errors import Refused, TryLater
from aks_entra.ports.hubs import ArgoCdSecret, ListedSecret

if TYPE_CHECKING:
    from kubernetes.aio.client import ApiClient

    from aks_entra.core.cluster import Posture

LABEL: Final = "argocd.argoproj.io/secret-type"
CLUSTER: Final = "cluster"


class ArgoCdSecrets:
    """Reads and writes the secrets as the prover."""

    def __init__(self, servers: ApiServers) -> None:
        self._servers = servers

    async def argocd_secrets(self, hub: Posture, *, namespace: str) -> tuple[ListedSecret, ...]:
        """Return all cluster secrets of a namespace: their names, and the URLs of the servers they are for."""
        async with self._servers.opened(hub) as api:
            listed = await self._listed(api, namespace)
            return tuple(ListedSecret(name=name_of(one), server=decoded(one, "server")) for one in listed)

    async def update_argocd_secrets(
        self, hub: Posture, *, namespace: str, name: str, server: str, ca_data: str, rotated_at: str
    ) -> tuple[ArgoCdSecret, ...]:
        """Write the CA into those secrets. A secret that somebody wrote meanwhile is left: TryLater.

        If one cannot be written, the others still are. Then its error is raised.
        """
        updated: list[ArgoCdSecret] = []
        failed: list[Refused | TryLater] = []
        async with self._servers.opened(hub) as api:
            for secret in await self._found(api, namespace, name, server):
                try:
                    config = _with_authority(secret, ca_data)
                    if config.changed:
                        await replace_value(api, namespace, secret, "config", config.text)
                except (Refused, TryLater) as error:
                    failed.append(error)
                    continue
                stale = _stale(config, ca_data, rotated_at)
                updated.append(ArgoCdSecret(name=name_of(secret), changed=config.changed, stale=stale))
        if failed:
            raise failed[0]
        return tuple(updated)

    async def _listed(self, api: ApiClient, namespace: str) -> list[Mapping[str, Any]]:
        from kubernetes.aio import client

        fetch = partial(client.CoreV1Api(api).list_namespaced_secret_without_preload_content, namespace)
        return [one async for one in self._servers.pages(fetch, label_selector=f"{LABEL}={CLUSTER}")]

    async def _found(self, api: ApiClient, namespace: str, name: str, server: str) -> list[Mapping[str, Any]]:
        if not name:
            return [one for one in await self._listed(api, namespace) if _is_for(one, server)]
        one = await read_secret(api, namespace, name)
        if one is None:
            return []
        if (one["metadata"].get("labels") or {}).get(LABEL) != CLUSTER or not _is_for(one, server):
            raise Refused(
                f"the secret {namespace}/{name} is not Argo CD's cluster secret for {server}",
                remedy=f"check `name`, or leave it out: then the secret is found by its label {LABEL} and its server",
                code="OtherSecret",
            )
        return [one]


def _with_authority(secret: Mapping[str, Any], ca_data: str) -> ArgoCdConfig:
    try:
        return with_authority(decoded(secret, "config"), ca_data)
    except ValueError as error:
        raise Refused(
            f"the secret {name_of(secret)} was not changed: {error}",
            remedy="correct the secret: see `clusters` in Argo CD's declarative setup",
            code="SecretUnreadable",
        ) from None


def _stale(config: ArgoCdConfig, ca_data: str, rotated_at: str) -> str:
    """Return the credential of a configuration that ended with the rotation. What cannot be told counts as ended."""
    if config.bearer_token and token_ended(config.bearer_token, rotated_at):
        return "bearer token"
    if config.certificate and certificate_ended(config.certificate, ca_data):
        return "client certificate"
    return ""


def _is_for(secret: Mapping[str, Any], server: str) -> bool:
    return same_server(decoded(secret, "server"), server)
