"""The run command action (`az aks command invoke`): a command in the cluster, with the caller's token or as admin.

Only `kubectl get` and `kubectl version` are modelled, through the cluster's API. Other commands are answered with 501.
"""

from __future__ import annotations

import datetime as dt
import json
import shlex
import uuid
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding

from azure_sandbox.arm.containerservice.api_servers import regime_of
from azure_sandbox.arm.containerservice.clusters import CLUSTER, JSON
from azure_sandbox.arm.containerservice.durations import Durations
from azure_sandbox.arm.containerservice.operations import ticks
from azure_sandbox.arm.errors import bad_request, not_modelled, provider
from azure_sandbox.arm.front_door import Call, FrontDoor
from azure_sandbox.arm.state import CLUSTER_TYPE, ManagedCluster, State
from azure_sandbox.cluster.resources import RESOURCES, Resource
from azure_sandbox.front.http import Reply, Request

Document = dict[str, Any]
RESULT = f"{CLUSTER}/commandResults/{{command}}"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Printed:
    """What a command reads, and how kubectl prints it: `everywhere` adds a column with the namespace."""

    path: str
    accept: str = "application/json"
    namespace: str = ""
    everywhere: bool = False


@dataclass(slots=True, kw_only=True)
class Command:
    """A command that was accepted. Its output exists already; clients see it from `due` on."""

    id: str
    started: dt.datetime
    due: dt.datetime
    code: int
    logs: str


class RunCommand:
    """The run command action and its results."""

    def __init__(self, door: FrontDoor, durations: Durations) -> None:
        self._door = door
        self._state: State = door.state
        self._durations = durations
        act = f"{CLUSTER_TYPE}/"
        door.add("POST", f"{CLUSTER}/runCommand", self._run, scope=CLUSTER, action=act + "runCommand/action")
        door.add("GET", RESULT, self._result, scope=CLUSTER, action=act + "commandResults/read")

    async def _run(self, call: Call, subscription: str, group: str, name: str) -> Reply:
        cluster = self._state.cluster(subscription, group, name)
        sent = call.request.json()
        command = sent.get("command")
        if not isinstance(command, str) or not command.strip():
            raise bad_request("Required parameter command is missing (null).", target="command")
        self._check(cluster, sent)
        code, logs = await self._output(cluster, command, sent.get("clusterToken"), call.request)
        clock = self._door.clock
        made = Command(
            id=uuid.uuid4().hex,
            started=clock.now(),
            due=clock.after(self._durations("run-command", cluster.name)),
            code=code,
            logs=logs,
        )
        cluster.commands[made.id] = made
        location = f"https://management.azure.com{cluster.id}/commandResults/{made.id}?api-version={call.version}"
        return Reply(202, None, {"location": location, **self._door.poll_headers()})

    @staticmethod
    def _check(cluster: ManagedCluster, sent: Document) -> None:
        """Raise AKS's 400 if the command is not allowed. The rules are documented, their wording is not recorded."""
        access = cluster.properties.get("apiServerAccessProfile") or {}
        if access.get("disableRunCommand"):
            raise bad_request("Run command is disabled on this managed cluster.")
        if cluster.stopped:
            raise provider(400, "OperationNotAllowed", "Run command is not allowed: the managed cluster is stopped.")
        if regime_of(cluster.document).identity == "managed" and not sent.get("clusterToken"):
            raise bad_request("clusterToken is required for a managed AAD enabled cluster.", target="clusterToken")

    async def _output(
        self, cluster: ManagedCluster, command: str, token: str | None, request: Request
    ) -> tuple[int, str]:
        words = shlex.split(command)
        asked_for = _kubectl(words)
        managed = regime_of(cluster.document).identity == "managed"
        certificate = None if managed else cluster.server.generation.admin.certificate.public_bytes(Encoding.DER)
        asked = Request(
            method="GET",
            host=cluster.server.fqdn,
            path=asked_for.path,
            raw_path=asked_for.path,
            query={},
            headers={"accept": asked_for.accept, **({"authorization": f"Bearer {token}"} if managed else {})},
            peer_certificate=certificate,
            now=request.now,
        )
        reply = await cluster.server.handle(asked)
        body = reply.body
        if not isinstance(body, dict):
            return 0, str(body)
        if reply.status >= 400:  # noqa: PLR2004  # HTTP
            reason = body.get("reason", "Error")
            if reason == "Unauthorized":
                return 1, "error: You must be logged in to the server (Unauthorized)\n"
            return 1, f"Error from server ({reason}): {body.get('message', '')}\n"
        if body.get("kind") == "Table":
            return 0, _printed(body, asked_for)
        return 0, json.dumps(body, indent=4) + "\n"

    async def _result(self, _: Call, subscription: str, group: str, name: str, command: str) -> Reply:
        cluster = self._state.cluster(subscription, group, name)
        found = cluster.commands.get(command)
        if found is None:
            raise provider(404, "NotFound", f"Could not find command result {command}.")
        running = self._door.clock.progress() < found.due
        properties: Document = {"provisioningState": "Running" if running else "Succeeded"}
        if running:
            location = f"https://management.azure.com{cluster.id}/commandResults/{found.id}?api-version={_.version}"
            headers = {**JSON, "location": location, **self._door.poll_headers()}
            return Reply(202, {"id": found.id, "properties": properties}, headers)
        properties |= {
            "exitCode": found.code,
            "startedAt": ticks(found.started),
            "finishedAt": ticks(self._door.clock.now()),
            "logs": found.logs,
        }
        return Reply(200, {"id": found.id, "properties": properties}, JSON)


