"""Reads a fleet: what there is, and what a plan would do. Never writes.

The inventory costs one list per subscription and one look per admin group; more only when it is asked to go deeper.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeAlias, TypeVar

from aks_entra import proofs
from aks_entra.core.callers import AuditedCallers
from aks_entra.core.cluster import ClusterId, Depth, Identity, Posture
from aks_entra.core.debt import Debt, OldCredentials, Record, old_credentials
from aks_entra.core.fleet import AUDIT_DAYS, Fleet, Selector, WantedGroup, arrange
from aks_entra.core.groups import Drift
from aks_entra.core.plan import Change, ClusterPlan, FleetPlan, Prover, plan_cluster
from aks_entra.core.preflight import Facts, GroupFacts, Memberships, Skip, skip_refused
from aks_entra.core.steps import (
    DisableLocalAccounts,
    EnableLocalAccounts,
    RecordBaseline,
    RotateCertificates,
    Step,
    writes,
)
from aks_entra.core.target import AzureRbac, RotationPolicy, Target
from aks_entra.declared import drift_of
from aks_entra.errors import AksEntraError, Refused
from aks_entra.patience import persist
from aks_entra.ports import Caller, Ports
from aks_entra.surrounding_facts import around
from aks_entra.wanted import resolve_groups

_T = TypeVar("_T")

Progress: TypeAlias = Callable[[int, int, str], None]
"""Called with (done, total, what was just read)."""

_PATIENCE: Final = 300.0  # seconds: how long throttling is waited out for one read
_REACH: Final = 20.0  # seconds: how long an API server that does not answer is asked again
_NOT_FOUND: Final = 404
_SIDE_BY_SIDE: Final = 20
_SEE: Final = (
    "see what there is: `aks-entra inventory`; without Microsoft.ContainerService/managedClusters/read Azure lists none"
)
_MANAGED_CLUSTERS: Final = "Microsoft.ContainerService/managedClusters"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One cluster of an inventory."""

    posture: Posture
    old_credentials: OldCredentials
    groups: tuple[GroupFacts, ...] = ()  # of its admin groups: name, member count, deleted_on; members None: unreadable
    drifts: tuple[Drift, ...] = ()  # of those of its admin groups that a fleet file declares
    problem: str = ""  # why it could not be probed or read


async def inventory(
    ports: Ports,
    selectors: tuple[Selector, ...],
    *,
    probe: bool,
    read: bool,
    records: tuple[Record, ...],
    concurrency: int = 20,
    on_progress: Progress | None = None,
    declared: tuple[WantedGroup, ...] = (),
) -> tuple[Row, ...]:
    """What there is, sorted by id. One or two requests per subscription unless `probe` or `read`; groups once each.

    Groups that a fleet file declares (`create: true`) are compared with what is there. Raises Refused when a
    subscription, resource group or cluster that a selector names is not there.
    """
    survey = _Survey(ports, records, concurrency, on_progress)
    caller = await ports.callers.runner()
    postures = await survey.select(selectors)
    survey.drifts = await survey.declared(declared)
    return await survey.each(postures, lambda posture: survey.row(posture, caller, probe=probe, read=read))


