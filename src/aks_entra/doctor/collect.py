"""Collects the facts for `aks-entra doctor`: tools, Azure's hosts, the credential, and one cluster if it is named."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from aks_entra.core.cluster import ClusterId, Posture, same_id
from aks_entra.core.doctor import Patient, Reach, SignedInAs, SigningGroup
from aks_entra.core.planning.approvers import accepted
from aks_entra.core.preflight.approvers import why_useless, working_groups
from aks_entra.core.preflight.context import named
from aks_entra.errors import AksEntraError
from aks_entra.ports.migration import Ports

TOOLS: Final = ("az", "kubectl", "kubelogin", "helm")
"""The tools that the documented way into a cluster uses."""


_FAR: Final = "this machine is not signed in to its tenant"


async def look(ports: Ports, cluster: ClusterId | None) -> Patient:
    """Return everything that this machine can see. Errors become fields of the result and are not raised."""
    tools, reach, signed_in = await asyncio.gather(
        ports.host.tools(*TOOLS), ports.host.reach(ports.clock.now()), _signed_in(ports)
    )
    patient = Patient(tools=tools, reach=reach, signed_in=signed_in)
    if cluster is None:
        return patient
    try:
        posture = await ports.arm.cluster(cluster)
        tenant = posture.tenant_id or await ports.arm.tenant_of(cluster.subscription_id)
    except AksEntraError as error:
        return replace(patient, cluster=str(cluster), cluster_error=error.message)
    return replace(
        patient,
        cluster=str(cluster),
        cluster_version=posture.version,
        cluster_tenant=tenant,
        reach=(*reach, await _api_server(ports, posture)),
    )


async def signing_groups(ports: Ports, settings: Mapping[str, str], tenant_id: str) -> tuple[SigningGroup, ...]:
    """Look at the groups that settings (by name) name for signed approvals. `tenant_id`: whose directory answers."""
    found = []
    for setting, text in settings.items():
        try:
            named_there = sorted(accepted(text))
        except ValueError as error:
            found.append(SigningGroup(setting=setting, problem=f"its value is {error}"))
            continue
        for tenant, _, group_id in (one.split("/") for one in named_there):
            one = SigningGroup(setting=setting, group=group_id)
            found.append(await _signing_group(ports, one) if same_id(tenant, tenant_id) else replace(one, unread=_FAR))
    return tuple(found)


async def _signing_group(ports: Ports, one: SigningGroup) -> SigningGroup:
    try:
        facts = await ports.directory.group(one.group, prover="")
    except AksEntraError as error:
        return replace(one, unread=error.message)
    problem = "" if working_groups((facts,)) else why_useless(facts)
    return replace(one, group=named(facts), problem=problem, people=facts.people)


async def _signed_in(ports: Ports) -> SignedInAs:
    try:
        caller = await ports.callers.runner()
    except AksEntraError as error:
        return SignedInAs(error=error.message, remedy=error.remedy)
    return SignedInAs(name=caller.name or caller.object_id, tenant_id=caller.tenant_id)


async def _api_server(ports: Ports, posture: Posture) -> Reach:
    if not posture.fqdn:
        return Reach(host=f"API server of {posture.cluster}", error="has no address", remedy="az aks start")
    try:
        await ports.kubernetes.handshake(posture.fqdn)
    except AksEntraError as error:
        return Reach(host=posture.fqdn, error=error.message, remedy=error.remedy)
    return Reach(host=posture.fqdn)
