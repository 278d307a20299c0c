"""What happened, as events at Prefect's server: the names of the events, and the ids of what they are about.

A cluster is `aks-entra.cluster/subscriptions/…` (its ARM id in lower case), a fleet is `aks-entra.fleet/NAME`, and a
Conditional Access policy is `aks-entra.conditional-access-policy/NAME`. Texts of strangers are safe for a chat message.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from prefect.client.orchestration import PrefectClient, get_client
from prefect.events.related import related_resources_from_run_context
from prefect.events.schemas.events import Event, RelatedResource, Resource

from aks_entra.access.grants import Ended
from aks_entra.core.access.grants import Ask, Grant
from aks_entra.core.cluster import ClusterId
from aks_entra.core.evidence.break_glass import OpeningRecord
from aks_entra.core.hooks.results import left
from aks_entra.core.planning.approval import Approval
from aks_entra.core.planning.gates import Side
from aks_entra.core.planning.plan import FleetPlan
from aks_entra.core.planning.rollout import Stage, StageResult
from aks_entra.core.verdict.verdict import Verdict
from aks_entra.prefect_client import artifacts, names
from aks_entra.text.safe import for_log, for_message

REQUESTED: Final = {
    "migrate": "aks-entra.fleet.requested",
    "verify": "aks-entra.fleet.verification-requested",
    "inventory": "aks-entra.fleet.inventory-requested",
}
"""The events that start the runs of a deployed fleet."""
GATE_WAITING: Final = "aks-entra.gate.waiting"
GATE_APPROVED: Final = "aks-entra.gate.approved"
GATE_REJECTED: Final = "aks-entra.gate.rejected"
GATE_EXPIRED: Final = "aks-entra.gate.expired"
STAGE_STARTED: Final = "aks-entra.stage.started"
STAGE_ENDED: Final = "aks-entra.stage.ended"
VERDICT_GIVEN: Final = "aks-entra.verdict.given"
HOOK_LEFT: Final = "aks-entra.hook.left"
DRIFT_FOUND: Final = "aks-entra.drift.found"
FLEET_DRIFT_FOUND: Final = "aks-entra.fleet.drift-found"
BREAK_GLASS_OPENED: Final = "aks-entra.break-glass.opened"
BREAK_GLASS_CLOSED: Final = "aks-entra.break-glass.closed"
BREAK_GLASS_STAYS_OPEN: Final = "aks-entra.break-glass.stays-open"
BREAK_GLASS_STRANGE_TAG: Final = "aks-entra.break-glass.strange-tag"
ACCESS_GRANTED: Final = "aks-entra.access.granted"
ACCESS_ENDED: Final = "aks-entra.access.ended"

RESULT: Final = "aks-entra.result"
"""Label of the resource of `STAGE_ENDED`: `passed` or `failed`."""
OUTCOME: Final = "aks-entra.outcome"
"""Label of the resource of `VERDICT_GIVEN` and `DRIFT_FOUND`: the verdict."""

_ID: Final = "prefect.resource.id"
_NAME: Final = "prefect.resource.name"
_ROLE: Final = "prefect.resource.role"
_LISTED: Final = 20
"""How many clusters an event of a fleet names. A message with more is not read."""
_PATIENCE: Final = 30.0
"""Seconds after which an event that cannot be sent is given up."""
_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a gate asks about. `what` completes the sentence "an approval is needed: …"; `more` is for the payload."""

    resource: Mapping[str, str]
    what: str
    more: Mapping[str, Any]


def fleet_id(name: str) -> str:
    """Return the id of a fleet in events."""
    return f"aks-entra.fleet/{name}"


def cluster_id(key: str) -> str:
    """Return the id of a cluster in events. `key`: `ClusterId.key`, which begins with a slash."""
    return f"aks-entra.cluster{key}"


def stage_subject(plan: FleetPlan, place: int, side: Side, *, requested: str) -> Subject:
    """Return what the gate on one side of a stage asks about. `requested`: who asked for the run, and why."""
    stage = plan.stages[place]
    return Subject(
        resource=_fleet(plan.name),
        what=f"the gate {side} stage {stage.name} of fleet {plan.name}",
        more={**_of_stage(plan, stage), "side": side, "requested": requested, "ticket_required": plan.ticket_required},
    )


