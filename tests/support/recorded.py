"""Replays recorded exchanges with the real service against the sandbox, and says where the answers differ."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from multidict import CIMultiDict
from ruamel.yaml import YAML

from azure_sandbox.arm.service import Arm, ArmSettings
from azure_sandbox.clock import Clock
from azure_sandbox.entra.directory import Directory, ServicePrincipal, Tenant, User
from azure_sandbox.entra.tokens import Tokens
from azure_sandbox.front.http import Reply, Request, split_path
from azure_sandbox.graph import access
from azure_sandbox.graph.service import HOST as GRAPH
from azure_sandbox.graph.service import Graph

Document = dict[str, Any]
TENANT = Tenant(id="00000000-0000-0000-0000-000000000000", domain="contoso.onmicrosoft.com")
RUNNER = "2b7e0ee0-5a1e-4b7e-8d4e-61c2f86d6b11"
LONG = timedelta(hours=1)
REFUSED, FAILED = 400, 500  # the first status of each kind
GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
CHOSEN_OF_POOLS = ("name", "count", "vmSize", "mode", "osType", "osSKU", "nodeLabels", "tags")
CHOSEN = (
    "dnsPrefix",
    "oidcIssuerProfile",
    "kubernetesVersion",
    "aadProfile",
    "disableLocalAccounts",
    "enableRBAC",
    "addonProfiles",
)


def shapes(value: Any, path: str = "") -> set[tuple[str, str]]:
    """Return every key path with its type. All numbers are one type; all members of a list share a path."""
    kind = "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__
    found = {(path, kind)}
    if isinstance(value, dict):
        for key, inner in value.items():
            found |= shapes(inner, f"{path}.{key}")
    elif isinstance(value, list):
        for inner in value:
            found |= shapes(inner, f"{path}[]")
    return found


def kubeconfig_shape(document: Document) -> set[tuple[str, str]]:
    """Return the shape of the first kubeconfig in an answer, which a recording holds without its encoding."""
    text = document["kubeconfigs"][0]["value"]
    if text.startswith("<base64 of>"):
        return shapes(YAML(typ="safe").load(text.removeprefix("<base64 of>")))
    return shapes(YAML(typ="safe").load(b64decode(text)))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the sandbox answered to one recorded request. `unlike` holds `+path` for what only the sandbox has."""

    number: int
    method: str
    url: str
    recorded: int
    status: int
    unlike: tuple[str, ...]
    modelled: bool
    said: str = ""  # what the sandbox said where the statuses differ

    @property
    def same_status(self) -> bool:
        return self.recorded == self.status

    @property
    def same_shape(self) -> bool:
        return self.same_status and not self.unlike


def _over(exchange: Document) -> bool:
    """Whether the service had ended what ran: it says so, or it accepted the next write."""
    answer = exchange["response"] if isinstance(exchange["response"], dict) else {}
    state = answer["properties"].get("provisioningState") if isinstance(answer.get("properties"), dict) else None
    ended = "operationresults" in exchange["url"].lower() and exchange["status"] != 202
    starts = exchange["status"] == 201 or {"azure-asyncoperation", "location"} & exchange["headers"].keys()
    written = exchange["method"] not in {"GET", "HEAD"} and exchange["status"] < REFUSED and starts
    return ended or written or "Succeeded" in {answer.get("status"), state} or exchange["status"] == 404


def _pairs(recorded: Any, ours: Any) -> Iterator[tuple[str, str]]:
    """Yield the identifiers at the same place of two answers."""
    if isinstance(recorded, dict) and isinstance(ours, dict):
        for key in recorded.keys() & ours.keys():
            yield from _pairs(recorded[key], ours[key])
    elif isinstance(recorded, str) and isinstance(ours, str) and GUID.fullmatch(recorded) and GUID.fullmatch(ours):
        yield recorded, ours


