"""Reads what stands around a cluster that has something to do, for preflight: as few requests as its steps call for.

What several clusters share (a region's versions, a subnet, this machine) is read once for the fleet. A fact that cannot
be read is None; reading goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final, Protocol, TypeVar

from aks_entra.core.callers import AuditedCallers
from aks_entra.core.cluster import Identity, Posture
from aks_entra.core.preflight import Facts, Home, Inside, Quota, SignInRule, Subnet, Tools, Writer
from aks_entra.core.steps import RotateCertificates, Step
from aks_entra.errors import AksEntraError
from aks_entra.patience import persist
from aks_entra.ports import Ports

_T = TypeVar("_T")
_REACH: Final = 20.0  # seconds: how long an API server that refuses the prover is asked again
_PATIENCE: Final = 300.0  # seconds of throttling
_NOT_ON: Final = "Microsoft Entra ID is not on yet, and nobody is signed in with anything else"


class Reader(Protocol):
    """How facts are read: with patience, once where they are shared, None when they cannot be."""

    async def known(self, call: Callable[[], Awaitable[_T | None]]) -> _T | None:
        """A fact, or None."""

    async def once(self, kind: str, name: str, call: Callable[[], Awaitable[_T]]) -> _T:
        """A fact that several clusters share."""


async def around(
    ports: Ports, reader: Reader, posture: Posture, steps: tuple[Step, ...], facts: Facts, *, audit_days: int = 0
) -> Facts:
    """The facts, completed by what the rules about these steps look at. `audit_days` 0: the audit log is not asked."""
    cluster, arm = posture.cluster, ports.arm
    locks, policies, writers, versions, tools, rules = await asyncio.gather(
        reader.known(lambda: arm.locks(cluster, posture.node_resource_group)),
        reader.known(lambda: arm.policies(cluster)),
        reader.known(lambda: _writers(ports, posture)),
        reader.known(lambda: _versions(ports, reader, posture)),
        reader.known(lambda: _tools(ports, reader)),
        reader.known(lambda: _sign_in_rules(ports, reader, facts)),
    )
    facts = replace(facts, locks=locks, policies=policies, writers=writers, supported_versions=versions, tools=tools)
    facts = replace(facts, sign_in_rules=rules)
    if not any(isinstance(step, RotateCertificates) for step in steps):
        return facts
    windows, subnets, quotas, home, (inside, because), (callers, unread) = await asyncio.gather(
        reader.known(lambda: arm.maintenance_windows(cluster)),
        _subnets(ports, reader, posture),
        reader.known(lambda: _quotas(ports, reader, posture)),
        reader.known(lambda: _home(ports, reader)),
        _inside(ports, posture),
        _callers(ports, posture, facts, audit_days),
    )
    return replace(
        facts,
        windows=windows,
        subnets=subnets,
        quotas=quotas,
        home=home,
        addresses=await _addresses(ports, reader, posture, home),
        inside=inside,
        outside_because=because,
        callers=callers,
        callers_unread=unread,
    )


async def _writers(ports: Ports, posture: Posture) -> tuple[Writer, ...] | None:
    """Who wrote the cluster; the log calls an application by its object id or its application id."""
    found, runner = await ports.arm.writers(posture.cluster), await ports.callers.runner()
    own = {runner.object_id.casefold(), runner.name.casefold()}
    if found is None:
        return None
    return tuple(replace(one, own=one.name.removeprefix("application ").casefold() in own) for one in found)


async def _versions(ports: Ports, reader: Reader, posture: Posture) -> tuple[str, ...] | None:
    subscription, location = posture.cluster.subscription_id, posture.location
    return await reader.once(
        "versions", f"{subscription}/{location}", lambda: ports.arm.supported_versions(subscription, location)
    )


async def _tools(ports: Ports, reader: Reader) -> Tools | None:
    machine = ports.surroundings
    return None if machine is None else await reader.once("tools", "", machine.tools)


async def _sign_in_rules(ports: Ports, reader: Reader, facts: Facts) -> tuple[SignInRule, ...] | None:
    """What Conditional Access says to the prover; None also where nobody knows whether that is a person."""
    if ports.sign_in is None or facts.memberships is None:
        return None
    rules, person = ports.sign_in, facts.memberships.person
    prover = (await ports.callers.prover()).object_id
    return await reader.once("sign-in", prover, lambda: rules.in_the_way(prover, person=person))


async def _home(ports: Ports, reader: Reader) -> Home | None:
    machine = ports.surroundings
    return None if machine is None else await reader.once("home", "", machine.home)


async def _quotas(ports: Ports, reader: Reader, posture: Posture) -> tuple[Quota, ...] | None:
    subscription, location = posture.cluster.subscription_id, posture.location
    return await reader.once("quotas", f"{subscription}/{location}", lambda: ports.arm.quotas(subscription, location))


async def _subnets(ports: Ports, reader: Reader, posture: Posture) -> tuple[Subnet, ...]:
    ids = dict.fromkeys(pool.subnet_id for pool in posture.pools if pool.subnet_id)

    async def one(subnet_id: str) -> Subnet:
        read = await reader.known(lambda: reader.once("subnet", subnet_id, lambda: ports.arm.subnet(subnet_id)))
        return read or Subnet(id=subnet_id, free=None)

    return tuple(await asyncio.gather(*(one(subnet_id) for subnet_id in ids)))


async def _addresses(ports: Ports, reader: Reader, posture: Posture, home: Home | None) -> tuple[str, ...] | None:
    """What the cluster answers under; asked only where this process depends on a service elsewhere."""
    machine = ports.surroundings
    if machine is None or home is None or not home.endpoints:
        return ()
    published = await reader.known(lambda: ports.arm.published_addresses(posture.cluster, posture.node_resource_group))
    if published is None:
        return None
    own = await machine.addresses(posture.fqdn) if posture.fqdn else ()
    return (*published, *own)


async def _inside(ports: Ports, posture: Posture) -> tuple[Inside | None, str]:
    """What runs in the cluster, or why it was not seen. Only where the prover may sign in already."""
    if posture.identity is not Identity.MANAGED:
        return None, _NOT_ON
    try:
        return await persist(ports.clock, _REACH, lambda: ports.kubernetes.inside(posture)), ""
    except AksEntraError as error:
        return None, error.message


async def _callers(ports: Ports, posture: Posture, facts: Facts, days: int) -> tuple[AuditedCallers | None, str]:
    """Who called the API server: from the file that was given, or from where the cluster's log is kept."""
    if facts.callers is not None or ports.audit is None or not days:
        return facts.callers, ""
    audit = ports.audit
    try:
        return await persist(ports.clock, _PATIENCE, lambda: audit.callers(posture.cluster, days))
    except AksEntraError as error:
        return None, error.message