async def plan_fleet(
    ports: Ports,
    fleet: Fleet,
    records: tuple[Record, ...],
    *,
    on_progress: Progress | None = None,
    concurrency: int = 20,
    callers: Mapping[str, AuditedCallers] | None = None,
) -> FleetPlan:
    """Read everything a plan rests on and decide. Raises Refused that names the fleet file's field.

    `callers`: what exported audit logs say, by the cluster's key or `resource-group/name`, or under "" where a log
    names no cluster and the fleet has only one. Those of other clusters are asked for in Log Analytics.
    """
    for skip in fleet.skip_rules:
        if why := skip_refused(skip):
            raise Refused(f"`skip_rules`: {why}", remedy="see docs/reference/preflight.md")
    survey = _Survey(ports, records, concurrency, on_progress)
    runner = await ports.callers.runner()
    caller = await ports.callers.prover()
    postures = await survey.select(fleet.selectors)
    if not postures:
        raise Refused(
            "`clusters`: no cluster is there, or none that this identity may read",
            remedy="name a subscription that has clusters; without Microsoft.ContainerService/managedClusters/read "
            "Azure lists none",
        )
    audited = _audited(callers or {}, postures)
    try:
        stages = arrange(fleet.stages, postures)
    except ValueError as error:
        raise Refused(f"`rollout`: {error}", remedy="see `rollout` in the fleet file") from error
    groups = await survey.patiently(
        lambda: resolve_groups(ports.directory, fleet.target.admin_groups, caller.object_id)
    )
    survey.drifts = {one.reference: await drift_of(ports, one) for one in groups if one.id and one.unique_name}
    target = Target(
        tenant_id="",
        admin_groups=groups,
        azure_rbac=fleet.target.azure_rbac,
        local_accounts=fleet.target.local_accounts,
        rotation=fleet.target.rotation,
    )
    now = proofs.stamp(ports.clock)
    asked = _Asked(
        tenant_id=fleet.target.tenant_id,
        prover=caller,
        runner=runner,
        now=now,
        skips=fleet.skip_rules,
        callers=audited,
        audit_days=fleet.audit_days,
    )
    plans = await survey.each(postures, lambda posture: survey.plan(posture, target, asked))
    if fleet.rotation:
        plans = tuple(replace(plan, rotation_planned=fleet.rotation.words) for plan in plans)
    spec = fleet.prover
    return FleetPlan(
        name=fleet.name,
        created_at=now,
        prover=Prover(
            object_id=caller.object_id,
            client_id=spec.client_id if spec else None,
            tenant_id=spec.tenant_id if spec else None,
            secret_from=spec.secret_from if spec else None,
        ),
        clusters=plans,
        stages=stages,
        skip_rules=fleet.skip_rules,
        ticket_required=fleet.ticket_required,
        rotation=fleet.rotation,
    )


async def plan_again(
    ports: Ports, plan: FleetPlan, changes: Mapping[ClusterId, tuple[str, ...]], records: tuple[Record, ...]
) -> FleetPlan:
    """The plan made anew for the clusters that changed, towards the same target; all others keep theirs.

    What exported audit logs said of their callers is not known any more; Log Analytics is asked.
    Raises the four errors.
    """
    plans = await _plans_anew(ports, plan, tuple(changes), records)
    found = tuple(Change(cluster=str(cluster), differences=differences) for cluster, differences in changes.items())
    return plan.planned_again(plans, found, at=proofs.stamp(ports.clock))


async def plan_rotations(
    ports: Ports, plan: FleetPlan, owing: tuple[ClusterId, ...], records: tuple[Record, ...]
) -> FleetPlan:
    """The second part of a plan: the rotations that it left owed. Raises the four errors."""
    plans = await _plans_anew(ports, plan, owing, records, rotation=RotationPolicy.AT_ONCE)
    return plan.rotations(plans, at=proofs.stamp(ports.clock))


async def _plans_anew(
    ports: Ports,
    plan: FleetPlan,
    clusters: tuple[ClusterId, ...],
    records: tuple[Record, ...],
    rotation: RotationPolicy | None = None,
) -> tuple[ClusterPlan, ...]:
    """Clusters of a plan as they are now, towards their targets; groups that were created meanwhile by their ids."""
    survey = _Survey(ports, records, _SIDE_BY_SIDE, None)
    runner, prover = await ports.callers.runner(), await ports.callers.prover()

    async def of(posture: Posture) -> ClusterPlan:
        before = plan.plan_for(posture.cluster)
        exists = await survey.patiently(lambda: proofs.existing_groups(ports, before))
        groups = tuple(replace(one, id=exists.get(one.reference, one.id)) for one in before.target.admin_groups)
        asked = _Asked(
            tenant_id=before.target.tenant_id,
            prover=prover,
            runner=runner,
            now=proofs.stamp(ports.clock),
            skips=plan.skip_rules,
            callers={},
            audit_days=AUDIT_DAYS,
        )
        wanted = replace(before.target, admin_groups=groups, rotation=rotation or before.target.rotation)
        planned = before.rotation_planned if rotation is None else ""
        return replace(await survey.plan(posture, wanted, asked), rotation_planned=planned)

    postures = await asyncio.gather(*(survey.patiently(functools.partial(ports.arm.cluster, one)) for one in clusters))
    return await survey.each(tuple(postures), of)


