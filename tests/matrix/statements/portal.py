"""Somebody else in the portal, who opens, fetches credentials, closes, rotates and recreates the cluster."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count

from aks_entra.core.cluster import Identity
from tests.support.memory_model import ADMINS, ROTATION, SETTLING, TENANT, UPDATE, Cluster
from tests.support.memory_ports import World

DEEDS = ("opens", "fetches", "closes", "rotates", "makes anew, closed", "makes anew, open")
VISIT = ("opens", "fetches", "waits", "closes", "waits")
"""Opening, fetching and closing during one of our calls."""


@dataclass(slots=True)
class Portal:
    """A person with every right in Azure, who does not know of aks-entra."""

    world: World
    key: str
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    @property
    def _cluster(self) -> Cluster:
        return self.world.clusters[self.key]

    def do_all(self, deeds: tuple[str, ...]) -> None:
        """Do one thing after another without waiting. Azure refuses a write during an operation."""
        for deed in deeds:
            self.do(deed)

    def do(self, deed: str) -> bool:
        """Do one thing. Returns False if Azure refuses it."""
        cluster, now = self._cluster, self.world.now()
        if deed == "waits":
            self.world.clock.jump(UPDATE + 1)
            self.world.settle()
            return True
        if deed == "fetches":
            if not cluster.local_accounts and now >= cluster.refuses_at:
                return False
            self.world.ledger.hand_out(cluster, now, "eve")
            return True
        if cluster.work is not None:
            return False
        match deed:
            case "opens":
                cluster.local_accounts = True
                self.world.start(cluster, "Updating", UPDATE)
            case "closes":
                if cluster.identity is not Identity.MANAGED:
                    return False
                if cluster.local_accounts:
                    cluster.local_accounts = False
                    cluster.refuses_at = max(cluster.refuses_at, now + timedelta(seconds=UPDATE))
                self.world.start(cluster, "Updating", UPDATE)
            case "rotates":
                cluster.rotations += 1
                self.world.start(cluster, "RotatingClusterCertificates", ROTATION)
            case _:
                self._anew(closed=deed.endswith("closed"))
        return True

    def _anew(self, *, closed: bool) -> None:
        """Delete the cluster, and create one with the same name."""
        before, now = self._cluster, self.world.now()
        made = Cluster(
            id=before.id,
            identity=Identity.MANAGED,
            tenant_id=TENANT,
            groups=(ADMINS,),
            local_accounts=not closed,
            ca_since=now - self.world.backdated,
            uid=f"{before.uid.split('/')[0]}/{next(self.numbers)}",
            fqdn=before.fqdn,
            settled_at=now + timedelta(seconds=SETTLING),
        )
        self.world.clusters[self.key] = made
