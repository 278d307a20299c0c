"""Reads what a plan can know about the hubs of its hooks. Several clusters share one list of secrets."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Final

from aks_entra.core.cluster import Posture
from aks_entra.core.hooks.argocd import same_server
from aks_entra.core.hooks.model import Hook, HubHook, UpdateArgoCdSecret, before_rotation, filled, hub_of
from aks_entra.core.preflight import HubSeen
from aks_entra.core.rollout.caller_recipes import FLUX
from aks_entra.errors import AksEntraError
from aks_entra.planning.fleet_reader import FleetReader
from aks_entra.ports.hubs import Hubs
from aks_entra.ports.migration import Ports

_ARGO: Final = "Argo CD"
_FLUX: Final = "Flux"
MOVE: Final = f"before the rotation, {FLUX.move} ({FLUX.anchor})"


async def hubs_seen(
    ports: Ports, reader: FleetReader, posture: Posture, after: tuple[Hook, ...]
) -> tuple[HubSeen, ...]:
    """Return what Argo CD and Flux in each hub have for a cluster. A hub that cannot be read is unknown, and why."""
    return tuple([await _seen(ports, reader, posture, hook) for hook in after if isinstance(hook, HubHook)])


async def _seen(ports: Ports, reader: FleetReader, posture: Posture, hook: HubHook) -> HubSeen:
    hub = hub_of(hook, posture.cluster)
    program = _ARGO if isinstance(hook, UpdateArgoCdSecret) else _FLUX
    seen = HubSeen(hub=str(hub), namespace=hook.namespace, secrets=None, program=program, hook=hook.kind)
    name = str(filled(hook.name, before_rotation(posture.cluster)))
    try:
        there = await reader.once("hub", hub.key, lambda: ports.arm.cluster(hub))
        assert ports.hubs is not None  # noqa: S101 - a session on the real services has every port
        if isinstance(hook, UpdateArgoCdSecret):
            return replace(seen, secrets=await _of_argocd(ports.hubs, reader, posture, (there, hook.namespace), name))
        read = partial(ports.hubs.flux_secret, there, namespace=hook.namespace, name=name, key=hook.key)
        found = await reader.patiently(read)
    except AksEntraError as error:
        return replace(seen, problem=error.message, remedy=error.remedy or "")
    if found is None or not same_server(found.server, f"https://{posture.fqdn}"):
        return replace(seen, secrets=())
    return replace(seen, secrets=(name,), problem=found.problem, remedy=MOVE if found.problem else "")


async def _of_argocd(
    hubs: Hubs, reader: FleetReader, posture: Posture, where: tuple[Posture, str], name: str
) -> tuple[str, ...]:
    """Return Argo CD's secrets for a cluster. Its list of a namespace is read once for all clusters."""
    hub, namespace = where
    listed = await reader.once(
        "argocd", f"{hub.cluster.key} {namespace}", lambda: hubs.argocd_secrets(hub, namespace=namespace)
    )
    found = (one.name for one in listed if same_server(one.server, f"https://{posture.fqdn}"))
    return tuple(one for one in found if name in {"", one})