def grant_subject(ask: Ask) -> Subject:
    """Return what the gate of a request for access asks about."""
    requested = f"{ask.reason}, by {ask.requested_by}" if ask.requested_by else ask.reason
    return Subject(resource=_cluster(ask.cluster), what=f"access for {ask}", more={"requested": requested})


def policy_subject(name: str) -> Subject:
    """Return what the gate of a Conditional Access policy asks about."""
    resource = {_ID: f"aks-entra.conditional-access-policy/{name}", _NAME: name}
    return Subject(resource=resource, what=f"enforcing the Conditional Access policy {name}", more={})


def gate_waiting(about: Subject, digest: str) -> Event:
    """A run waits at a gate. `digest`: of the plan or the request."""
    return _of_gate(GATE_WAITING, about, digest, {})


def gate_expired(about: Subject, approval: Approval) -> Event:
    """An approval expired before its stage began, so the gate asks again."""
    return _of_gate(GATE_EXPIRED, about, approval.plan, {"approver": approval.approver, "approved": approval.at})


def gate_decided(about: Subject, approval: Approval) -> Event:
    """A person approved or rejected."""
    said = {
        "approver": approval.approver,
        "signed": bool(approval.signed),
        "reason": approval.reason,
        "ticket": approval.ticket,
    }
    name = GATE_APPROVED if approval.decision == "approve" else GATE_REJECTED
    return _of_gate(name, about, approval.plan, said)


def stage_started(plan: FleetPlan, stage: Stage, *, writes: bool) -> Event:
    """The batches of a stage begin. `writes`: whether they may write, or only read and verify."""
    return _event(STAGE_STARTED, _fleet(plan.name), {**_of_stage(plan, stage), "writes": writes})


def stage_ended(plan: FleetPlan, stage: Stage, result: StageResult) -> Event:
    """The batches of a stage ended. If it failed, the stages after it are not started."""
    resource = {**_fleet(plan.name), RESULT: "passed" if result.go_on else "failed"}
    said = {**_of_stage(plan, stage), "failures": result.failures, "because": result.because}
    return _event(STAGE_ENDED, resource, said)


def verdict_given(digest: str, verdict: Verdict) -> Event:
    """A cluster has a verdict under a plan."""
    return _event(VERDICT_GIVEN, _judged(verdict), {"plan": names.short(digest), **_reasons(verdict)})


def hooks_left(digest: str, verdict: Verdict) -> tuple[Event, ...]:
    """Hooks after the rotation of a cluster are not done: an event for each."""
    return tuple(
        _event(
            HOOK_LEFT,
            _cluster(verdict.cluster),
            {
                "plan": names.short(digest),
                "hook": one.hook,
                "status": str(one.status),
                "because": one.detail,
                "next": one.remedy,
            },
        )
        for one in left(verdict.evidence)
    )


def drift_found(fleet: str, unsound: Iterable[Verdict], total: int) -> tuple[Event, ...]:
    """A verification of `total` clusters found these not verified: an event for each, and one for the fleet."""
    unsound = tuple(unsound)
    if not unsound:
        return ()
    each = [_event(DRIFT_FOUND, _judged(one), _reasons(one), fleet=fleet) for one in unsound]
    listed = [f"{one.cluster}: {', '.join([one.outcome, *one.because[:1]])}" for one in unsound[:_LISTED]]
    said = {"fleet": fleet, "drifted": len(unsound), "clusters": total, "listed": listed}
    return (*each, _event(FLEET_DRIFT_FOUND, _fleet(fleet), said))


def opening_recorded(record: OpeningRecord) -> Event:
    """Local accounts are opened by break-glass, their end moved, or they are closed again: as our record says it.

    The record is stored before the write that opens.
    """
    resource, opening = _cluster(ClusterId.parse(record.cluster)), record.opening
    if record.ended:
        return _event(BREAK_GLASS_CLOSED, resource, {"because": [record.because], "ended": record.ended})
    said = {"until": opening.until, "opened_for": opening.reason, "ticket": opening.ticket, "opener": opening.opener}
    return _event(BREAK_GLASS_OPENED, resource, said)


def break_glass_alarm(
    name: str, cluster: ClusterId, because: Iterable[str], remedy: str, *, opened_for: str = ""
) -> Event:
    """Local accounts stay open though they should be closed, or no record explains a tag. `name`: of the event."""
    said = {"because": list(because), "next": remedy, **({"opened_for": opened_for} if opened_for else {})}
    return _event(name, _cluster(cluster), said)


