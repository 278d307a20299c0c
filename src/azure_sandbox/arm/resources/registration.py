"""The resource providers and preview features that a subscription has registered."""

from __future__ import annotations

from typing import Any

from azure_sandbox.arm import api_versions
from azure_sandbox.arm.errors import front
from azure_sandbox.arm.front_door import Call, FrontDoor
from azure_sandbox.arm.resources.regions import REGIONS
from azure_sandbox.arm.state import State
from azure_sandbox.front.http import Reply

Document = dict[str, Any]
SUBSCRIPTION = "/subscriptions/{subscription}"
JSON = {"content-type": "application/json; charset=utf-8"}
REGISTERED = (
    "Microsoft.Authorization",
    "Microsoft.Compute",
    "Microsoft.ContainerService",
    "Microsoft.Features",
    "Microsoft.Insights",
    "Microsoft.ManagedIdentity",
    "Microsoft.Network",
    "Microsoft.OperationalInsights",
    "Microsoft.PolicyInsights",
    "Microsoft.ResourceGraph",
    "Microsoft.Resources",
    "Microsoft.Storage",
)
OTHERS = (
    *("Microsoft.AlertsManagement", "Microsoft.ContainerRegistry", "Microsoft.Dashboard", "Microsoft.KeyVault"),
    *("Microsoft.Kubernetes", "Microsoft.Monitor", "Microsoft.OperationsManagement"),
)
KNOWN_FEATURES = (
    "AKS-KedaPreview",
    "AutomaticSKUPreview",
    "EnableAPIServerVnetIntegrationPreview",
    "JWTAuthenticatorPreview",
    "NodeAutoProvisioningPreview",
    "RunCommandPreview",
)


def _selected(shown: Document, call: Call) -> Document:
    """Return the properties of a provider that `$select` names; case does not matter. Recorded in August 2025."""
    names = {it.strip().lower() for it in call.option("$select").split(",") if it.strip()}
    return {key: it for key, it in shown.items() if not names or key.lower() in names}


class Registration:
    """The routes of providers and features."""

    def __init__(self, door: FrontDoor) -> None:
        self._clock = door.clock
        self._state: State = door.state
        self._registered, self._features = door.state.registered, door.state.features
        right = "Microsoft.Resources/subscriptions/"
        providers = f"{SUBSCRIPTION}/providers"
        options = ("$expand", "$select", "$top")
        door.add("GET", providers, self._providers, scope=SUBSCRIPTION, action=right + "read", options=options)
        one = f"{providers}/{{namespace}}"
        door.add("GET", one, self._provider, scope=SUBSCRIPTION, action=right + "read", options=options)
        door.add(
            "POST",
            f"{one}/register",
            self._register,
            scope=SUBSCRIPTION,
            action="Microsoft.Resources/subscriptions/providers/register/action",
        )
        features = f"{providers}/Microsoft.Features/providers/{{namespace}}/features"
        read = "Microsoft.Features/providers/features/"
        door.add("GET", features, self._list, scope=SUBSCRIPTION, action=read + "read")
        door.add("GET", f"{features}/{{name}}", self._feature, scope=SUBSCRIPTION, action=read + "read")
        for verb in ("register", "unregister"):
            handler = self._switch_on if verb == "register" else self._switch_off
            path = f"{features}/{{name}}/{verb}"
            door.add("POST", path, handler, scope=SUBSCRIPTION, action=f"{read}{verb}/action")

    def _shown(self, subscription: str, namespace: str) -> Document:
        known = next((it for it in (*REGISTERED, *OTHERS) if it.lower() == namespace.lower()), None)
        if known is None:
            text = f"The resource namespace '{namespace}' is invalid."
            raise front(404, "InvalidResourceNamespace", text)
        home = self._state.subscription(subscription)
        on = known in REGISTERED or known in self._registered.get(home.id, set())
        return {
            "id": f"{home.scope}/providers/{known}",
            "namespace": known,
            "resourceTypes": self._types(known),
            "registrationState": "Registered" if on else "NotRegistered",
            "registrationPolicy": "RegistrationRequired",
        }

    def _types(self, namespace: str) -> list[Document]:
        today = self._clock.now().date()
        return [
            {
                "resourceType": kind.partition("/")[2],
                "locations": list(REGIONS),
                "apiVersions": sorted(api_versions.of_type(kind, today), reverse=True),
                "capabilities": "None",
            }
            for kind in api_versions.TABLE
            if kind.startswith(f"{namespace}/")
        ]

    async def _providers(self, call: Call, subscription: str) -> Reply:
        shown = [_selected(self._shown(subscription, it), call) for it in sorted((*REGISTERED, *OTHERS))]
        return Reply(200, {"value": shown}, JSON)

    async def _provider(self, call: Call, subscription: str, namespace: str) -> Reply:
        return Reply(200, _selected(self._shown(subscription, namespace), call), JSON)

    async def _register(self, _: Call, subscription: str, namespace: str) -> Reply:
        shown = self._shown(subscription, namespace)
        home = self._state.subscription(subscription)
        self._registered.setdefault(home.id, set()).add(shown["namespace"])
        return Reply(200, self._shown(subscription, namespace), JSON)

    def _shown_feature(self, subscription: str, namespace: str, name: str) -> Document:
        home = self._state.subscription(subscription)
        known = next((it for it in KNOWN_FEATURES if it.lower() == name.lower()), None)
        if known is None or namespace.lower() != "microsoft.containerservice":
            raise front(404, "FeatureNotFound", f"The feature '{name}' could not be found.")
        on = known in self._features.get(home.id, set())
        return {
            "id": f"{home.scope}/providers/Microsoft.Features/providers/Microsoft.ContainerService/features/{known}",
            "name": f"Microsoft.ContainerService/{known}",
            "type": "Microsoft.Features/providers/features",
            "properties": {"state": "Registered" if on else "NotRegistered"},
        }

    async def _list(self, _: Call, subscription: str, namespace: str) -> Reply:
        names = KNOWN_FEATURES if namespace.lower() == "microsoft.containerservice" else ()
        return Reply(200, {"value": [self._shown_feature(subscription, namespace, it) for it in names]}, JSON)

    async def _feature(self, _: Call, subscription: str, namespace: str, name: str) -> Reply:
        return Reply(200, self._shown_feature(subscription, namespace, name), JSON)

    def _switch(self, subscription: str, namespace: str, name: str, *, on: bool) -> Reply:
        known = self._shown_feature(subscription, namespace, name)["name"].partition("/")[2]
        held = self._features.setdefault(self._state.subscription(subscription).id, set())
        if on:
            held.add(known)
        else:
            held.discard(known)
        return Reply(200, self._shown_feature(subscription, namespace, name), JSON)

    async def _switch_on(self, _: Call, subscription: str, namespace: str, name: str) -> Reply:
        return self._switch(subscription, namespace, name, on=True)

    async def _switch_off(self, _: Call, subscription: str, namespace: str, name: str) -> Reply:
        return self._switch(subscription, namespace, name, on=False)
