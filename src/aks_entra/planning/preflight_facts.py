"""Read the facts that preflight needs about a cluster, with as few requests as its steps need.

What several clusters share (a region's versions, a subnet, this machine) is read once for the fleet. A fact that cannot
be read is None; reading goes on.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from typing import Final

from aks_entra.core.cluster import ClusterId, LinkedRight, Posture
from aks_entra.core.deny_policy import ASSIGN
from aks_entra.core.doctor import Tool, version_in
from aks_entra.core.maintenance_windows import MaintenanceWindow
from aks_entra.core.planning.fleet import ReadAs
from aks_entra.core.preflight import ConditionalAccessPolicy, Denial, Facts, Home, Quota, Subnet, Tools, Writer
from aks_entra.core.preflight.audit_callers import AuditedCallers
from aks_entra.core.rollout.own_calls import OwnCall, without_own
from aks_entra.core.steps import AssignDenyPolicy, DisableLocalAccounts, RotateCertificates, Step
from aks_entra.errors import AksEntraError, Refused
from aks_entra.planning.audit_logs import OwnCalls
from aks_entra.planning.person_sign_in import person_sign_in
from aks_entra.planning.reader import Reading
from aks_entra.planning.workloads import workloads_of
from aks_entra.ports.migration import Ports
from aks_entra.retry import persist

_PATIENCE: Final = 300.0  # seconds of throttling
_FORBIDDEN: Final = 403


async def around(
    ports: Ports,
    reader: Reading,
    posture: Posture,
    steps: tuple[Step, ...],
    facts: Facts,
    *,
    audit_days: int = 0,
    read: ReadAs = ReadAs.PROVER,
    windows_unasked: str = "",
) -> Facts:
    """Add the facts that the rules about these steps need.

    With `audit_days` 0 the audit log is not read. `windows_unasked`: why the maintenance windows are not read.
    """
    cluster, arm = posture.cluster, ports.arm
    policies, evaluations = await asyncio.gather(
        reader.known(lambda: arm.policies(cluster)),
        reader.known(lambda: arm.policy_evaluations(cluster, steps)),
    )
    locks, writers, versions, tools, rules = await asyncio.gather(
        reader.known(lambda: arm.locks(cluster, posture.node_resource_group)),
        reader.known(lambda: _writers(ports, posture)),
        reader.known(lambda: _versions(ports, reader, posture)),
        reader.known(lambda: _tools(ports, reader)),
        reader.known(lambda: conditional_access_of(ports, reader, facts)),
    )
    facts = replace(facts, locks=locks, policies=policies, writers=writers, supported_versions=versions, tools=tools)
    facts = replace(facts, conditional_access=rules, policy_evaluations=evaluations)
    if any(isinstance(step, AssignDenyPolicy) for step in steps):
        may = await reader.known(lambda: arm.may(cluster.resource_id, ASSIGN))
        facts = replace(facts, may_assign_policies=may)
    if any(isinstance(step, DisableLocalAccounts | RotateCertificates) for step in steps):
        person, read_log = await person_sign_in(ports, reader, facts.groups)
        facts = replace(facts, person_sign_in=person, sign_ins_read=read_log)
    if not any(isinstance(step, RotateCertificates) for step in steps):
        return facts
    windows, subnets, quotas, home, seen, (callers, unread) = await asyncio.gather(
        _windows(ports, reader, posture, windows_unasked),
        _subnets(ports, reader, posture),
        reader.known(lambda: _quotas(ports, reader, posture)),
        reader.known(lambda: home_of(ports, reader)),
        workloads_of(ports, posture, read, unreachable=facts.unreachable),
        _callers(ports, posture, facts, audit_days),
    )
    return replace(
        facts,
        scale_set_additions=await reader.known(lambda: arm.scale_set_additions(cluster)),
        node_disruption=await reader.known(lambda: arm.node_disruption(cluster)),
        maintenance_windows=windows,
        windows_unasked=windows_unasked,
        subnets=subnets,
        quotas=quotas,
        home=home,
        addresses=await addresses_of(ports, reader, posture, home),
        inside=seen.inside,
        outside_because=seen.because,
        admin_credential_read=seen.handed_out,
        admin_read=seen.admin_read,
        callers=callers,
        callers_unread=unread,
    )


async def without_own_calls(reader: Reading, cluster: ClusterId, facts: Facts, own_calls: OwnCalls | None) -> Facts:
    """Return the facts with this program's own calls apart from the callers, those of this plan included.

    Records that cannot be read account for no call.
    """
    if facts.callers is None or not facts.callers.claimed:
        return facts
    found = await reader.known(lambda: own_calls((cluster,))) if own_calls else None
    recorded: tuple[OwnCall, ...] = (found or {}).get(cluster.key, ())
    read = (facts.admin_read,) if facts.admin_read else ()
    return replace(facts, callers=without_own(facts.callers, (*recorded, *read)))


async def _windows(
    ports: Ports, reader: Reading, posture: Posture, unasked: str
) -> tuple[MaintenanceWindow, ...] | None:
    return None if unasked else await reader.known(lambda: ports.arm.maintenance_windows(posture.cluster))


async def _writers(ports: Ports, posture: Posture) -> tuple[Writer, ...] | None:
    """Return who wrote the cluster. The log names an application by its object id or its application id."""
    found, runner = await ports.arm.writers(posture.cluster), await ports.callers.runner()
    own = {runner.object_id.casefold(), runner.name.casefold()}
    if found is None:
        return None
    return tuple(replace(one, own=one.name.removeprefix("application ").casefold() in own) for one in found)


async def _versions(ports: Ports, reader: Reading, posture: Posture) -> tuple[str, ...] | None:
    subscription, location = posture.cluster.subscription_id, posture.location
    return await reader.once(
        "versions", f"{subscription}/{location}", lambda: ports.arm.supported_versions(subscription, location)
    )


async def _tools(ports: Ports, reader: Reading) -> Tools:
    kubectl, kubelogin = await reader.once("tools", "", lambda: ports.host.tools("kubectl", "kubelogin"))
    return Tools(kubectl=_version(kubectl), kubelogin=_version(kubelogin))


def _version(tool: Tool) -> str | None:
    """Return the version of a tool. Empty if the tool is not installed, None if it does not print its version."""
    if not tool.path:
        return ""
    found = version_in(tool.version)
    return None if found is None else ".".join(map(str, found))


async def denials_of(
    ports: Ports, reader: Reading, cluster: ClusterId, actions: tuple[str, ...]
) -> tuple[Denial, ...] | None:
    """Return the deny assignments that forbid, or may forbid, one of the actions to the runner. None if unreadable."""
    found = await ports.arm.deny_assignments(cluster)
    if found is None:
        return None
    runner = (await ports.callers.runner()).object_id
    denials = []
    for one in found:
        denied = one.denied(actions)
        groups = await reader.groups(one.groups if denied else (), runner)
        applies = one.applies(runner, {each.id.lower(): each.prover_is_member for each in groups})
        if denied and applies is not False:
            denials.append(Denial(name=one.name, scope=one.scope, actions=denied, certain=applies is True))
    return tuple(denials)


async def with_linked_rights(ports: Ports, reader: Reading, posture: Posture, facts: Facts) -> Facts:
    """Add which of the posture's linked rights the runner has. Clusters share subnets, so each is read once."""

    async def of(right: LinkedRight) -> bool | None:
        call = partial(reader.once, "right", str(right), lambda: ports.arm.may(right.scope, right.action))
        return await reader.known(call)

    answers = list(zip(posture.linked, await asyncio.gather(*map(of, posture.linked)), strict=True))
    return replace(
        facts,
        runner=(await ports.callers.runner()).object_id,
        linked_held=tuple(right for right, answer in answers if answer),
        linked_missing=tuple(right for right, answer in answers if answer is False),
    )


