"""What people read about access on Prefect's server: questions at gates, and tables of what was given and ended."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from aks_entra.core.durations import stamp
from aks_entra.core.grants import Ask
from aks_entra.core.preflight import Finding
from aks_entra.core.review import Way
from aks_entra.granting import Ended, Given
from aks_entra.policies import Applied
from aks_entra.prefect_client import archive, store
from aks_entra.prefect_client.names import hexadecimal, key


def question(ask: Ask, findings: Sequence[Finding]) -> str:
    """What whoever decides on access reads."""
    where = f"namespace `{ask.namespace}` of {ask.cluster}" if ask.namespace else f"all of {ask.cluster}"
    until = stamp(ask.end) if ask.end else "**for good**"
    return (
        f"**{ask.principal.called}** ({ask.principal.kind}) asks for **{ask.role}** on {where}, until {until}.\n\n"
        f"Asked by: {ask.requested_by or 'not said'} · reason: {ask.reason}\n\n{_listed(findings)}"
    )


def policy_question(name: str, findings: Sequence[Finding]) -> str:
    """What whoever decides on enforcing a policy reads."""
    return f"Enforce Conditional Access policy **{name}** for sign-ins at AKS clusters?\n\n{_listed(findings)}"


async def announce(ask: Ask) -> None:
    """Write down where access is about to be given, before it is: the sweep looks there."""
    text = json.dumps({"subscription": ask.cluster.subscription_id.lower(), "cluster": ask.cluster.key})
    await store.put(key("grant", hexadecimal(ask.digest)), text, kind="grant", page=str(ask))


async def announced() -> tuple[str, ...]:
    """Subscriptions in which a run ever gave access."""
    found = [json.loads(one.text)["subscription"] for one in await store.newest("grant-")]
    return tuple(dict.fromkeys(str(one) for one in found))


async def known_subscriptions() -> tuple[str, ...]:
    """Subscriptions of every fleet's last plan, and those in which access was given."""
    planned = [
        member.cluster.subscription_id.lower() for plan in await archive.last_plans() for member in plan.clusters
    ]
    return tuple(dict.fromkeys([*planned, *await announced()]))


async def show_given(ask: Ask, given: Given) -> None:
    """A page about a grant."""
    text = f"{ask}\n\n{'granted' if given.changed else 'stood already'}, until {given.grant.ends}\n\n{given.proof}"
    await store.show(key("access", hexadecimal(ask.digest)[:12]), kind="markdown", data=text)


async def show_ended(ended: Iterable[Ended]) -> None:
    """A table of grants that were ended."""
    rows = [
        {
            "who": one.grant.principal_id,
            "role": one.grant.role,
            "where": one.grant.namespace or one.grant.cluster_key,
            "until": one.grant.ends,
            "end": one.error or one.proof,
            "seconds late": round(one.late),
            "still allowed by": one.still_allowed,
            "old tokens": one.tokens,
        }
        for one in ended
    ]
    await store.show("access-ended", kind="table", data=json.dumps(rows))


async def show_review(ways: Iterable[Way]) -> None:
    """A table of everybody's ways in."""
    rows = [
        {"cluster": one.cluster, "who": one.who, "how": one.how, "scope": one.scope, "until": one.until} for one in ways
    ]
    await store.show("access-review", kind="table", data=json.dumps(rows))


async def show_policy(name: str, applied: Applied) -> None:
    """A table of the sign-ins that a policy met."""
    rows = [
        {"at": one.at, "user": one.user, "client": one.client, "policy": one.result, "error": one.error}
        for one in applied.sign_ins or ()
    ]
    await store.show(key("policy", name), kind="table", data=json.dumps(rows), description=applied.state)


def _listed(findings: Sequence[Finding]) -> str:
    return "\n".join(f"- {one.rule} {one.message}" for one in findings)
