"""The secrets of Argo CD in hubs of the world in memory."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from aks_entra.ports.hubs import ArgoCdSecret, ListedSecret

if TYPE_CHECKING:
    from aks_entra.core.cluster import Posture


@dataclass(slots=True)
class WorldHubs:
    """Secrets by namespace and server (URL). `asked` holds the name of each secret that a call named."""

    secrets: dict[tuple[str, str], tuple[ArgoCdSecret, ...]] = field(default_factory=dict)
    held: dict[str, str] = field(default_factory=dict)  # the CA of each secret, by its name
    asked: list[str] = field(default_factory=list)

    async def argocd_secrets(self, hub: Posture, *, namespace: str) -> tuple[ListedSecret, ...]:
        assert hub.fqdn
        self.asked.append(str(hub.cluster))
        mine = {server: found for (home, server), found in self.secrets.items() if home == namespace}
        return tuple(ListedSecret(name=one.name, server=server) for server, found in mine.items() for one in found)

    async def update_argocd_secrets(
        self, hub: Posture, *, namespace: str, name: str, server: str, ca_data: str, rotated_at: str
    ) -> tuple[ArgoCdSecret, ...]:
        assert hub.fqdn
        assert rotated_at
        self.asked.append(name)
        found = self.secrets.get((namespace, server), ())
        changed = tuple(replace(one, changed=self.held.get(one.name) != ca_data) for one in found)
        self.held |= dict.fromkeys((one.name for one in found), ca_data)
        return changed
