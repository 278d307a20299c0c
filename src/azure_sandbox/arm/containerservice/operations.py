"""Long-running operations: they start, act on the cluster while they run, end, and can be polled."""

from __future__ import annotations

import datetime as dt
import secrets
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from azure_sandbox.arm.containerservice.durations import Durations
from azure_sandbox.arm.errors import front, provider
from azure_sandbox.arm.front_door import Call, FrontDoor
from azure_sandbox.arm.state import CLUSTER_TYPE, ManagedCluster, Operation, State
from azure_sandbox.clock import Clock
from azure_sandbox.faults.operations import INTERNAL, NOT_LATEST, OperationFault, OperationFaultKind, OperationFaults
from azure_sandbox.front.http import Problem, Reply

API_VERSION = "2025-03-01"
CLUSTER = f"/subscriptions/{{subscription}}/resourceGroups/{{group}}/providers/{CLUSTER_TYPE}/{{name}}"
LOCATION = "/subscriptions/{subscription}/providers/Microsoft.ContainerService/locations/{location}"
SIGNED = ("t", "c", "s", "h")
NAMES = {
    "Creating": "create",
    "Updating": "update",
    "RotatingClusterCertificates": "rotate certificates",
    "Stopping": "stop",
    "Starting": "start",
    "Deleting": "delete",
    "Canceling": "abort",
}