class Replay:
    """Sends one recording, in order, to a control plane and a directory of its own."""

    def __init__(self, exchanges: list[Document]) -> None:
        self._exchanges = exchanges
        self.clock = Clock(pace=1)
        directory = Directory(TENANT, clock=self.clock)
        permissions = frozenset(access.KNOWN)
        self._runner = ServicePrincipal(id=RUNNER, app_id="app", display_name="runner", graph_permissions=permissions)
        directory.add(self._runner)
        self.directory, self._tokens = directory, Tokens(directory)
        self._known: dict[str, str] = {}
        version = self._version()
        settings = ArmSettings(default_version=version) if version else ArmSettings()
        self.arm = Arm(directory, self._tokens, self.clock, settings)
        self.graph = Graph(directory, self._tokens)
        self._subscriptions: set[str] = set()
        self._mentioned: set[str] = set()
        self._foreign: set[str] = set()  # the URLs of operations whose start is not modelled
        self._held: dict[str, tuple[Any, Any]] = {}  # the last answers about a resource: theirs and ours

    def _version(self) -> str:
        for it in self._exchanges:
            answer = it["response"]
            properties = answer.get("properties") if isinstance(answer, dict) else None
            if isinstance(properties, dict) and properties.get("currentKubernetesVersion"):
                return str(properties["currentKubernetesVersion"])
        return ""

    async def run(self) -> list[Outcome]:
        """Return the outcome of each exchange."""
        await self._prepare()
        return [await self._exchange(number, it) for number, it in enumerate(self._exchanges)]

    async def _prepare(self) -> None:
        """Make what the recording presupposes: subscriptions, groups and clusters that it does not create."""
        seen: set[str] = set()
        for exchange in self._exchanges:
            parts = urlsplit(exchange["url"]).path.split("/")
            if len(parts) > 2 and parts[1] == "subscriptions":
                await self._presuppose(exchange, parts, seen)

    async def _presuppose(self, exchange: Document, parts: list[str], seen: set[str]) -> None:
        subscription = parts[2].lower()
        if subscription not in self._subscriptions:
            self._subscriptions.add(subscription)
            self.arm.add_subscription(subscription, "recorded", TENANT.id)
            self.arm.assign(f"/subscriptions/{subscription}", RUNNER, "Owner")
        if len(parts) < 5 or parts[3].lower() != "resourcegroups":
            return
        group, location = parts[4].lower(), self._location(parts[4])
        if group not in seen:
            seen.add(group)
            if len(parts) > 5 or exchange["status"] not in {201, 404}:
                self.arm.add_resource_group(subscription, parts[4], location, self._tags(subscription, parts[4]))
        path = "/".join(parts[:9])
        if len(parts) < 9 or parts[7].lower() != "managedclusters" or path.lower() in seen:
            return
        seen.add(path.lower())
        if exchange["status"] in {201, 404} and len(parts) == 9:
            return
        document = next(it["response"] for it in self._exchanges if self._shows(it, path))
        version = dict(parse_qsl(urlsplit(exchange["url"]).query))["api-version"]
        reply = await self._send("PUT", f"https://management.azure.com{path}?api-version={version}", _chosen(document))
        assert reply.status == 201, reply.body
        self.clock.advance(LONG)

    def _tags(self, subscription: str, group: str) -> dict[str, str] | None:
        place = f"/subscriptions/{subscription}/resourcegroups/{group}".lower()
        shown = (it["response"] for it in self._exchanges if self._shows(it, place))
        return next((it["tags"] for it in shown if "tags" in it), None)

    @staticmethod
    def _shows(exchange: Document, path: str) -> bool:
        answer = exchange["response"]
        return isinstance(answer, dict) and str(answer.get("id", "")).lower() == path.lower()

    def _location(self, group: str) -> str:
        place = f"/resourcegroups/{group}".lower()
        for it in self._exchanges:
            for body in (it["response"], it["request"]):
                found = body.get("location") if isinstance(body, dict) else None
                if isinstance(found, str) and place in it["url"].lower():
                    return found
        return "westus2"

    def _add_principal(self, exchange: Document) -> None:
        """Add the principal of a recorded role assignment, which the recording did not create in the directory."""
        answer = exchange["response"] if isinstance(exchange["response"], dict) else {}
        properties = answer.get("properties")
        if exchange["status"] != 201 or not isinstance(properties, dict) or "roleDefinitionId" not in properties:
            return
        name, kind = properties.get("principalId", ""), properties.get("principalType")
        if self.directory.kind_of(name) is None and not any(
            name in json.dumps(it["response"]) for it in self._exchanges if GRAPH in it["url"]
        ):
            made: Any = ServicePrincipal(id=name, app_id=name, display_name=name)
            if kind == "User":
                made = User(id=name, upn=f"{name}@{TENANT.domain}", display_name=name)
            self.directory.add(made)

    def _add_user(self, exchange: Document) -> None:
        """Add the user that a recording creates: the sandbox's Graph creates groups, and no users."""
        answer = exchange["response"]
        if exchange["status"] == 201 and GRAPH in exchange["url"] and "userPrincipalName" in answer:
            name, upn = answer["displayName"], f"{answer['id']}@{TENANT.domain}"  # the recorded names are scrubbed
            self.directory.add(User(id=answer["id"], upn=upn, display_name=name))

    async def _send(self, method: str, url: str, body: Any) -> Reply:
        parts = urlsplit(url)
        graph = parts.netloc == GRAPH
        audience = "https://graph.microsoft.com" if graph else "https://management.azure.com"
        token = self._tokens.issue(self._runner, audience=audience, lifetime=timedelta(days=3650))
        request = Request(
            method=method,
            host=parts.netloc,
            path=split_path(parts.path),
            raw_path=parts.path,
            query=dict(parse_qsl(parts.query, keep_blank_values=True)),
            headers=CIMultiDict({"authorization": f"Bearer {token}", "content-type": "application/json"}),
            body=b"" if body is None else json.dumps(body).encode(),
            now=self.clock.now(),
        )
        return await (self.graph.handle(request) if graph else self.arm.router.dispatch(request))

    def _translated(self, text: str) -> str:
        """A text in which the identifiers that the real service gave are those that the sandbox gave."""
        for theirs, ours in self._known.items():
            text = text.replace(theirs, ours)
        return text

    async def _exchange(self, number: int, exchange: Document) -> Outcome:
        if exchange["status"] >= FAILED:  # a fault of its day, after which the client repeated the request
            return Outcome(number, exchange["method"], exchange["url"], exchange["status"], 0, (), modelled=True)
        if _over(exchange):
            self.clock.advance(LONG)
        self._add_principal(exchange)
        url, body = self._known.get(exchange["url"]) or self._translated(exchange["url"]), exchange["request"]
        if isinstance(body, (dict, list)):
            body = _echo(body, *self._held.get(urlsplit(exchange["url"]).path.lower(), (None, None)))
            body = json.loads(self._translated(json.dumps(body)))
        reply = await self._send(exchange["method"], url, body)
        self._learn(exchange, reply)
        ours: Any = reply.body
        unlike = tuple(sorted(self._unlike(exchange["response"], ours)))
        self._mentioned.update(urlsplit(exchange["url"]).path.lower().split("/"))
        missing = reply.status == 501 and isinstance(ours, dict) and "SandboxRouteNotModelled" in json.dumps(ours)
        missing = missing or exchange["url"] in self._foreign
        if missing:
            self._foreign |= {exchange["headers"].get(it, "") for it in ("azure-asyncoperation", "location")}
            self._add_user(exchange)
        return Outcome(
            number,
            exchange["method"],
            exchange["url"],
            exchange["status"],
            reply.status,
            unlike,
            modelled=not missing,
            said="" if reply.status == exchange["status"] else json.dumps(ours, default=str),
        )

    def _learn(self, exchange: Document, reply: Reply) -> None:
        headers = {key.lower(): value for key, value in reply.headers.items()}
        for name in ("azure-asyncoperation", "location"):
            if (theirs := exchange["headers"].get(name)) and name in headers:
                self._known[theirs] = headers[name]
        if exchange["status"] < REFUSED and reply.status < REFUSED and isinstance(exchange["response"], dict):
            self._held[urlsplit(exchange["url"]).path.lower()] = (exchange["response"], reply.body)
        if exchange["method"] in {"PUT", "POST"}:
            self._known.update((one, other) for one, other in _pairs(exchange["response"], reply.body) if one != other)
        link = exchange["response"].get("nextLink") if isinstance(exchange["response"], dict) else None
        if link and isinstance(reply.body, dict) and "nextLink" in reply.body:
            self._known[link] = reply.body["nextLink"]

    def _unlike(self, recorded: Any, ours: Any) -> set[str]:
        if isinstance(recorded, dict) and isinstance(ours, dict):
            if "kubeconfigs" in recorded and ours.get("kubeconfigs"):
                held = kubeconfig_shape(recorded)  # a single string where the recording holds no kubeconfig
                return _difference(held, kubeconfig_shape(ours)) if len(held) > 1 else set()
            if isinstance(recorded.get("value"), list) and isinstance(ours.get("value"), list):
                return self._unlike_lists(recorded, ours)
        empty = (None, "", b"")
        if recorded in empty and ours in empty:
            return set()
        return _difference(shapes(recorded), shapes(ours))

    def _unlike_lists(self, recorded: Document, ours: Document) -> set[str]:
        """Compare the envelopes, and the members of the same name: the recorded tenant holds more than a world."""
        found = _difference(shapes({**recorded, "value": []}), shapes({**ours, "value": []}))
        held = {key: it for it in ours["value"] if (key := _name(it))}
        for it in recorded["value"]:
            name = self._translated(_name(it)).lower()
            if name in held:
                found |= _difference(shapes(it, ".value[]"), shapes(held[name], ".value[]"))
            elif name and name in self._mentioned:
                found.add(f"-.value[{name}]")
        return found


