"""Access, one observable unit each: ask, give, end, sweep, review, a group, a policy."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from aks_entra import access_review, granting, just_in_time, policies
from aks_entra.core.cluster import Posture
from aks_entra.core.conditional_access import preflight
from aks_entra.core.grants import Approval, Ask, Grant, Level, Via
from aks_entra.core.pim import ActivationPolicy
from aks_entra.core.preflight import Finding
from aks_entra.core.review import Way
from aks_entra.granting import Ended, Given, Granter
from aks_entra.policies import Applied, PolicyRequest
from aks_entra.wiring import current_session
from tasks.observable import observable


@observable("name the request", of="cluster")
async def name_request(
    cluster: str, subscription: str, what: tuple[str, Level, str, Via | None], end: datetime, reason: str, by: str
) -> Ask:
    """The request with names resolved. Refused when somebody or something in it does not exist.

    `end` is given, not counted from now: a run that starts over after its approval asks for exactly the same.
    """
    session = current_session()
    place = await granting.cluster_named(session.ports.arm, cluster, subscription)
    ask = await granting.ask_for(session.ports, session.access, place, what, None, reason, requested_by=by)
    return replace(ask, end=end)


@observable("check the request", of="ask.cluster")
async def check_request(ask: Ask) -> tuple[Finding, ...]:
    """What whoever decides should know. Refused with every reason why it must not be asked for."""
    return await _granter().preflight(ask)


@observable("give access", of="ask.cluster")
async def give_access(ask: Ask, approval: Approval) -> Given:
    """Write the grant with its end in it, and see that it works."""
    return await _granter().give(ask, approval)


@observable("wait for the end", of="ask.cluster")
async def wait_for_end(ask: Ask) -> None:
    """Until the request's end; a run that dies meanwhile leaves it to the sweep."""
    clock = current_session().ports.clock
    if ask.end is not None:
        await clock.sleep(max((ask.end - clock.now()).total_seconds(), 0.0))


@observable("end access", of="grant.id")
async def end_access(grant: Grant) -> Ended:
    """Take the grant away, and see that it is gone."""
    return await _granter().end(grant)


@observable("sweep", of="subscriptions")
async def sweep(subscriptions: tuple[str, ...]) -> tuple[Ended, ...]:
    """End every grant of ours in these subscriptions that is over."""
    return await _granter().sweep(subscriptions, await _clusters(subscriptions))


@observable("find clusters", of="subscriptions")
async def find_clusters(subscriptions: tuple[str, ...], resource_group: str | None) -> tuple[Posture, ...]:
    """Every cluster of these subscriptions, named by name or id; or those of one resource group in them."""
    arm = current_session().ports.arm
    found = await _clusters(tuple([await arm.subscription_id(one) for one in subscriptions]))
    wanted = resource_group.casefold() if resource_group else None
    return tuple(one for one in found if wanted in {None, one.cluster.resource_group.casefold()})


@observable("review access", of="posture.cluster")
async def review_cluster(posture: Posture) -> tuple[Way, ...]:
    """Who can get in, and how."""
    session = current_session()
    return await access_review.review(session.ports, session.access, posture)


@observable("create group", of="name")
async def create_group(
    name: str,
    unique_name: str,
    description: str,
    owners: tuple[str, ...],
    approvers: tuple[str, ...],
    policy: ActivationPolicy,
) -> tuple[str, bool]:
    """The role-assignable group with its activation policy: (object id, created)."""
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
    """What whoever decides should know. Refused with every reason why it must not be."""
    session = current_session()
    rules = policies.sign_in_rules(session.ports, session.access, session.settings)
    return preflight(*await rules.prepared(request, enforce=enforce), enforce=enforce)


@observable("apply the policy", of="request.name")
async def apply_policy(request: PolicyRequest, *, enforce: bool) -> Applied:
    """Report-only, or enforced; with the sign-ins that it met."""
    session = current_session()
    rules = policies.sign_in_rules(session.ports, session.access, session.settings)
    return await rules.apply(request, enforce=enforce)


async def _clusters(subscriptions: tuple[str, ...]) -> tuple[Posture, ...]:
    arm = current_session().ports.arm
    return tuple([posture for one in subscriptions async for posture in arm.list_clusters(one)])


def _granter() -> Granter:
    session = current_session()
    return granting.granter_of(session.ports, session.access, session.settings)
