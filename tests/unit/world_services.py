"""The world in memory behind the ports that are not ARM: directory, API servers, journal, callers, surroundings."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from aks_entra.core.cluster import ClusterId, Identity, Posture, ServingCertificate
from aks_entra.core.evidence import Baseline, Credential, Node, Workload
from aks_entra.core.groups import GroupContents, Holder
from aks_entra.core.preflight import GroupFacts, Home, Inside, Memberships, Tools
from aks_entra.core.target import GroupTarget
from aks_entra.errors import Refused, TryLater
from aks_entra.ports import Caller, SignedIn
from tests.unit.world_model import (
    FAR,
    NOBODY,
    PROVER,
    TENANT,
    Cluster,
    Group,
)

if TYPE_CHECKING:
    from tests.unit.ports_world import World, WorldVault


class WorldDirectory:
    def __init__(self, world: World) -> None:
        self._world = world

    async def group(self, group_id: str, *, prover: str) -> GroupFacts:
        with self._world.call("directory.group"):
            group = self._world.groups.get(group_id.lower())
            if group is None:
                return GroupFacts(id=group_id, exists=False)
            return GroupFacts(
                id=group.id,
                display_name=group.name,
                security_enabled=group.security,
                deleted_on=group.deleted_on,
                members=len(group.members),
                people=len(group.members - {PROVER}),
                guests=0,
                eligible=0,
                prover_is_member=prover in group.members,
            )

    async def contents(self, group_id: str) -> GroupContents:
        with self._world.call("directory.contents"):
            group = self._world.groups.get(group_id.lower())
            if group is None:
                return GroupContents(id=group_id, exists=False)
            return GroupContents(
                id=group.id,
                display_name=group.name,
                security_enabled=group.security,
                deleted_on=group.deleted_on or "",
                owners=(),
                members=tuple(Holder(id=one) for one in sorted(group.members)),
            )

    async def memberships(self, principal_id: str) -> Memberships | None:
        with self._world.call("directory.memberships"):
            assert principal_id == PROVER
            return self._world.memberships

    async def groups_named(self, display_name: str) -> tuple[str, ...]:
        with self._world.call("directory.groups_named"):
            return tuple(
                group.id
                for group in self._world.groups.values()
                if group.name == display_name and group.deleted_on is None
            )

    async def group_with_unique_name(self, unique_name: str) -> str | None:
        with self._world.call("directory.group_with_unique_name"):
            found = (group.id for group in self._world.groups.values() if group.unique_name == unique_name)
            return next(found, None)

    async def user_id(self, name: str) -> str:
        with self._world.call("directory.user_id"):
            if name not in self._world.users:
                raise Refused(f"nobody is called {name}", status=404)
            return self._world.users[name]

    async def ensure_group(self, target: GroupTarget, first_member: str) -> tuple[str, bool, str]:
        with self._world.call("directory.ensure_group"):
            for group in self._world.groups.values():
                if group.unique_name == target.unique_name:
                    return group.id, False, "r-0"
            digest = hashlib.sha256(str(target.unique_name).encode()).hexdigest()
            group_id = f"{digest[:8]}-{digest[8:12]}-{digest[12:16]}-{digest[16:20]}-{digest[20:32]}"
            self._world.groups[group_id] = Group(
                id=group_id,
                name=target.display_name,
                unique_name=target.unique_name,
                members={first_member, *target.members},
            )
            self._world.writes.append(f"group {target.unique_name}")
            return group_id, True, "r-1"


class WorldKubernetes:
    def __init__(self, world: World, vault: WorldVault) -> None:
        self._world = world
        self._vault = vault

    async def handshake(self, fqdn: str) -> ServingCertificate:
        with self._world.call("kubernetes.handshake"):
            cluster = next(one for one in self._world.clusters.values() if one.fqdn == fqdn)
            if not cluster.reachable:
                raise TryLater("nobody answers", after=10)
            return ServingCertificate(issuer="CN=ca", issuer_key=None, not_before=cluster.ca.not_before, not_after=FAR)

    async def sign_in(self, posture: Posture, *, fresh: bool) -> SignedIn:
        with self._world.call("kubernetes.sign_in"):
            assert fresh
            cluster = self._up(posture)
            if cluster.identity is not Identity.MANAGED or self._world.now() < cluster.knows_tokens_at:
                raise TryLater("the API server refuses the token", code="Unauthorized", status=NOBODY)
            groups = tuple(group.id for group in self._world.groups.values() if PROVER in group.members)
            admin = bool({one.lower() for one in cluster.groups} & set(groups))
            everything = admin or cluster.binding or (cluster.azure_rbac and PROVER in cluster.roles)
            everything = everything and not cluster.limited
            return SignedIn(username=PROVER, groups=(*groups, "system:authenticated"), everything=everything)

    async def nodes(self, posture: Posture) -> tuple[Node, ...]:
        with self._world.call("kubernetes.nodes"):
            cluster = self._up(posture)
            ready = self._settled(cluster)
            return tuple(
                Node(name=f"aks-{pool.name}-{number}", pool=pool.name, ready=ready or number > 0)
                for pool in cluster.pools
                for number in range(pool.bounds[0] + cluster.extra_nodes)
            )

    async def workloads(self, posture: Posture) -> tuple[Workload, ...]:
        with self._world.call("kubernetes.workloads"):
            cluster = self._up(posture)
            return tuple(
                Workload(
                    kind="Deployment",
                    namespace="pay",
                    name=name,
                    desired=desired,
                    available=available if self._settled(cluster) else 0,
                )
                for name, (desired, available) in cluster.workloads.items()
            )

    async def inside(self, posture: Posture) -> Inside:
        with self._world.call("kubernetes.inside"):
            cluster = self._up(posture)
            if self._world.now() < cluster.knows_tokens_at:
                raise TryLater("the API server refuses the token", code="Unauthorized", status=NOBODY)
            return cluster.inside

    async def try_credential(self, posture: Posture, credential: Credential) -> int | None:
        with self._world.call("kubernetes.try_credential"):
            cluster = self._up(posture)
            generation = self._vault.held.get(cluster.id.key)
            if generation is None or self._world.now() < cluster.silent_until:
                return None
            lives_on = cluster.token_outlives and credential is Credential.STATIC_TOKEN
            return 200 if generation == cluster.generation or lives_on else NOBODY

    def _up(self, posture: Posture) -> Cluster:
        cluster = self._world.find(posture.cluster)
        down = not cluster.reachable or self._world.now() < cluster.down_until
        if down or cluster.state == "RotatingClusterCertificates":
            raise TryLater("the API server does not answer", after=10)
        return cluster

    def _settled(self, cluster: Cluster) -> bool:
        return self._world.now() >= cluster.settled_at and not (cluster.never_settles and cluster.generation > 0)


class WorldJournal:
    def __init__(self, world: World) -> None:
        self._world = world

    async def baseline(self, digest: str, cluster: ClusterId) -> Baseline | None:
        with self._world.call("journal.baseline"):
            return self._world.baselines.get((digest, cluster.key))

    async def store_baseline(self, digest: str, baseline: Baseline) -> None:
        with self._world.call("journal.store_baseline"):
            self._world.baselines[digest, baseline.cluster] = baseline


class WorldCallers:
    def __init__(self, world: World) -> None:
        self._world = world

    async def runner(self) -> Caller:
        with self._world.call("callers.runner"):
            return Caller(object_id=PROVER, tenant_id=TENANT, name="deploy-sp")

    async def prover(self) -> Caller:
        with self._world.call("callers.prover"):
            return Caller(object_id=PROVER, tenant_id=TENANT, name="deploy-sp")


class WorldSurroundings:
    def __init__(self, world: World) -> None:
        self._world = world

    async def home(self) -> Home:
        with self._world.call("surroundings.home"):
            return self._world.home

    async def tools(self) -> Tools | None:
        with self._world.call("surroundings.tools"):
            return Tools(kubectl="1.34.1", kubelogin="0.2.19")

    async def addresses(self, host: str) -> tuple[str, ...]:
        with self._world.call("surroundings.addresses"):
            assert host
            return ("20.1.2.3",)