Moment = Callable[[float], dt.datetime]
Plan = Callable[[str, Moment], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What an operation does.

    `kind` is the provisioning state while it runs, `length` a key of `DURATIONS`. `plan` schedules the effects while it
    runs, and `done` applies the effect of its success. With a `failure` (an error body) it ends as Failed.
    """

    kind: str
    length: str
    plan: Plan = field(default=lambda _cause, _moment: None)
    done: Callable[[dt.datetime], None] = field(default=lambda _when: None)
    pool: str = ""
    failure: dict[str, Any] | None = None
    words: tuple[str, ...] = ()  # the statuses that it shows one after another; without them it is InProgress
    quiet: bool = False  # whether the cluster's provisioning state stays as it is
    after: str = ""  # for an abort: the kind of the operation that it ended

    def recipe(self) -> dict[str, Any]:
        """Return the plain values from which `course` of `Clusters` or `AgentPools` makes the same course again."""
        names = ("kind", "length", "pool", "failure", "words", "quiet", "after")
        held = {name: value for name in names if (value := getattr(self, name))}
        return held | ({"words": list(self.words)} if self.words else {})


def conflict(cluster: ManagedCluster, running: Operation) -> Problem:
    """Return the 409 for a write while another operation runs, in Azure's words of 2026."""
    name = NAMES.get(running.kind, running.kind.lower())
    return provider(
        409,
        "OperationNotAllowed",
        f"Operation is not allowed because there's an in progress {name} managed cluster operation (operation ID: "
        f"{running.id}) on the managed cluster started on UTC {running.started:%Y-%m-%dT%H:%M:%SZ}. Please wait for it "
        "to finish before starting a new operation. You can also use 'az aks operation-abort --resource-group "
        f"{cluster.group} --name {cluster.name}' to abort the ongoing operation.",
    )


class Operations:
    """Starts operations on clusters, and serves the URLs at which clients poll them."""

    def __init__(self, door: FrontDoor, durations: Durations, faults: OperationFaults | None = None) -> None:
        self._door = door
        self._state: State = door.state
        self._clock: Clock = door.clock
        self._durations = durations
        self._faults = faults or OperationFaults()
        options = ("operationId", *SIGNED)
        door.add("GET", f"{LOCATION}/operations/{{operation}}", self._status, action=None, options=options)
        door.add("GET", f"{LOCATION}/operationresults/{{operation}}", self._result, action=None, options=options)
        right = f"{CLUSTER_TYPE}/operations/read"
        door.add("GET", f"{CLUSTER}/operations/{{operation}}", self._of_cluster, scope=CLUSTER, action=right)

    def refuse_if_running(self, cluster: ManagedCluster) -> None:
        """Raise 409 if another operation runs on the cluster."""
        if cluster.operation is not None and cluster.operation.running:
            raise conflict(cluster, cluster.operation)

    def start(self, cluster: ManagedCluster, course: Course) -> Operation:
        """Start an operation on a cluster on which none runs, with the faults that are queued for it."""
        met = self._faults.take(course.length, cluster.name)
        operation = Operation(
            id=str(uuid.uuid4()),
            subscription=cluster.subscription,
            location=cluster.location,
            kind=course.kind,
            started=self._clock.now(),
            cluster=cluster,
            signature=secrets.token_urlsafe(48),
            pool=course.pool,
            begun=self._clock.progress(),
            course=course.recipe(),
            met=tuple(met.values()),
        )
        self._state.operations[operation.id] = operation
        cluster.operation = operation
        operation.span = self._durations(course.length, cluster.name)
        if slow := met.get("slow-operation"):
            operation.span *= slow.factor
        if course.words:
            operation.status = course.words[0]
        self._put_state(cluster, course, course.kind)
        cluster.touch(pool=course.pool)
        self._disturb(cluster, met)
        self._plan(operation, course)
        return operation

    def _plan(self, operation: Operation, course: Course) -> None:
        timeline = operation.cluster.server.timeline

        def moment(share: float) -> dt.datetime:
            return self._clock.after(operation.span * share, since=operation.begun)

        for at, word in enumerate(course.words[1:], start=1):
            timeline.plan(moment(at / len(course.words)), operation.id, operation.shows(word))
        course.plan(operation.id, moment)
        met = {it.kind: it for it in operation.met}
        if not self._interrupt(operation, course, met, moment):
            timeline.plan(moment(1), operation.id, lambda when: self._end(operation, course, when))

    def resume(self, operation: Operation, course: Course, share: float) -> None:
        """Resume an operation of a stopped sandbox, of which `share` (0 to 1) was done; its past effects stay."""
        now = self._clock.progress()
        operation.begun = now - self._clock.real(operation.span * share)
        self._state.operations[operation.id] = operation
        operation.cluster.operation = operation
        self._plan(operation, course)
        operation.cluster.server.timeline.skip(operation.id, now)

    def share(self, operation: Operation) -> float:
        """Return the share of an operation that is done: 0 at its start, 1 at its end."""
        whole = self._clock.real(operation.span)
        return (self._clock.progress() - operation.begun) / whole if whole else 0.0

    @staticmethod
    def _put_state(cluster: ManagedCluster, course: Course, state: str) -> None:
        if course.quiet:
            return
        if course.pool:
            cluster.pool_states[course.pool] = state
        else:
            cluster.set_state(state)

    @staticmethod
    def _disturb(cluster: ManagedCluster, met: Mapping[OperationFaultKind, OperationFault]) -> None:
        """Apply the faults that affect the cluster and not the operation."""
        if "node-missing" in met:
            cluster.server.machines.lose()
        if "webhook-breaks" in met:
            cluster.server.break_webhook_at_renewal()
        if "token-survives" in met:
            cluster.server.keep_token_at_renewal()
        if "instance-stale" in met:
            cluster.server.keep_instance_at_renewal()

    def _interrupt(
        self, operation: Operation, course: Course, met: Mapping[OperationFaultKind, OperationFault], moment: Moment
    ) -> bool:
        """Apply the faults that affect the operation, and return whether they replace its normal end."""
        timeline = operation.cluster.server.timeline
        if inside := met.get("error-inside"):
            timeline.plan(moment(inside.at), operation.id, lambda _: operation.show_error(inside.error or NOT_LATEST))
        if "never-ends" in met:
            return True
        ends: tuple[OperationFaultKind, ...] = ("fails", "canceled", "pre-empted")
        for kind in ends:
            if fault := met.get(kind):
                timeline.plan(moment(fault.at), operation.id, self._injected_end(operation, course, fault))
                return True
        return False

    def _injected_end(
        self, operation: Operation, course: Course, fault: OperationFault
    ) -> Callable[[dt.datetime], None]:
        outcome = "Canceled" if fault.kind == "canceled" else "Failed"
        error = None if fault.kind == "canceled" else fault.error or INTERNAL
        if fault.kind == "pre-empted":
            pool = course.pool or operation.cluster.pools[0]["name"]
            text = f"Failed to save agent pool {pool}. This operation has been preempted by Updating operation."
            error = fault.error or {"code": "OriginalEtagNotExpect", "message": text}

        def strike(when: dt.datetime) -> None:
            cluster = operation.cluster
            cluster.server.timeline.forget(operation.id)
            operation.status, operation.ended, operation.error = outcome, when, error
            self._put_state(cluster, course, outcome)
            if course.kind not in {"Creating", "Deleting"} and not cluster.stopped:
                cluster.server.bring_up(when)
            cluster.touch(pool=course.pool)
            self._note(operation, when)
            if fault.kind == "pre-empted":
                self.start(cluster, Course(kind="Updating", length="maintenance"))

        return strike

    def _end(self, operation: Operation, course: Course, when: dt.datetime) -> None:
        cluster = operation.cluster
        outcome = "Failed" if course.failure else "Succeeded"
        operation.status, operation.ended, operation.error = outcome, when, course.failure
        self._put_state(cluster, course, outcome)
        if not course.failure:
            course.done(when)
        cluster.touch(pool=course.pool)
        self._note(operation, when)

    def _note(self, operation: Operation, when: dt.datetime) -> None:
        """Write the activity log's last entry about an operation that a client requested."""
        if operation.asked is not None:
            operation.asked(200 if operation.status == "Succeeded" else 409, when)

    def cancel(self, cluster: ManagedCluster) -> Operation | None:
        """Cancel the running operation of a cluster and return it, or None if none runs. Nothing is undone."""
        running = cluster.operation
        if running is None or not running.running:
            return None
        cluster.server.timeline.forget(running.id)
        running.status, running.ended = "Canceled", self._clock.now()
        self._note(running, running.ended)
        return running

    def headers(self, operation: Operation, *, location: bool) -> dict[str, str]:
        """Return the headers with the URLs to poll. The URLs are signed, so clients must use them unchanged."""
        signed = "&".join(f"{name}={value}" for name, value in _signed(operation).items())
        query = f"api-version={API_VERSION}&{signed}"
        base = "https://management.azure.com" + LOCATION.format(
            subscription=operation.subscription, location=operation.location
        )
        headers = {"azure-asyncoperation": f"{base}/operations/{operation.id}?{query}", **self._door.poll_headers()}
        if location:
            headers["location"] = f"{base}/operationresults/{operation.id}?{query}"
        return headers

    def _find(self, call: Call, subscription: str, operation: str) -> Operation:
        found = self._state.operations.get(operation.lower())
        if found is None or found.subscription.lower() != subscription.lower():
            raise front(404, "NotFound", f"The operation '{operation}' could not be found.")
        if any(call.option(name) != value for name, value in _signed(found).items()):
            text = "The signature of the operation's URL is missing or wrong: poll the URL as it was given."
            raise front(403, "InvalidAsyncOperationSignature", text)
        if not self._state.access.knows(call.principals, found.cluster.id):
            self._door.require(call, "Microsoft.ContainerService/locations/operations/read", call.request.path)
        found.cluster.server.settle()
        return found

    async def _status(self, call: Call, subscription: str, operation: str, **_: str) -> Reply:
        found = self._find(call, subscription, operation)
        body: dict[str, Any] = {"name": found.id, "status": found.status, "startTime": ticks(found.started)}
        if found.ended is not None:
            body["endTime"] = ticks(found.ended)
        if found.error is not None:
            body["error"] = found.error
        return Reply(200, body, {"content-type": "application/json", **self._door.poll_headers()})

    async def _of_cluster(self, _: Call, subscription: str, group: str, name: str, operation: str) -> Reply:
        """Show an operation of a cluster by its id, or the `latest`. Recorded in May 2024."""
        cluster = self._state.cluster(subscription, group, name)
        found = cluster.operation if operation.lower() == "latest" else self._state.operations.get(operation.lower())
        if found is None or found.cluster is not cluster:
            raise provider(404, "NotFound", f"The operation '{operation}' could not be found.")
        body: dict[str, Any] = {"id": f"{cluster.id}/operations/{found.id}", "name": found.id, "status": found.status}
        body["startTime"] = f"{found.started:%Y-%m-%dT%H:%M:%SZ}"
        if found.ended is not None:
            body["endTime"] = f"{found.ended:%Y-%m-%dT%H:%M:%SZ}"
        if found.error is not None:
            body["error"] = found.error
        return Reply(200, body, {"content-type": "application/json"})

    async def _result(self, call: Call, subscription: str, operation: str, **_: str) -> Reply:
        found = self._find(call, subscription, operation)
        location = {"location": self.headers(found, location=True)["location"], "content-type": "application/json"}
        if found.running:
            return Reply(202, None, {**location, **self._door.poll_headers()})
        return Reply(204, None, location)


def _signed(operation: Operation) -> dict[str, str]:
    """Return the signed parts of an operation's URL, which a client must send unchanged. Azure's `c` has 3 KB."""
    moment = str(621355968000000000 + int(operation.started.timestamp() * 10_000_000))
    return {"t": moment, "c": "MIIHpTCCBo2gAwIBAgITSandboxOnly", "s": operation.signature, "h": operation.id[:8]}


def ticks(when: dt.datetime) -> str:
    """Return a time in the form that AKS uses, with seven digits of a second."""
    return f"{when:%Y-%m-%dT%H:%M:%S.%f}0Z"
