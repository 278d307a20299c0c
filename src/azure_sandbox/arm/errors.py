"""Error bodies in both of Azure's envelopes: the front door's `{"error": …}` and AKS's own, which stands bare."""

from __future__ import annotations

from typing import Any

from azure_sandbox.http import Problem

FRONT = {"content-type": "application/json; charset=utf-8", "x-ms-failure-cause": "gateway"}
PROVIDER = {"content-type": "application/json"}


def front(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Problem:
    """A refusal by the front door."""
    return Problem(status, {"error": {"code": code, "message": message}}, {**FRONT, **(headers or {})})


def provider(status: int, code: str, message: str, *, subcode: str = "", target: str = "") -> Problem:
    """A refusal by AKS itself."""
    body: dict[str, Any] = {"code": code, "details": None, "message": message, "subcode": subcode}
    if target:
        body["target"] = target
    return Problem(status, body, dict(PROVIDER))


def authorization(status: int, code: str, message: str) -> Problem:
    """A refusal by Microsoft.Authorization: wrapped, but not the gateway's."""
    return Problem(status, {"error": {"code": code, "message": message}}, {"content-type": FRONT["content-type"]})


def resource_not_found(group: str, kind: str, name: str) -> Problem:
    """404 for a resource, as recorded."""
    return front(
        404,
        "ResourceNotFound",
        f"The Resource '{kind}/{name}' under resource group '{group}' was not found. "
        "For more details please go to https://aka.ms/ARMResourceNotFoundFix",
    )


def group_not_found(name: str) -> Problem:
    """404 for a resource group."""
    return front(404, "ResourceGroupNotFound", f"Resource group '{name}' could not be found.")


def being_deleted(name: str) -> Problem:
    """409 for a group that is on its way out."""
    text = f"The resource group '{name}' is in deprovisioning state and cannot perform this operation."
    return front(409, "ResourceGroupBeingDeleted", text)


def subscription_not_found(name: str) -> Problem:
    """404 for a subscription."""
    return front(404, "SubscriptionNotFound", f"The subscription '{name}' could not be found.")


def changed(path: str) -> Problem:
    """400 for a property that cannot be changed."""
    return provider(400, "PropertyChangeNotAllowed", f"Changing property '{path}' is not allowed.", target=path)


def bad_request(message: str, *, subcode: str = "", target: str = "") -> Problem:
    """400 by AKS."""
    return provider(400, "BadRequest", message, subcode=subcode, target=target)


def locked(scope: str, kind: str, scopes: list[str]) -> Problem:
    """409 of a management lock; `kind` is `write` or `delete`."""
    return front(
        409,
        "ScopeLocked",
        f"The scope '{scope}' cannot perform {kind} operation because following scope(s) are locked: "
        f"'{','.join(scopes)}'. Please remove the lock and try again.",
    )


def not_modelled(what: str) -> Problem:
    """501: Azure answers this; the sandbox says aloud that it does not."""
    return front(501, "SandboxNotModelled", f"azure-sandbox: {what} is not modelled")