def _resource(word: str) -> Resource:
    wanted = word.lower().partition(".")[0]
    found = next((it for it in RESOURCES if wanted in {it.plural, it.singular, *it.short}), None)
    if found is None:
        raise not_modelled(f"kubectl get {word} in a run command")
    return found


def _kubectl(words: list[str]) -> Printed:  # noqa: C901  # one case per flag
    """Return what `kubectl version` or `kubectl get` reads; raises 501 for other commands."""
    if words[:2] == ["kubectl", "version"]:
        return Printed(path="/version")
    if words[:2] != ["kubectl", "get"]:
        raise not_modelled(f"the command {shlex.join(words)!r} (kubectl get and kubectl version are)")
    namespace, everywhere, as_json, rest = "default", False, False, []
    pending = iter(words[2:])
    for word in pending:
        if word in {"-n", "--namespace"}:
            namespace = next(pending, "default")
        elif word in {"-A", "--all-namespaces"}:
            everywhere = True
        elif word in {"-o", "--output"}:
            as_json = _output_form(next(pending, ""))
        elif word.startswith("-o"):
            as_json = _output_form(word[2:].lstrip("="))
        elif word.startswith("-"):
            raise not_modelled(f"kubectl get {word} in a run command")
        else:
            rest.append(word)
    most = 2
    if not 1 <= len(rest) <= most or (everywhere and len(rest) == most):
        raise not_modelled(f"the command {shlex.join(words)!r}")
    it = _resource(rest[0])
    path = f"/apis/{it.group}/{it.version}" if it.group else f"/api/{it.version}"
    if it.namespaced and not everywhere:
        path += f"/namespaces/{namespace}"
    return Printed(
        path="/".join([path, it.plural, *rest[1:]]),
        accept="application/json" if as_json else TABLE,
        namespace=namespace if it.namespaced else "",
        everywhere=everywhere and it.namespaced,
    )


def _output_form(word: str) -> bool:
    if word not in {"json", "wide"}:
        raise not_modelled(f"kubectl get -o {word} in a run command")
    return word == "json"


def _printed(table: Document, asked_for: Printed) -> str:
    """Return a table in the form that kubectl prints."""
    if not table["rows"]:
        place = f" in {asked_for.namespace} namespace." if asked_for.namespace and not asked_for.everywhere else ""
        return f"No resources found{place}\n"
    lines = [[it["name"].upper() for it in table["columnDefinitions"]]]
    lines += [[str(cell) for cell in row["cells"]] for row in table["rows"]]
    if asked_for.everywhere:
        homes = ["NAMESPACE", *(row["object"]["metadata"]["namespace"] for row in table["rows"])]
        lines = [[home, *line] for home, line in zip(homes, lines, strict=True)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = ("   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)
    return "".join(f"{line.rstrip()}\n" for line in padded)
