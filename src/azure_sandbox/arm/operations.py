"""Long-running operations: how they start, what they do on the way, how they end, and how they are asked about."""

from __future__ import annotations

import datetime as dt
import secrets
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from azure_sandbox.arm.errors import front, provider
from azure_sandbox.arm.gate import Call, Gate
from azure_sandbox.arm.state import ManagedCluster, Operation, State
from azure_sandbox.clock import Clock
from azure_sandbox.http import Problem, Reply

API_VERSION = "2025-03-01"
LOCATION = "/subscriptions/{subscription}/providers/Microsoft.ContainerService/locations/{location}"
SIGNED = ("t", "c", "s", "h")
DURATIONS: Mapping[str, float] = {
    "create": 320,
    "update": 113,
    "enable-entra": 160,
    "legacy-to-managed": 166,
    "azure-rbac": 180,
    "enable-local-accounts": 101,
    "rotate": 1500,
    "stop": 100,
    "start": 200,
    "abort": 7,
    "delete": 240,
    "tags": 15,
    "pool": 60,
}
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
    """What an operation does: its state while it runs, its length, its steps and what holds once it has succeeded."""

    kind: str
    length: str
    plan: Plan = field(default=lambda _cause, _moment: None)
    done: Callable[[dt.datetime], None] = field(default=lambda _when: None)
    pool: str = ""
    failure: dict[str, Any] | None = None


def conflict(cluster: ManagedCluster, running: Operation) -> Problem:
    """409 beside an operation that runs, in the words of 2026."""
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
    """Starts operations on clusters and answers for them."""

    def __init__(self, gate: Gate, durations: Mapping[str, float]) -> None:
        self._gate = gate
        self._state: State = gate.state
        self._clock: Clock = gate.clock
        self._durations = {**DURATIONS, **durations}
        options = ("operationId", *SIGNED)
        gate.add("GET", f"{LOCATION}/operations/{{operation}}", self._status, action=None, options=options)
        gate.add("GET", f"{LOCATION}/operationresults/{{operation}}", self._result, action=None, options=options)

    def refuse_beside(self, cluster: ManagedCluster) -> None:
        """409 while another operation runs on a cluster."""
        if cluster.operation is not None and cluster.operation.running:
            raise conflict(cluster, cluster.operation)

    def start(self, cluster: ManagedCluster, course: Course) -> Operation:
        """Start an operation on a cluster that is at rest."""
        operation = Operation(
            id=str(uuid.uuid4()),
            subscription=cluster.subscription,
            location=cluster.location,
            kind=course.kind,
            started=self._clock.now(),
            cluster=cluster,
            signature=secrets.token_urlsafe(48),
            pool=course.pool,
        )
        self._state.operations[operation.id] = operation
        cluster.operation = operation
        length = self._durations[course.length]

        def moment(share: float) -> dt.datetime:
            return self._clock.after(length * share, since=operation.started)

        if course.pool:
            cluster.pool_states[course.pool] = course.kind
        else:
            cluster.set_state(course.kind)
        cluster.touch(pool=course.pool)
        course.plan(operation.id, moment)

        def end(when: dt.datetime) -> None:
            self._end(operation, course, when)

        cluster.server.timeline.plan(moment(1), operation.id, end)
        return operation

    @staticmethod
    def _end(operation: Operation, course: Course, when: dt.datetime) -> None:
        cluster = operation.cluster
        outcome = "Failed" if course.failure else "Succeeded"
        operation.status, operation.ended, operation.error = outcome, when, course.failure
        if course.pool:
            cluster.pool_states[course.pool] = outcome
        else:
            cluster.set_state(outcome)
        if not course.failure:
            course.done(when)
        cluster.touch(pool=course.pool)

    def cancel(self, cluster: ManagedCluster) -> Operation | None:
        """End the running operation of a cluster where it stands; what it has done is not undone."""
        running = cluster.operation
        if running is None or not running.running:
            return None
        cluster.server.timeline.forget(running.id)
        running.status, running.ended = "Canceled", self._clock.now()
        return running

    def headers(self, operation: Operation, *, location: bool) -> dict[str, str]:
        """Where an operation is asked about; signed URLs, to be used as they are."""
        query = f"api-version={API_VERSION}&t={operation.started:%Y%m%d%H%M%S}&c=MIIH&s={operation.signature}&h=sandbox"
        base = "https://management.azure.com" + LOCATION.format(
            subscription=operation.subscription, location=operation.location
        )
        headers = {"azure-asyncoperation": f"{base}/operations/{operation.id}?{query}", **self._gate.poll_headers()}
        if location:
            headers["location"] = f"{base}/operationresults/{operation.id}?{query}"
        return headers

    def _find(self, call: Call, subscription: str, operation: str) -> Operation:
        found = self._state.operations.get(operation.lower())
        if found is None or found.subscription.lower() != subscription.lower():
            raise front(404, "NotFound", f"The operation '{operation}' could not be found.")
        if call.option("s") != found.signature or not call.option("t"):
            text = "The signature of the operation's URL is missing or wrong: poll the URL as it was given."
            raise front(403, "InvalidAsyncOperationSignature", text)
        if not self._state.access.knows(call.principals, found.cluster.id):
            self._gate.require(call, "Microsoft.ContainerService/locations/operations/read", call.request.path)
        found.cluster.server.settle()
        return found

    async def _status(self, call: Call, subscription: str, operation: str, **_: str) -> Reply:
        found = self._find(call, subscription, operation)
        body: dict[str, Any] = {"name": found.id, "status": found.status, "startTime": ticks(found.started)}
        if found.ended is not None:
            body["endTime"] = ticks(found.ended)
        if found.error is not None:
            body["error"] = found.error
        return Reply(200, body, {"content-type": "application/json", **self._gate.poll_headers()})

    async def _result(self, call: Call, subscription: str, operation: str, **_: str) -> Reply:
        found = self._find(call, subscription, operation)
        location = {"location": self.headers(found, location=True)["location"], "content-type": "application/json"}
        if found.running:
            return Reply(202, None, {**location, **self._gate.poll_headers()})
        return Reply(204, None, location)


def ticks(when: dt.datetime) -> str:
    """A time as AKS writes it: seven digits of a second."""
    return f"{when:%Y-%m-%dT%H:%M:%S.%f}0Z"
