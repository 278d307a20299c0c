"""A ledger of every static credential that ARM handed out, which says whether the cluster accepts it now.

Azure has nothing like it; tests need to know the truth. The ledger asks the API server's own authentication.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from azure_sandbox.arm.state import ManagedCluster, State


@dataclass(frozen=True, slots=True, kw_only=True)
class HandedOut:
    """One kubeconfig with a static credential: for which cluster, under which CA, when, and by which request."""

    cluster: str  # resource id in lower case
    uid: str  # the cluster's resourceUID
    generation: int  # how often the cluster's CA had been replaced
    authority: str  # SHA-256 of the CA certificate
    at: dt.datetime
    through: str  # the action: listClusterAdminCredential, listClusterUserCredential or accessProfiles/listCredential
    certificate: bytes = field(repr=False)  # DER
    token: str = field(repr=False)

    def shown(self, state: State, now: dt.datetime) -> dict[str, Any]:
        """Return the entry as JSON: fingerprints in place of secrets, and whether each part is accepted now."""
        certificate, token = self.accepted(state, now)
        return {
            "cluster": self.cluster,
            "resourceUID": self.uid,
            "generation": self.generation,
            "ca": self.authority,
            "at": self.at.isoformat(),
            "through": self.through,
            "clientCertificate": {"sha256": sha256(self.certificate).hexdigest(), "accepted": certificate},
            "staticToken": {"sha256": sha256(self.token.encode()).hexdigest(), "accepted": token},
        }

    def accepted(self, state: State, now: dt.datetime) -> tuple[bool, bool]:
        """Return whether the cluster that now has this id accepts the certificate, and the token, each alone."""
        if found := state.clusters.get(self.cluster):
            found.server.settle()
        found = state.clusters.get(self.cluster)  # a deletion may have ended just now
        if found is None:
            return False, False
        guard = found.server.guard
        return (
            guard.who(None, self.certificate, now) is not None,
            guard.who(f"Bearer {self.token}", None, now) is not None,
        )


class Ledger:
    """All static credentials that were handed out, oldest first."""

    def __init__(self) -> None:
        self._entries: list[HandedOut] = []

    def restore(self, entries: list[HandedOut]) -> None:
        """Restore the entries of a stopped sandbox."""
        self._entries = entries

    def hand_out(self, cluster: ManagedCluster, at: dt.datetime, through: str) -> None:
        """Record that the static credential of the present CA was handed out by the action `through`."""
        generation = cluster.server.generation
        self._entries.append(
            HandedOut(
                cluster=cluster.id.lower(),
                uid=cluster.uid,
                generation=len(cluster.server.retired),
                authority=generation.authority.certificate.fingerprint(SHA256()).hex(),
                at=at,
                through=through,
                certificate=generation.admin.certificate.public_bytes(Encoding.DER),
                token=generation.token,
            )
        )

    def all(self) -> tuple[HandedOut, ...]:
        """Return every entry."""
        return tuple(self._entries)

    def shown(self, state: State, now: dt.datetime) -> dict[str, Any]:
        """Return all entries as JSON, without their secrets."""
        return {"handedOut": [one.shown(state, now) for one in self._entries]}
