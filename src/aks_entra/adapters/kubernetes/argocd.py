"""Cluster secrets of Argo CD in a hub: the `Hubs` port. What is in a secret stays in this module."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from cryptography import x509

from aks_entra.adapters.certificates import signed_by
from aks_entra.adapters.identity.credentials import issued_at
from aks_entra.adapters.kubernetes.api_server import ApiServers, answer_of
from aks_entra.core.durations import when
from aks_entra.core.hooks.argocd import ArgoCdConfig, same_server, with_authority
from aks_entra.errors import Refused, TryLater
from aks_entra.ports.hubs import ArgoCdSecret, ListedSecret

if TYPE_CHECKING:
    from kubernetes.aio.client import ApiClient

    from aks_entra.core.cluster import Posture

LABEL: Final = "argocd.argoproj.io/secret-type"
CLUSTER: Final = "cluster"
MERGE: Final = "application/merge-patch+json"

_TIMEOUT: Final = 30
_NOT_FOUND: Final = 404
_CONFLICT: Final = 409


class ArgoCdSecrets:
    """Reads and writes the secrets as the prover."""

    def __init__(self, servers: ApiServers) -> None:
        self._servers = servers

    async def argocd_secrets(self, hub: Posture, *, namespace: str) -> tuple[ListedSecret, ...]:
        """Return all cluster secrets of a namespace: their names, and the URLs of the servers they are for."""
        async with self._servers.opened(hub) as api:
            listed = await self._listed(api, namespace)
            return tuple(ListedSecret(name=_name(one), server=_decoded(one, "server")) for one in listed)

    async def update_argocd_secrets(
        self, hub: Posture, *, namespace: str, name: str, server: str, ca_data: str, rotated_at: str
    ) -> tuple[ArgoCdSecret, ...]:
        """Write the CA into those secrets. A secret that somebody wrote meanwhile is left: TryLater."""
        updated = []
        async with self._servers.opened(hub) as api:
            for secret in await self._found(api, namespace, name, server):
                config = _with_authority(secret, ca_data)
                if config.changed:
                    await replace_config(api, namespace, secret, config)
                stale = _stale(config, ca_data, rotated_at)
                updated.append(ArgoCdSecret(name=_name(secret), changed=config.changed, stale=stale))
        return tuple(updated)

    async def _listed(self, api: ApiClient, namespace: str) -> list[Mapping[str, Any]]:
        from kubernetes.aio import client

        fetch = partial(client.CoreV1Api(api).list_namespaced_secret_without_preload_content, namespace)
        return [one async for one in self._servers.pages(fetch, label_selector=f"{LABEL}={CLUSTER}")]

    async def _found(self, api: ApiClient, namespace: str, name: str, server: str) -> list[Mapping[str, Any]]:
        from kubernetes.aio import client

        if not name:
            return [one for one in await self._listed(api, namespace) if _is_for(one, server)]
        try:
            one = await answer_of(
                client.CoreV1Api(api).read_namespaced_secret_without_preload_content(
                    name, namespace, _request_timeout=_TIMEOUT
                )
            )
        except Refused as refused:
            if refused.status != _NOT_FOUND:
                raise
            return []
        if (one["metadata"].get("labels") or {}).get(LABEL) != CLUSTER or not _is_for(one, server):
            raise Refused(
                f"the secret {namespace}/{name} is not Argo CD's cluster secret for {server}",
                remedy=f"check `name`, or leave it out: then the secret is found by its label {LABEL} and its server",
                code="OtherSecret",
            )
        return [one]


async def replace_config(api: ApiClient, namespace: str, secret: Mapping[str, Any], config: ArgoCdConfig) -> None:
    """Replace the configuration, if the secret is still the one that was read."""
    encoded = base64.b64encode(config.text.encode()).decode("ascii")
    body = {
        "metadata": {"resourceVersion": str(secret["metadata"].get("resourceVersion") or "")},
        "data": {"config": encoded},
    }
    try:
        await answer_of(
            api.rest_client.request(  # type: ignore[no-untyped-call]  # the client's own transport has no types
                "PATCH",
                f"{api.configuration.host}/api/v1/namespaces/{namespace}/secrets/{_name(secret)}",
                headers={
                    "Accept": "application/json",
                    "Content-Type": MERGE,
                    "Authorization": api.configuration.api_key["BearerToken"],
                },
                body=body,
                _request_timeout=_TIMEOUT,
            )
        )
    except Refused as refused:
        if refused.status != _CONFLICT:
            raise
        raise TryLater(
            f"somebody wrote the secret {namespace}/{_name(secret)} just now", after=2, code="Conflict"
        ) from refused


def _with_authority(secret: Mapping[str, Any], ca_data: str) -> ArgoCdConfig:
    try:
        return with_authority(_decoded(secret, "config"), ca_data)
    except ValueError as error:
        raise Refused(
            f"the secret {_name(secret)} was not changed: {error}",
            remedy="correct the secret: see `clusters` in Argo CD's declarative setup",
            code="SecretUnreadable",
        ) from None


def _stale(config: ArgoCdConfig, ca_data: str, rotated_at: str) -> str:
    """Return the credential of a configuration that ended with the rotation. What cannot be told counts as ended."""
    if config.bearer_token:
        issued, rotated = when(issued_at(config.bearer_token)), when(rotated_at)
        if issued is None or rotated is None or issued < rotated:
            return "bearer token"
    if config.certificate:
        try:
            certificate = x509.load_pem_x509_certificate(base64.b64decode(config.certificate))
            authority = x509.load_pem_x509_certificate(base64.b64decode(ca_data))
        except ValueError:
            return "client certificate"
        if not signed_by(certificate, authority):
            return "client certificate"
    return ""


def _is_for(secret: Mapping[str, Any], server: str) -> bool:
    return same_server(_decoded(secret, "server"), server)


def _decoded(secret: Mapping[str, Any], key: str) -> str:
    data = secret.get("data")
    try:
        return base64.b64decode(str((data or {}).get(key) or "")).decode()
    except (binascii.Error, ValueError, AttributeError):
        return ""


def _name(secret: Mapping[str, Any]) -> str:
    return str(secret["metadata"].get("name") or "")
