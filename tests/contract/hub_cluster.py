"""The cluster `guarded`, as a hub whose Secrets a test puts and reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aks_entra.core.cluster import Posture
    from aks_entra.ports.hubs import Hubs
    from aks_entra.wiring import Session
    from azure_sandbox.server import Sandbox

SECRETS = ("", "secrets")


class HubCluster:
    """The hub: the port that reads it, and what its API server stores."""

    def __init__(self, box: Sandbox, session: Session, posture: Posture) -> None:
        found, hubs = box.arm.clusters.for_host(posture.fqdn or ""), session.ports.hubs
        assert found is not None
        assert hubs is not None
        self.now, self.store, self.posture = box.clock.now, found.store, posture
        self.hubs: Hubs = hubs