def _audited(callers: Mapping[str, AuditedCallers], postures: tuple[Posture, ...]) -> Mapping[str, AuditedCallers]:
    """The audit logs by cluster; one that names none belongs to the only cluster. Refused when that is not clear."""
    names = {name for posture in postures for name in (posture.cluster.key, str(posture.cluster).casefold())}
    unknown = sorted(name for name in callers if name and "/" in name and name not in names and name.count("/") == 1)
    if unknown:
        raise Refused(
            f"`--audit-log`: the fleet has no cluster {unknown[0]}", remedy="name it as `resource-group/name=FILE`"
        )
    if "" not in callers:
        return callers
    if len(postures) > 1:
        raise Refused(
            f"`--audit-log`: the log does not say which of the {len(postures)} clusters it is of",
            remedy="say so: `--audit-log resource-group/name=FILE`",
        )
    return {**callers, postures[0].cluster.key: callers[""]}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What is the same for every cluster of a plan."""

    tenant_id: str | None
    prover: Caller
    runner: Caller
    now: str
    skips: tuple[Skip, ...]
    callers: Mapping[str, AuditedCallers]
    audit_days: int


class _Survey:
    """One reading of a fleet, at most `concurrency` clusters at a time; what clusters share is read once."""

    def __init__(
        self, ports: Ports, records: tuple[Record, ...], concurrency: int, on_progress: Progress | None
    ) -> None:
        self._ports = ports
        self._records = records
        self._slots = asyncio.Semaphore(concurrency)
        self._on_progress = on_progress
        self._shared: dict[tuple[str, str], asyncio.Future[object]] = {}
        self.drifts: dict[str, Drift] = {}  # by object id: of the groups that the fleet file declares

    async def select(self, selectors: tuple[Selector, ...]) -> tuple[Posture, ...]:
        """The clusters that the selectors mean, each once, by id. One list per subscription, however many selectors.

        Where all of them name a resource group, those are listed: rights on a resource group are enough then.
        """
        ids = await asyncio.gather(*(self._subscription(at, one) for at, one in enumerate(selectors)))
        lists = await asyncio.gather(
            *(self._lists(at, selectors, ids, subscription_id) for at, subscription_id in enumerate(ids))
        )
        chosen: dict[str, Posture] = {}
        for at, (selector, there) in enumerate(zip(selectors, lists, strict=True)):
            matching = [posture for posture in there if selector.matches(posture)]
            if not matching and (selector.resource_group or selector.name or selector.tags):
                raise _nothing(at, selector, there)
            chosen |= {posture.cluster.key: posture for posture in matching}
        return tuple(chosen[key] for key in sorted(chosen))

    async def each(self, postures: tuple[Posture, ...], call: Callable[[Posture], Awaitable[_T]]) -> tuple[_T, ...]:
        """Do the same for every cluster, telling how far it is; results in the clusters' order."""
        done = 0

        async def one(posture: Posture) -> _T:
            nonlocal done
            async with self._slots:
                result = await call(posture)
            done += 1
            if self._on_progress is not None:
                self._on_progress(done, len(postures), str(posture.cluster))
            return result

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(posture)) for posture in postures]
        except ExceptionGroup as several:
            raise several.exceptions[0] from None  # the others were called off, or have the same cause
        return tuple(task.result() for task in tasks)

    async def row(self, posture: Posture, caller: Caller, *, probe: bool, read: bool) -> Row:
        """One line of the inventory. What a depth cannot know stays unknown."""
        problem = ""
        if probe and not posture.stopped:
            posture, problem = await self._probed(posture)
        if read and not posture.stopped:
            posture, trouble = await self._read(posture)
            problem = problem or trouble
        ids = posture.admin_group_ids if posture.identity is Identity.MANAGED else ()
        return Row(
            posture=posture,
            old_credentials=await self._debt(posture),
            groups=await self._groups(ids, caller.object_id),
            drifts=tuple(self.drifts[one.lower()] for one in ids if one.lower() in self.drifts),
            problem=problem,
        )

    async def declared(self, wanted: tuple[WantedGroup, ...]) -> dict[str, Drift]:
        """What a fleet file declares of groups that exist, beside what is there; a name that fails is no drift."""
        found: dict[str, Drift] = {}
        for group in wanted:
            if group.create:
                resolved = await self.known(functools.partial(resolve_groups, self._ports.directory, (group,), ""))
                there = [one for one in resolved or () if one.id and one.unique_name]
                found |= {one.reference: await drift_of(self._ports, one) for one in there}
        return found

    async def plan(self, posture: Posture, target: Target, asked: _Asked) -> ClusterPlan:
        """One cluster's plan. Decided twice: the first time shows which rights its steps need."""
        ports, cluster, caller = self._ports, posture.cluster, asked.prover
        subscription = cluster.subscription_id
        tenant = await self.once("tenant", subscription, lambda: ports.arm.tenant_of(subscription))
        target = replace(target, tenant_id=asked.tenant_id or tenant)
        unreachable = ""
        if not posture.stopped:
            posture, unreachable = await self._probed(posture)
            posture, _ = await self._read(posture)
        own = posture.admin_group_ids if posture.identity is Identity.MANAGED else ()
        wanted = tuple(group.id for group in target.admin_groups if group.id)
        facts = Facts(
            tenant_id=tenant,
            old_credentials=await self._debt(posture),
            groups=await self._groups((*own, *wanted), caller.object_id),
            drifts=tuple(self.drifts.values()),
            prover=caller.name or caller.object_id,
            prover_is_cluster_admin=await self._by_role(posture, target, caller.object_id),
            unreachable=unreachable,
            now=asked.now,
            directory_tenant=asked.runner.tenant_id,
            memberships=await self.known(lambda: self._memberships(caller.object_id)),
            callers=asked.callers.get(cluster.key) or asked.callers.get(str(cluster).casefold()),
        )
        steps = plan_cluster(posture, target, facts).steps
        if steps and not posture.stopped:
            missing = await self.known(lambda: ports.arm.missing_permissions(cluster, needed_actions(steps)))
            facts = replace(facts, missing_permissions=missing)
            facts = await around(ports, self, posture, steps, facts, audit_days=asked.audit_days)
        return plan_cluster(posture, target, facts, asked.skips)

    async def patiently(self, call: Callable[[], Awaitable[_T]]) -> _T:
        """A read, throttling waited out."""
        return await persist(self._ports.clock, _PATIENCE, call)

    async def _subscription(self, at: int, selector: Selector) -> str:
        name = selector.subscription
        try:
            return await self.once("subscription", name, lambda: self._ports.arm.subscription_id(name))
        except Refused as error:
            if not error.message.startswith("`clusters"):
                error.message = f"`clusters[{at}].subscription`: {error.message}"
            raise

    async def _lists(
        self, at: int, selectors: tuple[Selector, ...], ids: list[str], subscription_id: str
    ) -> tuple[Posture, ...]:
        """What there is where one selector looks."""
        siblings = [one for one, other in zip(selectors, ids, strict=True) if other == subscription_id]
        group = selectors[at].resource_group if all(one.resource_group for one in siblings) else None

        async def pages() -> tuple[Posture, ...]:
            return tuple([posture async for posture in self._ports.arm.list_clusters(subscription_id, group)])

        try:
            return await self.once("clusters", f"{subscription_id}/{group or ''}", pages)
        except Refused as error:
            if group is not None and error.status == _NOT_FOUND:
                raise _nothing(at, selectors[at], ()) from error
            raise

    async def _probed(self, posture: Posture) -> tuple[Posture, str]:
        """A TLS handshake: what it shows, or why there was none."""
        if posture.fqdn is None:
            return posture, "it has no address yet"
        fqdn = posture.fqdn
        try:
            serving = await persist(self._ports.clock, _REACH, lambda: self._ports.kubernetes.handshake(fqdn))
        except AksEntraError as error:
            return posture, error.message
        return replace(posture, serving=serving, depth=Depth.PROBED), ""

    async def _read(self, posture: Posture) -> tuple[Posture, str]:
        """The CA: what it is, or why it could not be read."""
        try:
            ca = await self.patiently(lambda: self._ports.arm.certificate_authority(posture.cluster))
        except AksEntraError as error:
            return posture, error.message
        return posture.with_ca(ca), ""

    async def _debt(self, posture: Posture) -> OldCredentials:
        """What our own records say; where they say "dead", the activity log may contradict."""
        found = old_credentials(posture, self._records)
        if found.debt is not Debt.NONE:
            return found
        handed_out = await self.known(lambda: self._ports.arm.handed_out(posture.cluster))
        return old_credentials(posture, (*self._records, *(handed_out or ())))

    async def _by_role(self, posture: Posture, target: Target, prover: str) -> bool | None:
        """Asked only where role assignments will count."""
        kept = target.azure_rbac is AzureRbac.KEEP and posture.azure_rbac
        if not kept and target.azure_rbac is not AzureRbac.ON:
            return False
        return await self.known(lambda: self._ports.arm.is_cluster_admin(posture.cluster, prover))

    async def _groups(self, ids: Iterable[str], prover: str) -> tuple[GroupFacts, ...]:
        """Each group once for the whole fleet; one that cannot be read is unknown."""
        wanted = tuple(dict.fromkeys(group_id.lower() for group_id in ids))
        return tuple(await asyncio.gather(*(self._group(group_id, prover) for group_id in wanted)))

    async def _group(self, group_id: str, prover: str) -> GroupFacts:
        facts = await self.known(
            lambda: self.once("group", group_id, lambda: self._ports.directory.group(group_id, prover=prover))
        )
        return facts or GroupFacts(id=group_id)

    async def _memberships(self, principal_id: str) -> Memberships | None:
        return await self.once("memberships", principal_id, lambda: self._ports.directory.memberships(principal_id))

    async def known(self, call: Callable[[], Awaitable[_T | None]]) -> _T | None:
        """A fact, or None: could not be read, which preflight shows as unknown."""
        try:
            return await self.patiently(call)
        except AksEntraError:
            return None

    async def once(self, kind: str, name: str, call: Callable[[], Awaitable[_T]]) -> _T:
        """What several clusters share is asked for once, also when they ask at the same time."""
        key = (kind, name.casefold())
        if key not in self._shared:
            self._shared[key] = asyncio.ensure_future(self.patiently(call))
        return await self._shared[key]  # type: ignore[return-value]  # one kind has one type of answer


