"""Pages about access on Prefect's server: questions at gates, and tables of grants, ends and ways in."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from aks_entra.access.conditional_access import Applied
from aks_entra.access.grants import Ended, Given
from aks_entra.core.access.grants import Ask
from aks_entra.core.access.review import Way
from aks_entra.core.durations import stamp
from aks_entra.core.planning.approval import Approval
from aks_entra.core.preflight import Finding
from aks_entra.core.schedules import Overdue
from aks_entra.prefect_client import artifacts
from aks_entra.prefect_client.names import hexadecimal, key
from aks_entra.prefect_client.pages import cells
from aks_entra.text.markdown import code, for_markdown, strong


def question(ask: Ask, findings: Sequence[Finding], late: Sequence[Overdue] = ()) -> str:
    """Return the question at the gate of a grant. `late`: the sweeps that do not run now."""
    cluster = for_markdown(str(ask.cluster))
    where = f"namespace {code(ask.namespace)} of {cluster}" if ask.namespace else f"all of {cluster}"
    until = stamp(ask.end) if ask.end else "**for good**"
    return (
        f"{strong(ask.principal.called)} ({for_markdown(ask.principal.kind)}) asks for {strong(ask.role)} on {where}, "
        f"until {until}.\n\n"
        f"Asked by: {for_markdown(ask.asked_by) or 'not said'} · reason: {for_markdown(ask.reason)}\n\n"
        f"{_listed(findings)}{_unended(late)}"
    )


def policy_question(name: str, findings: Sequence[Finding]) -> str:
    """Return the question at the gate before a policy is enforced."""
    return f"Enforce Conditional Access policy {strong(name)} for sign-ins at AKS clusters?\n\n{_listed(findings)}"


def given_page(ask: Ask, given: Given, decision: Approval) -> str:
    """Return the page of a grant, with who approved it and whether that is proven."""
    how = "granted" if given.changed else "existed already"
    until = for_markdown(given.grant.ends)
    by = f"approved by {for_markdown(decision.by)} ({for_markdown(decision.reason)})"
    return f"{for_markdown(str(ask))}\n\n{how}, until {until}, {by}\n\n{for_markdown(given.proof, code=True)}"


def ended_rows(ended: Iterable[Ended], others: Sequence[str] = ()) -> list[dict[str, object]]:
    """Return ended grants as rows of a Prefect table. `others`: what could not be read or is not ours, in words."""
    rows = [
        cells(
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
        )
        for one in ended
    ]
    empty = dict.fromkeys(
        ("who", "role", "where", "until", "end", "seconds late", "still allowed by", "old tokens"), ""
    )
    return rows + [cells({**empty, "end": text}) for text in others]


def review_rows(ways: Iterable[Way]) -> list[dict[str, object]]:
    """Return everybody's ways in as rows of a Prefect table."""
    return [
        cells({"cluster": one.cluster, "who": one.who, "how": one.how, "scope": one.scope, "until": one.until})
        for one in ways
    ]


def sign_in_rows(applied: Applied) -> list[dict[str, object]]:
    """Return the sign-ins to which a policy applied, as rows of a Prefect table."""
    return [
        cells({"at": one.at, "user": one.user, "client": one.client, "policy": one.result, "error": one.error})
        for one in applied.sign_ins or ()
    ]


async def show_given(ask: Ask, given: Given, decision: Approval) -> None:
    """Show the page of a grant."""
    await artifacts.show(
        key("access", hexadecimal(ask.digest)[:12]), kind="markdown", data=given_page(ask, given, decision)
    )


async def show_ended(ended: Iterable[Ended], others: Sequence[str] = ()) -> None:
    """Show the table of ended grants and of `others`."""
    await artifacts.show("access-ended", kind="table", data=json.dumps(ended_rows(ended, others)))


async def show_review(ways: Iterable[Way]) -> None:
    """Show the table of everybody's ways in."""
    await artifacts.show("access-review", kind="table", data=json.dumps(review_rows(ways)))


async def show_policy(name: str, applied: Applied) -> None:
    """Show the table of the sign-ins to which a policy applied."""
    rows = sign_in_rows(applied)
    await artifacts.show(
        key("policy", name), kind="table", data=json.dumps(rows), description=for_markdown(applied.state)
    )


def _unended(late: Sequence[Overdue]) -> str:
    """Warn that no sweep may end the access."""
    lines = "".join(f"\n- {strong(str(one))}: {for_markdown(one.remedy, code=True)}" for one in late)
    return f"\n\nIf this run dies, nothing may end the access:\n{lines}" if lines else ""


def _listed(findings: Sequence[Finding]) -> str:
    return "\n".join(f"- {for_markdown(one.rule)} {for_markdown(one.message, code=True)}" for one in findings)
