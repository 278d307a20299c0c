"""Kubernetes RBAC: rules, bindings and subjects, evaluated as the API server's own authorizer does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from azure_sandbox.cluster.resources import RBAC_GROUP
from azure_sandbox.cluster.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """An authenticated user. `entra`: the authentication webhook of Entra ID identified it."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: dict[str, list[str]] = field(default_factory=dict)
    entra: bool = False

    def info(self) -> dict[str, Any]:
        """Return the caller as Kubernetes' `userInfo`."""
        info: dict[str, Any] = {"username": self.name}
        if self.uid:
            info["uid"] = self.uid
        info["groups"] = list(self.groups)
        if self.extra:
            info["extra"] = self.extra
        return info


@dataclass(frozen=True, slots=True, kw_only=True)
class Attributes:
    """What a request asks for: a verb on a resource, or, with `path`, on a non-resource path."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""

    @property
    def whole_resource(self) -> str:
        """Return the resource with its subresource: `pods` or `pods/log`."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


Rule = dict[str, Any]


def _resource_matches(rule: Rule, attributes: Attributes) -> bool:
    wanted = rule.get("resources", [])
    return (
        "*" in wanted
        or attributes.whole_resource in wanted
        or (bool(attributes.subresource) and f"*/{attributes.subresource}" in wanted)
    )


def _path_matches(rule: Rule, path: str) -> bool:
    return any(
        it in ("*", path) or (it.endswith("*") and path.startswith(it[:-1])) for it in rule.get("nonResourceURLs", [])
    )


def allows(rule: Rule, attributes: Attributes) -> bool:
    """Return whether one rule allows a request."""
    verbs = rule.get("verbs", [])
    if "*" not in verbs and attributes.verb not in verbs:
        return False
    if attributes.path:
        return _path_matches(rule, attributes.path)
    groups = rule.get("apiGroups", [])
    if "*" not in groups and attributes.group not in groups:
        return False
    names = rule.get("resourceNames", [])
    return _resource_matches(rule, attributes) and (not names or (bool(attributes.name) and attributes.name in names))


def _is(subject: dict[str, str], caller: Caller, namespace: str) -> bool:
    match subject["kind"]:
        case "User":
            return subject["name"] == caller.name
        case "Group":
            return subject["name"] in caller.groups
        case "ServiceAccount":
            home = subject.get("namespace") or namespace
            return caller.name == f"system:serviceaccount:{home}:{subject['name']}"
        case _:
            return False


def _described(subject: dict[str, str], namespace: str) -> str:
    if subject["kind"] != "ServiceAccount":
        return f'{subject["kind"]} "{subject["name"]}"'
    return f'ServiceAccount "{subject["name"]}/{subject.get("namespace") or namespace}"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A rule that applies to a caller, and the binding that grants it, in Kubernetes' words."""

    rule: Rule
    reason: str


def _rules(store: Store, reference: dict[str, str], namespace: str) -> list[Rule]:
    kind = "clusterroles" if reference["kind"] == "ClusterRole" else "roles"
    home = "" if kind == "clusterroles" else namespace
    role = store.get((RBAC_GROUP, kind), home, reference["name"])
    return [] if role is None else role.get("rules") or []


def grants(store: Store, caller: Caller, namespace: str) -> Iterator[Grant]:
    """Yield the rules that apply to a caller in a namespace (empty: cluster scope only)."""
    for plural, home in (("clusterrolebindings", ""), ("rolebindings", namespace)):
        if plural == "rolebindings" and not namespace:
            continue
        for binding in store.list((RBAC_GROUP, plural), home):
            subject = next((it for it in binding.get("subjects") or [] if _is(it, caller, home)), None)
            if subject is None:
                continue
            reference = binding["roleRef"]
            reason = (
                f'RBAC: allowed by {binding["kind"]} "{binding["metadata"]["name"]}'
                f'{f"/{home}" if home else ""}" of {reference["kind"]} "{reference["name"]}" '
                f"to {_described(subject, home)}"
            )
            for rule in _rules(store, reference, home):
                yield Grant(rule=rule, reason=reason)


def permits(store: Store, caller: Caller, attributes: Attributes) -> str | None:
    """Return why RBAC allows a request. Returns None if it does not."""
    return next((it.reason for it in grants(store, caller, attributes.namespace) if allows(it.rule, attributes)), None)