async def conditional_access_of(
    ports: Ports, reader: Reading, facts: Facts
) -> tuple[ConditionalAccessPolicy, ...] | None:
    """Return the policies that may apply to the prover. None also if it is unknown whether the prover is a person."""
    if ports.conditional_access is None or facts.memberships is None:
        return None
    rules, person = ports.conditional_access, facts.memberships.person
    prover = (await ports.callers.prover()).object_id

    async def asked() -> tuple[ConditionalAccessPolicy, ...] | None:
        try:
            return await rules.in_the_way(prover, person=person)
        except Refused as error:
            if error.status == _FORBIDDEN:
                return None  # the right is missing for every cluster
            raise

    return await reader.once("sign-in", prover, asked)


async def home_of(ports: Ports, reader: Reading) -> Home:
    """Return where this process runs, and where the services are that it depends on."""
    return await reader.once("home", "", ports.host.home)


async def _quotas(ports: Ports, reader: Reading, posture: Posture) -> tuple[Quota, ...] | None:
    subscription, location = posture.cluster.subscription_id, posture.location
    return await reader.once("quotas", f"{subscription}/{location}", lambda: ports.arm.quotas(subscription, location))


async def _subnets(ports: Ports, reader: Reading, posture: Posture) -> tuple[Subnet, ...]:
    ids = dict.fromkeys(pool.subnet_id for pool in posture.pools if pool.subnet_id)

    async def one(subnet_id: str) -> Subnet:
        read = await reader.known(lambda: reader.once("subnet", subnet_id, lambda: ports.arm.subnet(subnet_id)))
        return read or Subnet(id=subnet_id, free=None)

    return tuple(await asyncio.gather(*(one(subnet_id) for subnet_id in ids)))


async def addresses_of(ports: Ports, reader: Reading, posture: Posture, home: Home | None) -> tuple[str, ...] | None:
    """Return the cluster's addresses. They are read only if this process depends on a service elsewhere."""
    if home is None or not home.endpoints:
        return ()
    published = await reader.known(lambda: ports.arm.published_addresses(posture.cluster, posture.node_resource_group))
    if published is None:
        return None
    own = await ports.host.addresses(posture.fqdn) if posture.fqdn else ()
    return (*published, *own)


async def _callers(ports: Ports, posture: Posture, facts: Facts, days: int) -> tuple[AuditedCallers | None, str]:
    """Return who called the API server: from the given file, or from the cluster's log."""
    if facts.callers is not None or ports.audit is None or not days:
        return facts.callers, ""
    audit = ports.audit
    try:
        return await persist(ports.clock, _PATIENCE, lambda: audit.callers(posture.cluster, days))
    except AksEntraError as error:
        return None, error.message
