"""Conditional Access: which policies apply to a sign-in, and what they require. Policies have Graph's own format.

Sources: Graph's conditionalAccessPolicy and what-if pages; AKS' pages on Conditional Access; kubelogin's known issues
(a device code carries no device, so a device policy always fails it). No policy applies to workload identities:
`clientApplications` is refused when a policy is written.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from azure_sandbox.entra.objects import Device

Policy = dict[str, Any]
MOST_POLICIES = 195
ARM_APP_ID = "797f4846-ba00-4fd7-ba43-dac1f8f63013"  # Windows Azure Service Management API
REPORT_ONLY = "enabledForReportingButNotEnforced"
DEVICE_CODE = "deviceCodeFlow"
DEVICES = {"compliantDevice": ("compliant",), "domainJoinedDevice": ("joined",)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A sign-in as policies see it. None means unknown (a what-if request may leave it out)."""

    user: str
    groups: frozenset[str]
    roles: frozenset[str]
    resource: str  # an appId
    client: str | None = "mobileAppsAndDesktopClients"
    flow: str | None = None
    device: Device | None = "none"
    mfa: bool = False
    interactive: bool = True
    ip: str | None = None
    platform: str | None = None
    country: str | None = None
    risks: tuple[str, str] = ("none", "none")  # of the user, of the sign-in


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """The result of one policy.

    `reason` is what-if's word for why the policy does not apply, None if it applies. `unmet` are the controls that the
    sign-in does not meet.
    """

    policy: Policy
    reason: str | None
    unmet: tuple[str, ...]
    interactive: bool

    @property
    def result(self) -> str:
        """Return the word of `appliedConditionalAccessPolicies`."""
        state = self.policy["state"]
        if state == "disabled":
            return "notEnabled"
        word = "notApplied" if self.reason else "failure" if self.unmet else "success"
        if state != REPORT_ONLY:
            return word
        if word == "failure" and self.interactive and set(self.unmet) == {"mfa"}:
            word = "interrupted"
        return f"reportOnly{word[0].upper()}{word[1:]}"

    @property
    def refuses(self) -> bool:
        """Return whether this policy blocks the sign-in."""
        return self.result == "failure"


class ConditionalAccess:
    """The policies and named locations of a tenant, by id, in the order of creation."""

    def __init__(self) -> None:
        self.policies: dict[str, Policy] = {}
        self.locations: dict[str, dict[str, Any]] = {}

    def evaluate(self, attempt: Attempt) -> list[Applied]:
        """Return the result of each policy for a sign-in."""
        found = []
        for policy in self.policies.values():
            reason = self._unmatched(policy, attempt)
            unmet = () if reason else _unmet(policy, attempt)
            found.append(Applied(policy=policy, reason=reason, unmet=unmet, interactive=attempt.interactive))
        return found

    def _unmatched(self, policy: Policy, attempt: Attempt) -> str | None:
        conditions: Mapping[str, Any] = policy["conditions"]
        checks = (
            ("users", _users(conditions["users"], attempt)),
            ("application", _applications(conditions["applications"], attempt)),
            ("clientType", _listed(conditions["clientAppTypes"], attempt.client)),
            ("platforms", _included(conditions.get("platforms"), "Platforms", attempt.platform)),
            ("location", self._located(conditions.get("locations"), attempt)),
            ("authenticationFlow", _flow(conditions.get("authenticationFlows"), attempt)),
            ("userRisk", _risk(conditions.get("userRiskLevels"), attempt.risks[0])),
            ("signInRisk", _risk(conditions.get("signInRiskLevels"), attempt.risks[1])),
        )
        for reason, holds in checks:
            if holds is None:
                return "notEnoughInformation"
            if not holds:
                return reason
        return None

    def _located(self, condition: Mapping[str, Any] | None, attempt: Attempt) -> bool | None:
        if condition is None:
            return True
        if attempt.ip is None and attempt.country is None:
            return None
        include, exclude = condition["includeLocations"], condition["excludeLocations"]
        return self._anywhere(include, attempt) and not self._anywhere(exclude, attempt)

    def _anywhere(self, names: list[str], attempt: Attempt) -> bool:
        return any(
            name == "All" or any(_inside(place, attempt) for place in self.locations.values() if _meant(place, name))
            for name in names
        )


