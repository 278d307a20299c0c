"""Replay recorded exchanges with the real Azure against a new sandbox, and say where the answers differ."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import jwt
from multidict import CIMultiDict

from azure_sandbox.arm.resources.regions import is_region
from azure_sandbox.arm.service import Arm
from azure_sandbox.clock import Clock
from azure_sandbox.entra.directory import Directory, ServicePrincipal, Tenant, User
from azure_sandbox.entra.tokens import Tokens
from azure_sandbox.front.http import Reply, Request, split_path
from azure_sandbox.front.traffic_report import NOT_MODELLED
from azure_sandbox.graph import access
from azure_sandbox.graph.service import HOST as GRAPH
from azure_sandbox.graph.service import Graph
from azure_sandbox.recordings.presupposed import settings_of
from azure_sandbox.recordings.shapes import difference, kubeconfig_shape, shapes

Document = dict[str, Any]
GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
NO_TENANT = "00000000-0000-0000-0000-000000000000"
DOMAIN = "contoso.onmicrosoft.com"
TENANT_IDS = [re.compile(rf'"{it}": "({GUID.pattern})"') for it in ("tenantID", "tenantId")]  # of a cluster, of others
RUNNER = "2b7e0ee0-5a1e-4b7e-8d4e-61c2f86d6b11"
REMOVED, PASSWORD = "<secret>", "In-place-0f-it"  # what a recording has instead of a password, and what is sent
LONG = timedelta(hours=1)
CREATED, ACCEPTED, ABSENT = 201, 202, 404
REFUSED, FAILED = 400, 500  # the first status of each kind
ARM_HOST = "management.azure.com"
COMPARED = (ARM_HOST, GRAPH)  # the other hosts get secrets, which are not in a recording
UNCOMPARED = re.compile(r"x-ms-ratelimit|content-type|retry-after|etag")
SAME_VALUES = ("provisioningState", "aadProfile", "disableLocalAccounts")
SENT_HEADERS = {  # a recording has no request headers; these are those of the clients of this project
    "content-type": "application/json",
    "consistencylevel": "eventual",
    "prefer": "create-if-missing",
}
CHOSEN_OF_POOLS = ("workloadRuntime", "name", "count", "vmSize", "mode", "osType", "osSKU", "nodeLabels", "tags")
CHOSEN_OF_NETWORKS = ("networkPlugin", "networkPluginMode", "networkPolicy", "networkDataplane", "outboundType")
CHOSEN = (
    "dnsPrefix",
    "oidcIssuerProfile",
    "kubernetesVersion",
    "aadProfile",
    "disableLocalAccounts",
    "enableRBAC",
    "addonProfiles",
    "windowsProfile",
)


class CannotReplay(Exception):
    """The sandbox cannot make what a recording begins with."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the sandbox answered to one recorded request.

    `unlike` holds `-path type` for what only the recorded answer has, `+path type` for what only the sandbox's has.
    `said` is the sandbox's body where the statuses differ.
    `other` holds the headers that the sandbox does not send, and paths of an error's code and of values that differ.
    A sign-in is not compared, because its secret is not in the recording, and neither is a failure of its day.
    """

    number: int
    method: str
    url: str
    recorded: int
    status: int
    unlike: tuple[str, ...]
    modelled: bool
    said: str = ""
    other: tuple[str, ...] = ()
    compared: bool = True

    @property
    def same_status(self) -> bool:
        """Tell whether the sandbox gave the recorded status."""
        return self.recorded == self.status

    @property
    def same_shape(self) -> bool:
        """Tell whether the sandbox gave the recorded status, keys and types."""
        return self.same_status and not self.unlike


def _over(exchange: Document) -> bool:
    """Whether the service had ended what ran: it says so, or it accepted the next write."""
    answer = exchange["response"] if isinstance(exchange["response"], dict) else {}
    state = answer["properties"].get("provisioningState") if isinstance(answer.get("properties"), dict) else None
    members = [it.get("properties") for it in answer.get("value") or () if isinstance(it, dict)]
    states = {it.get("provisioningState") for it in members if isinstance(it, dict)}
    polled = "operationresults" in exchange["url"].lower() and exchange["status"] != ACCEPTED
    starts = exchange["status"] == CREATED or {"azure-asyncoperation", "location"} & exchange["headers"].keys()
    written = exchange["method"] in {"PUT", "PATCH", "DELETE"} and exchange["status"] < REFUSED and starts
    ended = polled or states == {"Succeeded"} or exchange["status"] == ABSENT
    return ended or bool(written) or "Succeeded" in {answer.get("status"), state}


def _pairs(recorded: Any, ours: Any) -> Iterator[tuple[str, str]]:
    """Yield the identifiers at the same place of two answers."""
    if isinstance(recorded, dict) and isinstance(ours, dict):
        for key in (it for it in recorded if it in ours):
            yield from _pairs(recorded[key], ours[key])
    elif isinstance(recorded, str) and isinstance(ours, str) and GUID.fullmatch(recorded) and GUID.fullmatch(ours):
        yield recorded, ours


class Replay:
    """Sends one recording, in order, to a control plane and a directory of its own."""

    def __init__(self, exchanges: list[Document]) -> None:
        self._exchanges = exchanges
        self.clock = Clock(pace=1)
        shown = json.dumps(exchanges)
        tenant = TENANT_IDS[0].search(shown) or TENANT_IDS[1].search(shown)
        directory = Directory(Tenant(id=tenant[1] if tenant else NO_TENANT, domain=DOMAIN), clock=self.clock)
        self._runner = _runner(exchanges)
        directory.add(self._runner)
        self.directory, self._tokens = directory, Tokens(directory)
        self._known: dict[str, str] = {}
        settings = settings_of(exchanges)
        self.arm = Arm(directory, self._tokens, self.clock, settings)
        self.graph = Graph(directory, self._tokens)
        self._subscriptions: set[str] = set()
        self._mentioned: set[str] = set()
        self._foreign: set[str] = set()  # the URLs of operations whose start is not modelled
        self._held: dict[str, tuple[Any, Any]] = {}  # the last answers about a resource: theirs and ours

    async def run(self) -> list[Outcome]:
        """Return the outcome of each exchange."""
        await self._prepare()
        return [await self._exchange(number, it) for number, it in enumerate(self._exchanges)]

    async def _prepare(self) -> None:
        """Make what the recording presupposes: subscriptions, groups and clusters that it does not create."""
        seen: set[str] = set()
        for exchange in self._exchanges:
            parts = urlsplit(exchange["url"]).path.split("/")
            if len(parts) > 2 and parts[1] == "subscriptions":  # noqa: PLR2004  # segments of an ARM id
                await self._presuppose(exchange, parts, seen)

    async def _presuppose(self, exchange: Document, parts: list[str], seen: set[str]) -> None:
        subscription = parts[2].lower()
        if subscription not in self._subscriptions:
            self._subscriptions.add(subscription)
            self.arm.add_subscription(subscription, "recorded", self.directory.tenant.id)
            self.arm.assign(f"/subscriptions/{subscription}", self._runner.id, "Owner")
        if len(parts) < 5 or parts[3].lower() != "resourcegroups":  # noqa: PLR2004  # segments of an ARM id
            return
        group, location = parts[4].lower(), self._location(parts[4])
        if group not in seen:
            seen.add(group)
            if len(parts) > 5 or exchange["status"] not in {CREATED, ABSENT}:  # noqa: PLR2004  # segments of an ARM id
                self.arm.add_resource_group(subscription, parts[4], location, self._tags(subscription, parts[4]))
        path = "/".join(parts[:9])
        if len(parts) < 9 or parts[7].lower() != "managedclusters" or path.lower() in seen:  # noqa: PLR2004  # segments of an ARM id
            return
        seen.add(path.lower())
        if exchange["status"] in {CREATED, ABSENT} and len(parts) == 9:  # noqa: PLR2004  # segments of an ARM id
            return
        document = next((it["response"] for it in self._exchanges if self._shows(it, path)), None)
        if document is None:
            return
        version = dict(parse_qsl(urlsplit(exchange["url"]).query)).get("api-version", "")
        reply = await self._send("PUT", f"https://{ARM_HOST}{path}?api-version={version}", _chosen(document))
        if reply.status != CREATED:
            raise CannotReplay(f"the sandbox cannot make the cluster {parts[8]}: {json.dumps(reply.body)}")
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
                if isinstance(found, str) and is_region(found) and place in it["url"].lower():
                    return found
        return "westus2"

    def _add_principal(self, exchange: Document) -> None:
        """Add the principal of a recorded role assignment, which the recording did not create in the directory."""
        answer = exchange["response"] if isinstance(exchange["response"], dict) else {}
        properties = answer.get("properties")
        if exchange["status"] != CREATED or not isinstance(properties, dict) or "roleDefinitionId" not in properties:
            return
        name, kind = properties.get("principalId", ""), properties.get("principalType")
        if self.directory.kind_of(name) is None and not any(
            name in json.dumps(it["response"]) for it in self._exchanges if GRAPH in it["url"]
        ):
            made: Any = ServicePrincipal(id=name, app_id=name, display_name=name)
            if kind == "User":
                made = User(id=name, upn=f"{name}@{DOMAIN}", display_name=name)
            self.directory.add(made)

    def _add_user(self, exchange: Document) -> None:
        """Add the user that a recording creates: the sandbox's Graph creates groups, and no users."""
        answer = exchange["response"]
        if exchange["status"] == CREATED and isinstance(answer, dict) and "userPrincipalName" in answer:
            name, upn = answer["displayName"], f"{answer['id']}@{DOMAIN}"  # the recorded names are scrubbed
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
            headers=CIMultiDict({"authorization": f"Bearer {token}", **SENT_HEADERS}),
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
        if exchange["status"] >= FAILED or urlsplit(exchange["url"]).netloc not in COMPARED:
            return Outcome(
                number, exchange["method"], exchange["url"], exchange["status"], 0, (), modelled=True, compared=False
            )
        if _over(exchange):
            self.clock.advance(LONG)
        self._add_principal(exchange)
        url, body = self._known.get(exchange["url"]) or self._translated(exchange["url"]), exchange["request"]
        if isinstance(body, (dict, list)):
            body = _echo(body, *self._held.get(urlsplit(exchange["url"]).path.lower(), (None, None)))
            body = json.loads(self._translated(json.dumps(body)).replace(REMOVED, PASSWORD))
        reply = await self._send(exchange["method"], url, body)
        self._learn(exchange, reply)
        ours: Any = reply.body
        unlike = tuple(sorted(self._unlike(exchange["response"], ours)))
        self._mentioned.update(urlsplit(exchange["url"]).path.lower().split("/"))
        missing = reply.status == NOT_MODELLED and "SandboxRouteNotModelled" in json.dumps(ours, default=str)
        missing = missing or exchange["url"] in self._foreign
        if missing:
            self._foreign |= {exchange["headers"].get(it, "") for it in ("azure-asyncoperation", "location")}
            self._add_user(exchange)
        same_status = reply.status == exchange["status"]
        return Outcome(
            number,
            exchange["method"],
            exchange["url"],
            exchange["status"],
            reply.status,
            unlike,
            modelled=not missing,
            said="" if same_status else json.dumps(ours, default=str),
            other=tuple(self._other(exchange, reply)) if same_status else (),
        )

    def _learn(self, exchange: Document, reply: Reply) -> None:
        headers = {key.lower(): value for key, value in reply.headers.items()}
        for name in ("azure-asyncoperation", "location"):
            if (theirs := exchange["headers"].get(name)) and name in headers:
                self._known[theirs] = headers[name]
                ids = (urlsplit(it).path.rpartition("/")[2] for it in (theirs, headers[name]))
                self._known.update(_pairs(*({"operation": it} for it in ids)))
        if exchange["status"] < REFUSED and reply.status < REFUSED and isinstance(exchange["response"], dict):
            self._held[urlsplit(exchange["url"]).path.lower()] = (exchange["response"], reply.body)
        if exchange["method"] in {"PUT", "POST", "PATCH"}:
            self._known.update((one, other) for one, other in _pairs(exchange["response"], reply.body) if one != other)
        link = exchange["response"].get("nextLink") if isinstance(exchange["response"], dict) else None
        if link and isinstance(reply.body, dict) and "nextLink" in reply.body:
            self._known[link] = reply.body["nextLink"]

    def _other(self, exchange: Document, reply: Reply) -> Iterator[str]:
        """Yield what differs apart from the shape: headers that clients act on, an error's code, a cluster's state."""
        sent = {name.lower() for name in reply.headers}
        yield from (f"-{it} header" for it in exchange["headers"] if not UNCOMPARED.match(it) and it not in sent)
        recorded, ours = exchange["response"], reply.body
        if not isinstance(recorded, dict) or not isinstance(ours, dict):
            return
        for part, keys in (("error", ("code",)), ("properties", SAME_VALUES)):
            theirs, mine = recorded.get(part), ours.get(part)
            if isinstance(theirs, dict) and isinstance(mine, dict):
                yield from (f"-.{part}.{it} value" for it in keys if _masked(theirs.get(it)) != _masked(mine.get(it)))

    def _unlike(self, recorded: Any, ours: Any) -> set[str]:
        if isinstance(recorded, dict) and isinstance(ours, dict):
            if "kubeconfigs" in recorded and ours.get("kubeconfigs"):
                held = kubeconfig_shape(recorded)  # a single string where the recording holds no kubeconfig
                return difference(held, kubeconfig_shape(ours)) if len(held) > 1 else set()
            if isinstance(recorded.get("value"), list) and isinstance(ours.get("value"), list):
                return self._unlike_lists(recorded, ours)
        empty = (None, "", b"")
        if recorded in empty and ours in empty:
            return set()
        return difference(shapes(recorded), shapes(ours))

    def _unlike_lists(self, recorded: Document, ours: Document) -> set[str]:
        """Compare the envelopes, and the members of the same name: the recorded tenant holds more than a world."""
        found = difference(shapes({**recorded, "value": []}), shapes({**ours, "value": []}))
        held = {key: it for it in ours["value"] if (key := _name(it))}
        for it in recorded["value"]:
            name = self._translated(_name(it)).lower()
            if name in held:
                found |= difference(shapes(it, ".value[]"), shapes(held[name], ".value[]"))
            elif name and name in self._mentioned:
                found.add(f"-.value[{name}]")
        return found


