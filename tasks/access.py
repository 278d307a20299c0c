"""One task for each piece of work on access: request, grant, end, sweep, review, group, policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from aks_entra.access import conditional_access, grant_sweep, grants, review
from aks_entra.access import pim as just_in_time
from aks_entra.access.conditional_access import Applied, PolicyRequest
from aks_entra.access.grant_sweep import Swept
from aks_entra.access.grants import Ended, Given, Granter
from aks_entra.core.access.conditional_access import preflight
from aks_entra.core.access.grants import Approval, Ask, Grant, Level, Via
from aks_entra.core.access.pim import ActivationPolicy
from aks_entra.core.access.review import Way
from aks_entra.core.cluster import Posture
from aks_entra.core.evidence.rotation_debt import Record
from aks_entra.core.preflight import Finding
from aks_entra.wiring import current_session
from tasks.azure_task import observable


@observable("name the request", of="cluster")
async def name_request(
    cluster: str, subscription: str, what: tuple[str, Level, str, Via | None], end: datetime, reason: str, by: str
) -> Ask:
    """Return the request with names resolved. Raises Refused if a name in it does not exist.

    `end` is a fixed time, so that a run which starts again after its approval asks for exactly the same.
    """
    session = current_session()
    place = await grants.cluster_named(session.ports.arm, cluster, subscription)
    ask = await grants.ask_for(session.ports, place, what, None, reason, requested_by=by)
    return replace(ask, end=end)


@observable("check the request", of="ask.cluster")
async def check_request(ask: Ask) -> tuple[Finding, ...]:
    """Return the findings for the approver. Raises Refused, with every reason, if the request is not allowed."""
    return await _granter().preflight(ask)


@observable("give access", of="ask.cluster")
async def give_access(ask: Ask, approval: Approval) -> Given:
    """Write the grant with its end, and check that it works."""
    return await _granter().give(ask, approval)


@observable("end access", of="grant.id")
async def end_access(grant: Grant) -> Ended:
    """Remove the grant, and check that it is gone."""
    return await _granter().end(grant)


@observable("sweep", of="subscriptions")
async def sweep(subscriptions: tuple[str, ...], ends: Mapping[str, datetime | None]) -> Swept:
    """End every expired grant of ours in subscriptions (names or ids). `ends` holds the ends in our own record."""
    return await grant_sweep.sweep(_granter(), subscriptions, ends=ends)


@observable("find clusters", of="subscriptions")
async def find_clusters(subscriptions: tuple[str, ...], resource_group: str | None) -> tuple[Posture, ...]:
    """Return the clusters of these subscriptions (names or ids), or of one resource group in them."""
    arm = current_session().ports.arm
    found = await _clusters(tuple([await arm.subscription_id(one) for one in subscriptions]))
    wanted = resource_group.casefold() if resource_group else None
    return tuple(one for one in found if wanted in {None, one.cluster.resource_group.casefold()})


@observable("review access", of="posture.cluster")
async def review_cluster(posture: Posture, records: tuple[Record, ...] = ()) -> tuple[Way, ...]:
    """Return who can sign in, and how. `records` is what our own reports say about old credentials."""
    session = current_session()
    return await review.review(session.ports, session.access, posture, records)


@observable("create group", of="name")
async def create_group(
    name: str,
    unique_name: str,
    description: str,
    owners: tuple[str, ...],
    approvers: tuple[str, ...],
    policy: ActivationPolicy,
) -> tuple[str, bool]:
    """Create the role-assignable group with its activation policy. Returns its object id, and whether it is new."""
    session = current_session()
    pim = just_in_time.just_in_time(session.ports, session.access, session.settings)
    words = frozenset(
        word
        for word, on in (("justification", policy.justification), ("ticket", policy.ticket), ("mfa", policy.mfa))
        if on
    )
    wanted = await pim.policy_for(policy.max_duration, words, approvers)
    return await pim.create_group(name, unique_name, description, owners, wanted)


@observable("check the policy", of="request.name")
async def check_policy(request: PolicyRequest, *, enforce: bool) -> tuple[Finding, ...]:
    """Return the findings for the approver. Raises Refused, with every reason, if the policy is not allowed."""
    session = current_session()
    rules = conditional_access.policy_writer(session.ports, session.access, session.settings)
    return preflight(*await rules.prepared(request, enforce=enforce), enforce=enforce)


@observable("apply the policy", of="request.name")
async def apply_policy(request: PolicyRequest, *, enforce: bool) -> Applied:
    """Apply the policy, report-only or enforced. Returns it with the sign-ins to which it applied."""
    session = current_session()
    rules = conditional_access.policy_writer(session.ports, session.access, session.settings)
    return await rules.apply(request, enforce=enforce)


async def _clusters(subscriptions: tuple[str, ...]) -> tuple[Posture, ...]:
    arm = current_session().ports.arm
    return tuple([posture for one in subscriptions async for posture in arm.list_clusters(one)])


def _granter() -> Granter:
    session = current_session()
    return grants.granter_of(session.ports, session.access, session.settings)
