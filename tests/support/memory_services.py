"""The world in memory behind the ports that are not ARM: directory, API servers, vault and others."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from aks_entra.core.access.principals import Principal, PrincipalKind
from aks_entra.core.cluster import CertificateAuthority, ClusterId, Identity, Posture, ServingCertificate
from aks_entra.core.doctor import Reach, Tool
from aks_entra.core.evidence.lasting import lasting
from aks_entra.core.evidence.observations import Baseline, Credential, Evidence, Node, Workload
from aks_entra.core.evidence.rotation_debt import Record
from aks_entra.core.group_drift import GroupContents, Holder
from aks_entra.core.planning.plan import ClusterPlan
from aks_entra.core.preflight import GroupFacts, Home, Inside, Memberships
from aks_entra.core.rollout.owners import Owner
from aks_entra.core.target import GroupTarget
from aks_entra.errors import Refused, TryLater
from aks_entra.ports.migration import Caller, HeldCredential, SignedIn
from tests.support.memory_credentials import Static, accepts
from tests.support.memory_model import FAR, NOBODY, PROVER, TENANT, Cluster, Group

if TYPE_CHECKING:
    from tests.support.memory_ports import World


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

    async def is_member(self, group_id: str, principal_id: str) -> bool | None:
        with self._world.call("directory.is_member"):
            if not self._world.says_members:
                return None
            group = self._world.groups.get(group_id.lower())
            return group is not None and principal_id in group.members

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
                owners=tuple(Holder(id=one) for one in sorted(group.owners)),
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
                raise Refused(f"no user has the name {name}", status=404)
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
                owners={PROVER, *target.owners},
            )
            self._world.writes.append(f"group {target.unique_name}")
            return group_id, True, "r-1"

    async def principal(self, name: str) -> Principal:
        with self._world.call("directory.principal"):
            found = next((one for one in self._principals().values() if name in {one.id, one.name}), None)
            if found is None:
                raise Refused(f"no user has the name {name}", status=404)
            return found

    async def principals(self, ids: tuple[str, ...]) -> Mapping[str, Principal]:
        with self._world.call("directory.principals"):
            return {one: found for one, found in self._principals().items() if one in {each.lower() for each in ids}}

    async def users_named(self, names: tuple[str, ...]) -> Mapping[str, Principal]:
        with self._world.call("directory.users_named"):
            wanted = {one.lower() for one in names}
            return {one.name.lower(): one for one in self._principals().values() if one.name.lower() in wanted}

    async def groups_of(self, principal_id: str) -> frozenset[str]:
        with self._world.call("directory.groups_of"):
            return self._groups_of(principal_id)

    async def direct_groups_of(self, principal_id: str) -> frozenset[str]:
        with self._world.call("directory.direct_groups_of"):
            return self._groups_of(principal_id)

    async def members_of(self, group_id: str) -> tuple[Principal, ...]:
        with self._world.call("directory.members_of"):
            known = self._principals()
            return tuple(known[one] for one in sorted(self._world.groups[group_id.lower()].members))

    def _groups_of(self, principal_id: str) -> frozenset[str]:
        return frozenset(one.id for one in self._world.groups.values() if principal_id in one.members)

    def _principals(self) -> dict[str, Principal]:
        names = {object_id: name for name, object_id in self._world.users.items()}
        found: dict[str, Principal] = {}
        for group in self._world.groups.values():
            for one in group.members:
                kind: PrincipalKind = "ServicePrincipal" if one == PROVER else "User"
                found[one] = Principal(id=one, kind=kind, name=names.get(one, one))
        groups = {
            one.id.lower(): Principal(id=one.id, kind="Group", name=one.name) for one in self._world.groups.values()
        }
        return found | groups


class WorldKubernetes:
    def __init__(self, world: World, vault: WorldVault) -> None:
        self._world = world
        self._vault = vault
        self._token: tuple[datetime, tuple[str, ...]] | None = None  # when it was asked for, and the groups in it

    async def handshake(self, fqdn: str) -> ServingCertificate:
        with self._world.call("kubernetes.handshake"):
            cluster = next(one for one in self._world.clusters.values() if one.fqdn == fqdn)
            if not cluster.reachable:
                raise TryLater("nobody answers", after=10)
            ca = cluster.ca
            return ServingCertificate(
                issuer="CN=ca", issuer_key=ca.fingerprint, not_before=ca.not_before, not_after=FAR
            )

    async def sign_in(self, posture: Posture, *, since: datetime | None) -> SignedIn:
        with self._world.call("kubernetes.sign_in"):
            assert since is not None
            if self._token is None or self._token[0] < since:
                groups = self._world.token_groups or tuple(
                    group.id for group in self._world.groups.values() if PROVER in group.members
                )
                self._token = (self._world.now(), groups)
            asked, groups = self._token
            cluster = self._up(posture)
            if cluster.identity is not Identity.MANAGED or self._world.now() < cluster.knows_tokens_at:
                raise TryLater("the API server refuses the token", code="Unauthorized", status=NOBODY)
            admin = bool({one.lower() for one in cluster.groups} & set(groups))
            everything = admin or cluster.binding or (cluster.azure_rbac and PROVER in cluster.roles)
            everything = everything and not cluster.limited
            return SignedIn(
                username=PROVER,
                groups=(*groups, "system:authenticated"),
                everything=everything,
                issued_at=(self._world.token_from or asked).isoformat(),
            )

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

    async def inside(self, posture: Posture, *, as_admin: bool = False) -> Inside:
        with self._world.call("kubernetes.inside as admin" if as_admin else "kubernetes.inside"):
            cluster = self._up(posture)
            if as_admin:
                held = self._vault.held[cluster.id.key]
                assert accepts(cluster, held, Credential.STATIC_TOKEN, self._world.now(), stale=False)
            elif self._world.now() < cluster.knows_tokens_at:
                raise TryLater("the API server refuses the token", code="Unauthorized", status=NOBODY)
            return cluster.inside

    async def namespace_owner(self, posture: Posture, namespace: str) -> Owner | None:
        with self._world.call("kubernetes.namespace_owner"):
            known = self._up(posture).namespace_owners
            if namespace not in known:
                raise Refused("namespaces is forbidden", status=403)
            return known[namespace]

    async def try_credential(self, posture: Posture, credential: Credential) -> int | None:
        with self._world.call("kubernetes.try_credential"):
            cluster = self._up(posture)
            held = self._vault.held.get(cluster.id.key)
            if held is None or self._world.now() < cluster.silent_until:
                return None
            cluster.turns += 1
            stale = bool(cluster.stale_every) and cluster.turns % cluster.stale_every == 0
            return 200 if accepts(cluster, held, credential, self._world.now(), stale=stale) else NOBODY

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

    async def evidence(self, digest: str, plan: ClusterPlan) -> tuple[Evidence, ...]:
        with self._world.call("journal.evidence"):
            kinds = dict.fromkeys(step.kind for step in plan.steps)
            kept = (self._world.evidence.get((digest, plan.cluster.key, kind), ()) for kind in kinds)
            return tuple(one for seen in kept for one in lasting(seen))

    async def store_evidence(self, digest: str, cluster: ClusterId, step: str, evidence: tuple[Evidence, ...]) -> None:
        with self._world.call("journal.store_evidence"):
            self._world.evidence[digest, cluster.key, step] = evidence

    async def records(self, cluster: ClusterId) -> tuple[Record, ...]:
        with self._world.call("journal.records"):
            return tuple(one for one in self._world.records if one.cluster in {"", cluster.key})


class WorldCallers:
    def __init__(self, world: World) -> None:
        self._world = world

    async def runner(self) -> Caller:
        with self._world.call("callers.runner"):
            return Caller(object_id=PROVER, tenant_id=TENANT, name="deploy-sp")

    async def prover(self) -> Caller:
        with self._world.call("callers.prover"):
            return Caller(object_id=PROVER, tenant_id=TENANT, name="deploy-sp")


class WorldHost:
    def __init__(self, world: World) -> None:
        self._world = world

    async def home(self) -> Home:
        with self._world.call("host.home"):
            return self._world.home

    async def tools(self, *names: str) -> tuple[Tool, ...]:
        with self._world.call("host.tools"):
            return tuple(self._world.tools[name] for name in names)

    async def addresses(self, host: str) -> tuple[str, ...]:
        with self._world.call("host.addresses"):
            assert host
            return ("20.1.2.3",)

    async def reach(self, now: datetime) -> tuple[Reach, ...]:
        with self._world.call("host.reach"):
            skew = (self._world.now() - now).total_seconds()
            return (Reach(host="management.azure.com", skew=skew),)


class WorldVault:
    """Credentials are what they were issued under: cluster and generation of the CA."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.held: dict[str, Static] = {}
        self.read: dict[str, CertificateAuthority] = {}  # by cluster: the CA that was read last

    def trust(self, cluster: Cluster) -> CertificateAuthority:
        self.read[cluster.id.key] = cluster.ca
        return cluster.ca

    def certificate_authority(self, cluster: ClusterId) -> CertificateAuthority | None:
        return self.read.get(cluster.key)

    def issued(self, cluster: ClusterId, issuer_key: str) -> bool:
        return cluster.key in self.read and self.read[cluster.key].fingerprint == issuer_key

    def signed(self, cluster: ClusterId, certificate: str) -> bool:
        return self.authority(cluster) == certificate

    def holds(self, cluster: ClusterId) -> bool:
        return cluster.key in self.held

    def forget(self, cluster: ClusterId) -> None:
        self.held.pop(cluster.key, None)

    def authority(self, cluster: ClusterId) -> str | None:
        return f"CA of generation {self._world.find(cluster).generation}"

    def hand_in(self, cluster: ClusterId, kubeconfig: str) -> HeldCredential:
        return self.hold(cluster, Static.read(self._world.find(cluster), kubeconfig))

    def hold(self, cluster: ClusterId, static: Static) -> HeldCredential:
        self.held[cluster.key] = static
        signed = static.genuine and self._world.now() <= static.until
        return HeldCredential(
            cluster=cluster,
            has_certificate=True,
            has_static_token=True,
            ca=static.authority,
            signed=signed,
            salt="5a" * 16,
            token_hash=static.authority.fingerprint,
        )