def needed_actions(steps: tuple[Step, ...]) -> tuple[str, ...]:
    """The ARM actions that the runner needs for a plan's steps, and to reopen local accounts."""
    actions = ["read", "listClusterUserCredential/action"]
    if any(writes(step) and not isinstance(step, RotateCertificates) for step in steps):
        actions.append("write")
    asks = DisableLocalAccounts | RecordBaseline | RotateCertificates | EnableLocalAccounts
    if any(isinstance(step, asks) for step in steps):
        actions += ["write", "listClusterAdminCredential/action"]
    if any(isinstance(step, RotateCertificates) for step in steps):
        actions.append("rotateClusterCertificates/action")
    return tuple(f"{_MANAGED_CLUSTERS}/{action}" for action in dict.fromkeys(actions))


def _nothing(at: int, selector: Selector, there: tuple[Posture, ...]) -> Refused:
    """Which of the selector's words is the one that matches nothing."""
    steps = (
        ("resource_group", replace(selector, name=None, tags=()), selector.resource_group),
        ("name", replace(selector, tags=()), selector.name),
    )
    for field, looser, value in steps:
        if value is not None and not any(looser.matches(posture) for posture in there):
            return Refused(
                f"`clusters[{at}].{field}`: no cluster matches {value!r} in subscription {selector.subscription}",
                remedy=_SEE,
            )
    wanted = ", ".join(f"{name}={value}" for name, value in selector.tags)
    return Refused(
        f"`clusters[{at}].tags`: no cluster in subscription {selector.subscription} has {wanted}",
        remedy=_SEE,
    )
