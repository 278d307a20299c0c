"""Records every static credential that the world in memory handed out, and decides whether it still works.

`accepts` is the only rule. The API server of the world calls it for a request, and the ledger calls it when a test asks
for the truth. The activity log shows a part of the ledger: entries that have arrived and are not too old.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from aks_entra.core.cluster import CertificateAuthority
from aks_entra.core.evidence.observations import Credential, HandedOut
from aks_entra.errors import Refused
from tests.support.memory_model import Cluster, authority_of

CLIENT_LIVES = timedelta(days=2 * 365)
NEVER = datetime(2054, 5, 11, tzinfo=UTC)
_PLAIN = "generation "


@dataclass(frozen=True, slots=True, kw_only=True)
class Static:
    """The credentials in an admin kubeconfig: a client certificate and a static token, of one CA of one cluster."""

    cluster: str  # ClusterId.key
    uid: str
    generation: int  # of the CA that is in the kubeconfig
    authority: CertificateAuthority
    until: datetime  # the client certificate's end
    genuine: bool = True  # False: another CA signed the certificate, and the token never worked

    @classmethod
    def of(cls, cluster: Cluster, generation: int, *, until: datetime = NEVER, genuine: bool = True) -> Static:
        """Return the credential that Azure handed out while the cluster had this generation of its CA."""
        return cls(
            cluster=cluster.id.key,
            uid=cluster.uid,
            generation=generation,
            authority=authority_of(cluster, generation),
            until=until,
            genuine=genuine,
        )

    @classmethod
    def read(cls, cluster: Cluster, kubeconfig: str) -> Static:
        """Return the credential in a kubeconfig: `generation 0` of this cluster, or the text of another credential."""
        if kubeconfig.startswith(_PLAIN):
            return cls.of(cluster, int(kubeconfig.removeprefix(_PLAIN)))
        try:
            said = json.loads(kubeconfig)
        except ValueError:
            raise Refused("the kubeconfig carries no static credential") from None
        authority = CertificateAuthority(**said.pop("authority"))
        return cls(**{**said, "until": datetime.fromisoformat(said["until"]), "authority": authority})

    @property
    def text(self) -> str:
        """Return the kubeconfig."""
        authority = {"fingerprint": self.authority.fingerprint, "not_before": self.authority.not_before}
        said = {"cluster": self.cluster, "uid": self.uid, "generation": self.generation, "genuine": self.genuine}
        return json.dumps({**said, "until": self.until.isoformat(), "authority": authority})


def accepts(cluster: Cluster, static: Static, credential: Credential, now: datetime, *, stale: bool = False) -> bool:
    """Whether the cluster's API server accepts this credential alone.

    `stale` asks an instance of the API server that still has the keys from before the last rotation.
    """
    if not static.genuine or (static.cluster, static.uid) != (cluster.id.key, cluster.uid):
        return False
    if credential is Credential.STATIC_TOKEN and cluster.token_outlives:
        return True
    in_date = credential is Credential.STATIC_TOKEN or now <= static.until
    serving = {cluster.generation, cluster.generation - stale}
    return in_date and static.generation in serving


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A credential that Azure handed out, with the time and the receiver."""

    static: Static
    at: datetime
    to: str


@dataclass(slots=True)
class Ledger:
    """All static credentials that were handed out."""

    entries: list[Entry] = field(default_factory=list)

    def hand_out(self, cluster: Cluster, now: datetime, to: str) -> Static:
        """Hand out the credential of the present CA."""
        static = Static.of(cluster, cluster.generation, until=now + CLIENT_LIVES)
        self.entries.append(Entry(static=static, at=now, to=to))
        return static

    def live(self, cluster: Cluster, now: datetime) -> tuple[Entry, ...]:
        """Return the credentials that at least one instance of the cluster's API server accepts now."""
        stale = bool(cluster.stale_every)
        return tuple(
            one
            for one in self.entries
            if any(accepts(cluster, one.static, kind, now, stale=stale) for kind in Credential)
        )

    def told(self, cluster: Cluster) -> tuple[HandedOut, ...]:
        """Return all credentials as entries of the activity log, which knows only the cluster's name."""
        mine = (one for one in self.entries if one.static.cluster == cluster.id.key)
        return tuple(HandedOut(at=one.at.isoformat(), to=one.to) for one in mine)
