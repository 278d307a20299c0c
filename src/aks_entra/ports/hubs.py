"""The secrets of hubs: clusters in which Argo CD or Flux reach other clusters. Contents never cross the port."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class FluxSecret:
    """A Secret with a kubeconfig of Flux, without its content. Flux uses the current context, which is for `server`.

    `changed`: it held another CA. `problem` says why Flux will not sign in with it; empty: nothing is known against it.
    """

    server: str
    changed: bool = False
    problem: str = ""


class Hubs(Protocol):
    """Secrets of Argo CD and Flux in a hub, as the prover sees them. Every call raises the four errors."""

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

    async def flux_secret(self, hub: Posture, *, namespace: str, name: str, key: str) -> FluxSecret | None:
        """Return Flux's Secret as it is before a rotation. None: the namespace has no such Secret.

        `key` empty: `value`, or else `value.yaml`. `problem` says which of its credentials the rotation will end.
        Refused if the Secret holds no kubeconfig there.
        """

    async def update_flux_secret(
        self, hub: Posture, *, namespace: str, name: str, key: str, server: str, ca_data: str, rotated_at: str
    ) -> FluxSecret | None:
        """Write a CA (PEM in base64) into Flux's Secret for a server (URL), and nothing else. None: no such Secret.

        Refused if its current context is for another server, or if a Kustomization writes it from its source.
        Otherwise as `update_argocd_secrets`.
        """