def _meant(place: Mapping[str, Any], name: str) -> bool:
    return bool(place["id"] == name or (name == "AllTrusted" and place.get("isTrusted")))


def _inside(place: Mapping[str, Any], attempt: Attempt) -> bool:
    if attempt.ip is not None and "ipRanges" in place:
        address = ipaddress.ip_address(attempt.ip)
        return any(address in ipaddress.ip_network(it["cidrAddress"]) for it in place["ipRanges"])
    return attempt.country is not None and attempt.country in place.get("countriesAndRegions", ())


def _users(condition: Mapping[str, Any], attempt: Attempt) -> bool:
    def meets(side: Literal["include", "exclude"]) -> bool:
        users, groups, roles = (condition[f"{side}{it}"] for it in ("Users", "Groups", "Roles"))
        named = "All" in users or attempt.user in users
        return named or bool(attempt.groups & set(groups)) or bool(attempt.roles & set(roles))

    return meets("include") and not meets("exclude")


def _applications(condition: Mapping[str, Any], attempt: Attempt) -> bool:
    include, exclude = condition["includeApplications"], condition["excludeApplications"]
    return ("All" in include or attempt.resource in include) and attempt.resource not in exclude


def _listed(types: list[str], client: str | None) -> bool | None:
    if "all" in types:
        return True
    return None if client is None else client in types


def _included(condition: Mapping[str, Any] | None, noun: str, value: str | None) -> bool | None:
    if condition is None:
        return True
    include, exclude = condition[f"include{noun}"], condition[f"exclude{noun}"]
    if "all" in include and not exclude:
        return True
    if value is None:
        return "all" in include  # an unknown platform is never excluded: an unmodified user agent says little
    return ("all" in include or value in include) and value not in exclude


def _flow(condition: Mapping[str, Any] | None, attempt: Attempt) -> bool:
    methods = (condition or {}).get("transferMethods")
    return not methods or attempt.flow in methods.split(",")


def _risk(levels: list[str] | None, level: str) -> bool:
    return not levels or level in levels


def _unmet(policy: Policy, attempt: Attempt) -> tuple[str, ...]:
    controls = policy.get("grantControls")
    if controls is None:
        return ()
    asked = tuple(controls["builtInControls"])
    missing = tuple(it for it in asked if not _met(it, attempt))
    return () if controls["operator"] == "OR" and len(missing) < len(asked) else missing


def _met(control: str, attempt: Attempt) -> bool:
    if control == "mfa":
        return attempt.mfa
    if control in DEVICES:
        return attempt.flow != DEVICE_CODE and attempt.device in DEVICES[control]
    return False  # block


def refusal(applied: list[Applied], *, registered: bool) -> tuple[int, str, list[str]] | None:
    """Return the error code, the message and the IDs of the policies that block. Returns None if no policy blocks.

    `registered`: whether the user has a second factor.
    """
    against = [it for it in applied if it.refuses]
    if not against:
        return None
    ids = [str(it.policy["id"]) for it in against]
    unmet = {control for it in against for control in it.unmet}
    for control, (code, words) in _REFUSALS.items():
        if control in unmet:
            return (*_UNREGISTERED, ids) if control == "mfa" and not registered else (code, words, ids)
    raise AssertionError(unmet)  # each control that a policy can contain is handled above


_MFA = (
    "Due to a configuration change made by your administrator, or because you moved to a new location, you must {} "
    "multi-factor authentication to access '{{resource}}'."
)
_BLOCKED = "Access has been blocked by Conditional Access policies. The access policy does not allow token issuance."
_COMPLIANT = (
    "Device is not in required device state: compliant. Conditional Access policy requires a compliant device, and the "
    "device is not compliant. The user must enroll their device with an approved MDM provider like Intune."
)
_JOINED = (
    "Device is not in required device state: domain_joined. Conditional Access policy requires a domain joined device, "
    "and the device is not domain joined."
)
_REFUSALS = {
    "block": (53003, _BLOCKED),
    "compliantDevice": (53000, _COMPLIANT),
    "domainJoinedDevice": (53001, _JOINED),
    "mfa": (50076, _MFA.format("use")),
}
_UNREGISTERED = (50079, _MFA.format("enroll in"))