def _echo(sent: Any, theirs: Any, ours: Any) -> Any:
    """Return a request in which the values that the client had read from the real service are those of the sandbox."""
    if isinstance(sent, dict) and isinstance(theirs, dict) and isinstance(ours, dict):
        return {key: _echo(it, theirs.get(key), ours.get(key)) for key, it in sent.items()}
    if isinstance(sent, list) and isinstance(theirs, list) and isinstance(ours, list):
        if len(sent) == len(theirs) == len(ours):
            return [_echo(*its) for its in zip(sent, theirs, ours, strict=True)]
        return sent
    return ours if ours is not None and sent == theirs and type(sent) is type(ours) else sent


def _name(member: Any) -> str:
    if isinstance(member, str):
        return member.lower()
    return str(member.get("name") or member.get("displayName") or member.get("id") or "").lower()


def _difference(recorded: set[tuple[str, str]], ours: set[tuple[str, str]]) -> set[str]:
    lacking = {f"-{path} {kind}" for path, kind in recorded - ours}
    return lacking | {f"+{path} {kind}" for path, kind in ours - recorded}


def _chosen(document: Document) -> Document:
    """Return what a client would send to get a cluster like this one: its choices, not the service's defaults."""
    properties = document["properties"]
    sent = {key: properties[key] for key in CHOSEN if key in properties}
    pools = properties.get("agentPoolProfiles") or []
    sent["agentPoolProfiles"] = [{key: it[key] for key in CHOSEN_OF_POOLS if key in it} for it in pools]
    if "linuxProfile" in properties:
        sent["linuxProfile"] = properties["linuxProfile"]
    envelope: Document = {key: document[key] for key in ("location", "sku", "tags") if key in document}
    return {**envelope, "identity": {"type": "SystemAssigned"}, "properties": sent}
