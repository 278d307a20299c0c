"""Keep the CA of each cluster as long as nobody can have replaced it.

Azure allows few requests for the kubeconfig that holds the CA: 60 at once and one each second for a subscription, which
many other requests share. A kept CA is used again in two cases, and read again in all others:

- ARM shows the ETag of the time before the CA was read. It changes with every write, and a rotation is a write.
- A TLS handshake shows a serving certificate that the key of the kept CA signed. A rotation replaces this key.
"""

from __future__ import annotations

from aks_entra.core.cluster import CertificateAuthority, ClusterId, Posture
from aks_entra.errors import AksEntraError
from aks_entra.ports.migration import Ports


class Authorities:
    """The CAs that one process has read. The vault holds them."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._seen: dict[str, tuple[str, str]] = {}  # by cluster: resourceUID and ETag when the CA was the kept one

    async def of(self, posture: Posture, *, serving: bool = False) -> CertificateAuthority:
        """Return the CA of a cluster whose posture was read just now. Errors as `certificate_authority`.

        `serving`: the ETag is not enough, and a TLS handshake must show the kept CA.
        """
        cluster = posture.cluster
        found = await self._kept(posture, serving=serving)
        if found is None:
            self.forget(cluster)
            found = await self._ports.arm.certificate_authority(cluster)
        if posture.at_rest:  # while a rotation runs, ARM may still show the CA from before
            self._seen[cluster.key] = (posture.uid, posture.etag or "")
        return found

    def forget(self, cluster: ClusterId) -> None:
        """Read the CA again the next time. Call it after a rotation."""
        self._seen.pop(cluster.key, None)

    async def _kept(self, posture: Posture, *, serving: bool) -> CertificateAuthority | None:
        """Return the kept CA, or None if it was never read or somebody may have replaced it."""
        cluster, vault = posture.cluster, self._ports.vault
        seen, kept = self._seen.get(cluster.key), vault.certificate_authority(cluster)
        if seen is None or kept is None or not posture.at_rest or seen[0] != posture.uid:
            return None
        if posture.etag and posture.etag == seen[1] and not serving:
            return kept
        return kept if posture.fqdn and vault.issued(cluster, await self._issuer_key(posture.fqdn)) else None

    async def _issuer_key(self, fqdn: str) -> str:
        """Return the key identifier of the CA that serves now. Empty if nobody answers."""
        try:
            return (await self._ports.kubernetes.handshake(fqdn)).issuer_key or ""
        except AksEntraError:
            return ""
