"""Build error bodies in Azure's two envelopes: ARM wraps an error in `{"error": …}`, AKS answers the bare error."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from azure_sandbox.front.http import Problem

FRONT = {"content-type": "application/json; charset=utf-8", "x-ms-failure-cause": "gateway"}
PROVIDER = {"content-type": "application/json"}


def front(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Problem:
    """Return a refusal by ARM's front door."""
    return Problem(status, {"error": {"code": code, "message": message}}, {**FRONT, **(headers or {})})


def provider(status: int, code: str, message: str, *, subcode: str = "", target: str = "") -> Problem:
    """Return a refusal by AKS, with the bare error as its body."""
    body: dict[str, Any] = {"code": code, "details": None, "message": message, "subcode": subcode}
    if target:
        body["target"] = target
    return Problem(status, body, dict(PROVIDER))


def authorization(status: int, code: str, message: str) -> Problem:
    """Return a refusal by Microsoft.Authorization: wrapped, but without the front door's `x-ms-failure-cause`."""
    return Problem(status, {"error": {"code": code, "message": message}}, {"content-type": FRONT["content-type"]})


def resource_not_found(group: str, kind: str, name: str) -> Problem:
    """Return the 404 for a resource. Recorded."""
    return front(
        404,
        "ResourceNotFound",
        f"The Resource '{kind}/{name}' under resource group '{group}' was not found. "
        "For more details please go to https://aka.ms/ARMResourceNotFoundFix",
    )


def pool_not_found(subscription: str, group: str, cluster: str, name: str) -> Problem:
    """Return the 404 for an agent pool, which AKS answers itself. Recorded in January 2026."""
    problem = provider(
        404,
        "NotFound",
        f"Could not find the agentpool: {name} in subscription: {subscription}, resourceGroup: {group}, resourceName: "
        f"{cluster}.",
        subcode="GetAgentPool_NotFound_HCPServerError",
    )
    problem.body["details"] = [
        {"code": "Unspecified", "message": "rpc error: code = NotFound desc = Agent Pool not found"}
    ]
    return problem


def group_not_found(name: str) -> Problem:
    """Return the 404 for a resource group."""
    return front(404, "ResourceGroupNotFound", f"Resource group '{name}' could not be found.")


def being_deleted(name: str) -> Problem:
    """Return the 409 for a write to a resource group that is being deleted."""
    text = f"The resource group '{name}' is in deprovisioning state and cannot perform this operation."
    return front(409, "ResourceGroupBeingDeleted", text)


def subscription_not_found(name: str) -> Problem:
    """Return the 404 for a subscription."""
    return front(404, "SubscriptionNotFound", f"The subscription '{name}' could not be found.")


def location_required() -> Problem:
    """Return the 400 for a PUT without a location."""
    return front(400, "LocationRequired", "The location property is required for this definition.")


def location_not_available(kind: str, location: str, regions: Iterable[str]) -> Problem:
    """Return the 400 for a resource of a type in a region that does not exist."""
    return front(
        400,
        "LocationNotAvailableForResourceType",
        f"The provided location '{location}' is not available for resource type '{kind}'. List of available regions "
        f"for the resource type is '{','.join(regions)}'.",
    )


def in_other_location(name: str, group: str, held: str, asked: str) -> Problem:
    """Return the 409 for a PUT that would move a resource to another region."""
    return front(
        409,
        "InvalidResourceLocation",
        f"The resource '{name}' already exists in location '{held}' in resource group '{group}'. A resource with the "
        f"same name cannot be created in location '{asked}'. Please select a new resource name.",
    )


def changed(path: str) -> Problem:
    """Return AKS's 400 for a property that cannot be changed; `path` is dotted, below `properties`."""
    return provider(400, "PropertyChangeNotAllowed", f"Changing property '{path}' is not allowed.", target=path)


def bad_request(message: str, *, subcode: str = "", target: str = "") -> Problem:
    """Return AKS's 400 with the code `BadRequest`."""
    return provider(400, "BadRequest", message, subcode=subcode, target=target)


def locked(scope: str, kind: str, scopes: list[str]) -> Problem:
    """Return the 409 of management locks; `kind` is `write` or `delete`, `scopes` are the locked scopes."""
    return front(
        409,
        "ScopeLocked",
        f"The scope '{scope}' cannot perform {kind} operation because following scope(s) are locked: "
        f"'{','.join(scopes)}'. Please remove the lock and try again.",
    )


def not_modelled(what: str) -> Problem:
    """Return a 501 that names what Azure has and the sandbox does not model."""
    return front(501, "SandboxNotModelled", f"azure-sandbox: {what} is not modelled")