def access_granted(ask: Ask, grant: Grant, approval: Approval) -> Event:
    """Somebody has access for a time."""
    said = {
        "principal": ask.principal.called,
        "approver": approval.approver,
        "signed": bool(approval.signed),
        "reason": ask.reason,
    }
    return _event(ACCESS_GRANTED, _cluster(ask.cluster), {**_of_grant(grant), **said})


def access_ended(ended: Iterable[Ended]) -> tuple[Event, ...]:
    """The access of these grants ended. A grant that could not be ended, or was extended, gives no event."""
    return tuple(
        _event(
            ACCESS_ENDED,
            {_ID: cluster_id(one.grant.cluster_key), _NAME: one.grant.cluster_key.rpartition("/")[2]},
            {**_of_grant(one.grant), "proof": one.proof, "still_allowed": one.still_allowed},
        )
        for one in ended
        if not (one.error or one.extended)
    )


async def emit(*happened: Event) -> None:
    """Send events to Prefect's server. An event that cannot be sent is logged, and stops nothing."""
    for one in happened:
        try:
            async with asyncio.timeout(_PATIENCE), get_client() as client:
                await send(client, one)
        except Exception as error:  # noqa: BLE001 - whatever it is, a run does not end because nobody was told
            _log.warning("the event %s was not sent: %s", one.event, for_log(str(error) or type(error).__name__))


async def send(client: PrefectClient, happened: Event) -> None:
    """Send an event with the present flow run, its tags and its fleet as related resources."""
    found = await related_resources_from_run_context(client, exclude={happened.resource.id})
    known = {one.id for one in happened.related}
    happened.related += [one for one in [*found, *_fleets(found)] if one.id not in known | {happened.resource.id}]
    run = artifacts.current_flow_run()
    if run is not None:
        happened.payload |= {"run": str(run)[:8], "page": names.run_page(run)}
    await client.request("POST", "/events", json=[happened.model_dump(mode="json")])


def _event(name: str, resource: Mapping[str, str], payload: Mapping[str, Any], *, fleet: str = "") -> Event:
    return Event(
        event=name,
        resource=Resource({label: for_message(value) for label, value in resource.items()}),
        related=[_related(fleet)] if fleet else [],
        payload=_safe(payload),
    )


def _of_gate(name: str, about: Subject, digest: str, said: Mapping[str, Any]) -> Event:
    return _event(name, about.resource, {"what": about.what, "plan": names.short(digest), **about.more, **said})


def _of_stage(plan: FleetPlan, stage: Stage) -> dict[str, Any]:
    members = len(stage.members)
    return {"fleet": plan.name, "stage": stage.name, "clusters": members, "plan": names.short(plan.digest)}


def _of_grant(grant: Grant) -> dict[str, Any]:
    return {"principal_id": grant.principal_id, "role": grant.role, "where": grant.where, "until": grant.ends}


def _reasons(verdict: Verdict) -> dict[str, Any]:
    return {"outcome": str(verdict.outcome), "because": list(verdict.because), "next": verdict.next}


def _judged(verdict: Verdict) -> dict[str, str]:
    return {**_cluster(verdict.cluster), OUTCOME: str(verdict.outcome)}


def _cluster(cluster: ClusterId) -> dict[str, str]:
    return {_ID: cluster_id(cluster.key), _NAME: str(cluster)}


def _fleet(name: str) -> dict[str, str]:
    return {_ID: fleet_id(name), _NAME: name}


def _related(fleet: str) -> RelatedResource:
    return RelatedResource({**{label: for_message(one) for label, one in _fleet(fleet).items()}, _ROLE: "fleet"})


def _fleets(found: Iterable[RelatedResource]) -> list[RelatedResource]:
    """Return the fleet that the tags of the present run name."""
    tags = [one.id.removeprefix("prefect.tag.") for one in found if one.role == "tag"]
    fleet = names.fleet_of(tags)
    return [_related(fleet)] if fleet else []


def _safe(value: Any) -> Any:
    """Return a payload in which each text stays on its line, and is no link and no mention in a chat."""
    if isinstance(value, str):
        return for_message(value)
    if isinstance(value, Mapping):
        return {name: _safe(one) for name, one in value.items()}
    return [_safe(one) for one in value] if isinstance(value, list) else value
