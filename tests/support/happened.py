"""One event of each kind that this program sends, from a migration of fleet prod, break-glass and a grant."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from prefect.events.schemas.events import Event

from aks_entra.access.grants import Ended
from aks_entra.core.access.grants import Ask, Grant, Level, Via
from aks_entra.core.access.principals import Principal
from aks_entra.core.evidence.break_glass import Opening, OpeningRecord
from aks_entra.core.evidence.hook_runs import HookRan, HookStatus
from aks_entra.core.planning.approval import Approval
from aks_entra.core.planning.rollout import StageResult
from aks_entra.core.verdict.verdict import Outcome
from aks_entra.prefect_client import events
from tests.support.cases import SHOP
from tests.support.rollouts import CANARY, PLAN, said

RUN: dict[str, Any] = {"run": "4f1c09aa", "page": "http://127.0.0.1:4200/runs/flow-run/4f1c09aa-0620-4cac-958f-90f1667"}
"""What is added to a payload when it is sent from a flow run."""


def everything(text: str = "CHG-1042: quarter end") -> dict[str, Event]:
    """Return the events by name. `text` is in each place where strangers can write."""
    plan = replace(PLAN, ticket_required=True)
    about = events.stage_subject(plan, 0, "before", requested=text)
    approval = Approval(
        plan=plan.digest, stage="canary", moment="before", decision="approve", approver=text, reason=text, ticket=text
    )
    opening = Opening(until="2026-11-27T15:00:00Z", since="2026-11-27T14:00:00Z", reason=text, ticket="", opener=text)
    record = OpeningRecord(cluster=SHOP.resource_id, opening=opening, uid="", at="2026-11-27T14:00:00Z")
    ask = asked(text)
    grant = Grant(
        via=Via.AZURE, id=f"{SHOP.key}/x", cluster_key=SHOP.key, principal_id="9a3d8f5e", role=ask.role, until=ask.end
    )
    bad = replace(said(SHOP, Outcome.FAILED), because=(text,), next=text)
    hook = HookRan(at="", place=0, hook=text, status=HookStatus.FAILED, ca="", detail=text, remedy=text)
    result = StageResult(go_on=False, failures=1, because=text)
    made = (
        events.gate_waiting(about, plan.digest),
        events.gate_expired(about, approval),
        events.gate_decided(about, approval),
        events.gate_decided(about, replace(approval, decision="reject")),
        events.stage_started(plan, CANARY, writes=True),
        events.stage_ended(plan, CANARY, result),
        events.verdict_given(plan.digest, bad),
        *events.hooks_left(plan.digest, replace(bad, evidence=(hook,))),
        *events.drift_found("prod", [bad], 8),
        events.opening_recorded(record),
        events.opening_recorded(record.over("2026-11-27T15:00:00Z", text)),
        events.break_glass_alarm(events.BREAK_GLASS_STAYS_OPEN, SHOP, [text], text, opened_for=text),
        events.break_glass_alarm(events.BREAK_GLASS_STRANGE_TAG, SHOP, [text], text),
        events.access_granted(ask, grant, approval),
        *events.access_ended([Ended(grant=grant, removed=True, late=0.0, proof=text)]),
    )
    return {one.event: one for one in made}


def asked(text: str = "CHG-1042: quarter end") -> Ask:
    """Return a request for access. `text` is in each place where strangers can write."""
    end = datetime(2026, 11, 27, 16, tzinfo=UTC)
    principal = Principal(id="9a3d8f5e", kind="User", name=text)
    return Ask(cluster=SHOP, principal=principal, level=Level.READER, via=Via.AZURE, end=end, reason=text)
