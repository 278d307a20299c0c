"""Every route with any names, options and bodies gets an error, never a traceback and never a 500."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azure_sandbox.front.http import Router
from azure_sandbox.graph.access import KNOWN
from azure_sandbox.server import Sandbox
from azure_sandbox.world.model import World
from tests.support.examples import times
from tests.support.fuzz_requests import ARM, CLUSTER, GRAPH, GROUP, JSON, LOGIN, SCOPE, WORD, ask, check

GUID = "0a2b7dc5-8eb4-4970-9418-694f83a6c164"
NAMES = (
    "pay-01",
    "pay-weu",
    GUID,
    "x",
    "members",
    "default",
    "westeurope",
    "nodepool1",
    "1",
    "'",
    "a b",
    "é",
    "%2F",
    "me",
)
FIELDS = (
    *(
        "id",
        "ids",
        "name",
        "displayName",
        "mailNickname",
        "mailEnabled",
        "securityEnabled",
        "uniqueName",
        "description",
    ),
    *("members@odata.bind", "owners@odata.bind", "isAssignableToRole", "groupTypes", "groupIds", "requests", "method"),
    *(
        "url",
        "body",
        "dependsOn",
        "headers",
        "accessId",
        "principalId",
        "groupId",
        "action",
        "scheduleInfo",
        "expiration",
    ),
    *(
        "startDateTime",
        "endDateTime",
        "duration",
        "type",
        "justification",
        "ticketInfo",
        "state",
        "conditions",
        "users",
    ),
    *("includeUsers", "excludeGroups", "applications", "includeApplications", "grantControls", "builtInControls"),
    *(
        "operator",
        "rules",
        "enabledRules",
        "maximumDuration",
        "@odata.type",
        "setting",
        "approvalStages",
        "reviewResult",
    ),
    *("properties", "location", "tags", "addressSpace", "addressPrefixes", "addressPrefix", "subnets", "roleName"),
    *("permissions", "actions", "dataActions", "assignableScopes", "roleDefinitionId", "level", "query", "options"),
    *(
        "signInConditions",
        "signInIdentity",
        "appliedPoliciesOnly",
        "userId",
        "clientApp",
        "@odata.id",
        "value",
        "command",
    ),
)
VALUE = st.recursive(
    JSON | st.sampled_from([GUID, "member", "adminAssign", "PT2H", "noExpiration", "enabled", "block", "All", SCOPE]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=4),
    max_leaves=12,
)
DOCUMENT = st.dictionaries(st.sampled_from(FIELDS), VALUE, max_size=6)
OPTIONS = st.dictionaries(
    st.sampled_from(
        [
            "$filter",
            "$select",
            "$expand",
            "$search",
            "$count",
            "$top",
            "$orderby",
            "$skipToken",
            "$skiptoken",
            "otc",
            "x",
        ]
    ),
    st.sampled_from(
        [
            *("id eq 'x'", "displayName eq 'aks'", "groupId eq ", "startswith(displayName,'a')", "a/any(x:x eq 1)"),
            *("members($select=id)", '"displayName:a"', "true", "0", "-1", "99999", "displayName desc", "policy"),
            *("atScope()", "principalId eq 'x' and", "not (a)", "((((", "createdDateTime ge 2026"),
        ]
    )
    | WORD,
    max_size=3,
)
FORM = st.dictionaries(
    st.sampled_from(
        [
            *("grant_type", "client_id", "client_secret", "scope", "resource", "username", "password", "device_code"),
            *("code", "refresh_token", "client_assertion", "client_assertion_type", "claims", "redirect_uri", "state"),
            *("response_type", "response_mode", "code_challenge", "code_challenge_method", "user_code", "login_hint"),
        ]
    ),
    st.sampled_from(
        [
            *("client_credentials", "password", "device_code", "authorization_code", "refresh_token", "code", "a.b.c"),
            *("04b07795-8ddb-461a-bbee-02f9e1bf7b46", "https://management.azure.com/.default", "openid", "{}"),
            *("urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "http://localhost:1", "x", "form_post", "null"),
        ]
    )
    | WORD,
    max_size=7,
)


@dataclass(frozen=True, slots=True)
class RouteOfHost:
    """A route of a host."""

    host: str
    method: str
    template: str


def routers() -> list[tuple[str, Router]]:
    sandbox = Sandbox(Path("demo"), pace="instant")
    found = [(ARM, sandbox.arm.router), (LOGIN, sandbox.entra.router)]
    return [*found, *((GRAPH, it) for it in vars(sandbox.graph).values() if isinstance(it, Router))]


ROUTES = [RouteOfHost(host, it.method, it.template) for host, router in routers() for it in router._routes]  # noqa: SLF001  # every route
SCOPES = (
    SCOPE.strip("/"),
    GROUP.strip("/"),
    CLUSTER.strip("/"),
    f"{CLUSTER.strip('/')}/namespaces/x",
    "x",
    "providers/x",
)


WORLD = {
    "version": 1,
    "users": [{"name": "alice", "upn": "alice@contoso.onmicrosoft.com", "password": "x", "id": GUID}],
    "groups": [{"name": "admins", "id": GUID[:-1] + "5", "members": ["alice"], "eligible": [{"principal": "alice"}]}],
    "conditionalAccess": [{"name": "x", "id": GUID, "users": ["All"], "state": "reportOnly"}],
    "servicePrincipals": [{"name": "operator", "graphPermissions": sorted(KNOWN)}],
    "operator": "operator",
    "subscriptions": [
        {
            "name": "s",
            "id": SCOPE.rpartition("/")[2],
            "roleAssignments": [{"principal": "operator", "role": "Owner"}],
            "resourceGroups": [
                {
                    "name": "pay-weu",
                    "clusters": [{"name": "pay-01", "identity": "managed", "adminGroups": ["admins"]}],
                    "virtualNetworks": [{"name": "x", "addressPrefixes": ["10.0.0.0/8"]}],
                }
            ],
        }
    ],
}


@pytest.fixture(name="sandbox", scope="module")
def a_sandbox() -> Sandbox:
    """Return a sandbox whose operator may do everything, so that no 403 hides another error."""
    return Sandbox(World.model_validate(WORLD), pace="instant")


def filled(template: str, names: list[str], scope: str, sandbox: Sandbox) -> str:
    """Return a path for a template, with existing subscriptions and groups and any other names."""
    given_names = iter(names)

    def name(match: re.Match[str]) -> str:
        if match[2]:
            return scope
        known = {"subscription": SCOPE.rpartition("/")[2], "tenant": sandbox.directory.tenant.id}
        return known.get(match[1]) or next(given_names, "x")

    return re.sub(r"\{(\w+)(:path)?\}", name, template)


def test_the_routes_of_three_hosts_are_tested() -> None:
    assert {it.host for it in ROUTES} == {ARM, GRAPH, LOGIN}
    fewest = 150
    assert len(ROUTES) > fewest


@times(4)
@given(
    place=st.sampled_from([it for it in ROUTES if it.host != LOGIN]),
    names=st.lists(st.sampled_from(NAMES), max_size=5),
    scope=st.sampled_from(SCOPES),
    options=OPTIONS,
    body=DOCUMENT | VALUE,
)
async def test_any_request_to_a_route_of_arm_and_graph_is_answered(
    sandbox: Sandbox, place: RouteOfHost, names: list[str], scope: str, options: dict[str, str], body: Any
) -> None:
    version = {"api-version": "2026-08-01"} if place.host == ARM else {}
    path = filled(place.template, names, scope, sandbox)
    check(await ask(sandbox, place.host, place.method, path, {**version, **options}, json.dumps(body).encode()))


@times(4)
@given(place=st.sampled_from([it for it in ROUTES if it.host == LOGIN]), form=FORM, options=FORM)
async def test_any_request_to_a_route_of_entra_is_answered(
    sandbox: Sandbox, place: RouteOfHost, form: dict[str, str], options: dict[str, str]
) -> None:
    body = "&".join(f"{key}={value}" for key, value in form.items()).encode()
    check(await ask(sandbox, LOGIN, place.method, filled(place.template, [], "x", sandbox), options, body))
