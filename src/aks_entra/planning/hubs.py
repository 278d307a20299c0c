"""Reads what a plan can know about the hubs of its hooks. Several clusters share one list of secrets."""

from __future__ import annotations

from aks_entra.core.cluster import ClusterId, Posture
from aks_entra.core.hooks.argocd import same_server
from aks_entra.core.hooks.model import Hook, UpdateArgoCdSecret, before_rotation, filled, hub_of
from aks_entra.core.preflight import HubSeen
from aks_entra.errors import AksEntraError
from aks_entra.planning.fleet_reader import FleetReader
from aks_entra.ports.hubs import ListedSecret
from aks_entra.ports.migration import Ports


async def hubs_seen(
    ports: Ports, reader: FleetReader, posture: Posture, after: tuple[Hook, ...]
) -> tuple[HubSeen, ...]:
    """Return what Argo CD in each hub has for a cluster. A hub that cannot be read is unknown, and says why."""
    return tuple([await _seen(ports, reader, posture, hook) for hook in after if isinstance(hook, UpdateArgoCdSecret)])


async def _seen(ports: Ports, reader: FleetReader, posture: Posture, hook: UpdateArgoCdSecret) -> HubSeen:
    hub = hub_of(hook, posture.cluster)
    name = str(filled(hook.name, before_rotation(posture.cluster)))
    try:
        listed = await reader.once(
            "argocd", f"{hub.key} {hook.namespace}", lambda: _secrets(ports, hub, hook.namespace)
        )
    except AksEntraError as error:
        return HubSeen(
            hub=str(hub), namespace=hook.namespace, secrets=None, problem=error.message, remedy=error.remedy or ""
        )
    found = (one.name for one in listed if same_server(one.server, f"https://{posture.fqdn}"))
    return HubSeen(hub=str(hub), namespace=hook.namespace, secrets=tuple(one for one in found if name in {"", one}))


async def _secrets(ports: Ports, hub: ClusterId, namespace: str) -> tuple[ListedSecret, ...]:
    posture = await ports.arm.cluster(hub)
    assert ports.hubs is not None  # noqa: S101 - a session on the real services has every port
    return await ports.hubs.argocd_secrets(posture, namespace=namespace)
