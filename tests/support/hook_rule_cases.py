"""Cases of the rule about the hooks that write into hubs."""

from __future__ import annotations

from dataclasses import replace

from aks_entra.core.preflight import HubSeen
from tests.support.cases import facts, managed, target

HUB = HubSeen(hub="hub-weu/hub-01", namespace="argocd", secrets=())
ENDS = HubSeen(
    hub="hub-weu/hub-01",
    namespace="flux-system",
    secrets=("shop",),
    problem="the rotation ends its client certificate",
    remedy="move it",
    program="Flux",
    hook="update_flux_secret",
)

HOOKS = [
    ("W165", "namespace argocd of hub-weu/hub-01 has no secret for this", managed(), target(), facts(hubs=(HUB,))),
    (
        "W165",
        "the hook of Flux's secret shop in namespace flux-system of hub-weu/hub-01 will fail",
        managed(),
        target(),
        facts(hubs=(ENDS,)),
    ),
    (
        "U165",
        "this cluster: no right",
        managed(),
        target(),
        facts(hubs=(replace(HUB, secrets=None, problem="no right"),)),
    ),
]