def _runner(exchanges: list[Document]) -> ServicePrincipal:
    """Return who signed in: the application of the recorded tokens. Without a token it has all permissions of Graph."""
    found: Document = {}
    for it in exchanges:
        token = it["response"].get("access_token") if isinstance(it["response"], dict) else None
        with suppress(jwt.PyJWTError):  # a token of another form says nothing
            found.update(jwt.decode(token or "", options={"verify_signature": False}))
    return ServicePrincipal(
        id=found.get("oid", RUNNER),
        app_id=found.get("appid", "app"),
        display_name="runner",
        graph_permissions=frozenset(found.get("roles", ()) if found else access.KNOWN),
    )


def _masked(value: Any) -> str:
    """Return a value as text in which all identifiers are equal: the sandbox makes others than the real service."""
    return GUID.sub("id", json.dumps(value, sort_keys=True))


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


def _chosen(document: Document) -> Document:
    """Return what a client would send to get a cluster like this one: its choices, not the service's defaults."""
    properties = document["properties"]
    sent = {key: properties[key] for key in CHOSEN if key in properties}
    pools = properties.get("agentPoolProfiles") or []
    sent["agentPoolProfiles"] = [{key: it[key] for key in CHOSEN_OF_POOLS if key in it} for it in pools]
    if "linuxProfile" in properties:
        sent["linuxProfile"] = properties["linuxProfile"]
    network = properties.get("networkProfile") or {}
    if "windowsProfile" in properties or network.get("networkPlugin") != "azure":  # who names azure, gets the profile
        sent["networkProfile"] = {key: network[key] for key in CHOSEN_OF_NETWORKS if key in network}
    envelope: Document = {key: document[key] for key in ("location", "sku", "tags") if key in document}
    if "identity" in document:
        envelope["identity"] = {"type": "SystemAssigned"}
    elif "servicePrincipalProfile" in properties:
        sent["servicePrincipalProfile"] = properties["servicePrincipalProfile"]
    return {**envelope, "properties": sent}
