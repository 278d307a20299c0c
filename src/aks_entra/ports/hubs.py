"""The secrets of hubs: clusters whose programs reach other clusters, such as Argo CD. Contents never cross the port."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from aks_entra.core.cluster import Posture


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedSecret:
    """The name of a cluster secret of Argo CD, and the URL of the API server that it is for."""

    name: str
    server: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ArgoCdSecret:
    """A cluster secret of Argo CD, without its content.

    `changed`: it held another CA. `stale` names a credential in it that the rotation ended; empty: none is known.
    """

    name: str
    changed: bool
    stale: str = ""


class Hubs(Protocol):
    """Cluster secrets of Argo CD in a hub, as the prover sees them. Every call raises the four errors."""

    async def argocd_secrets(self, hub: Posture, *, namespace: str) -> tuple[ListedSecret, ...]:
        """Return all cluster secrets of Argo CD in a namespace. Empty if there is none."""

    async def update_argocd_secrets(
        self, hub: Posture, *, namespace: str, name: str, server: str, ca_data: str, rotated_at: str
    ) -> tuple[ArgoCdSecret, ...]:
        """Write a CA (PEM in base64) into the secrets for a server (URL), and nothing else. Returns them; may be empty.

        `name` empty: every cluster secret for the server. `rotated_at`: the end of the rotation (ISO 8601); a bearer
        token that was issued later is not stale.

        Refused, with the secret's name, if it is for another server or cannot be read. TryLater if somebody wrote it
        meanwhile.
        """
