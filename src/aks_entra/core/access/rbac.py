"""Evaluate what roles allow: Kubernetes' rules and bindings, Azure's role definitions and assignments.

Sources: Kubernetes' RBAC authorizer, and Azure's page on role definitions (wildcards; NotActions subtract only from the
actions of the same role). Scopes and ids ignore case.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from aks_entra.core.access.resource_access import ResourceAttributes


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule of a Role or ClusterRole. A rule for paths (nonResourceURLs) has empty `resources`."""

    verbs: tuple[str, ...]
    groups: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

    def allows(self, wanted: ResourceAttributes) -> bool:
        """Whether the rule covers a request."""
        whole = f"{wanted.resource}/{wanted.subresource}" if wanted.subresource else wanted.resource
        resource = {"*", whole} | ({f"*/{wanted.subresource}"} if wanted.subresource else set())
        return (
            bool({"*", wanted.verb} & set(self.verbs))
            and bool({"*", wanted.group} & set(self.groups))
            and bool(resource & set(self.resources))
            and (not self.names or wanted.name in self.names)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A subject of a binding: kind `User`, `Group` or `ServiceAccount`. Only a service account has a namespace."""

    kind: str
    name: str
    namespace: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """A RoleBinding (with a namespace) or ClusterRoleBinding, with the rules of the role that it names.

    `stock` says that its labels are those of Kubernetes' default bindings, or of AKS' own.
    """

    name: str
    role: str
    namespace: str = ""
    subjects: tuple[Subject, ...] = ()
    rules: tuple[Rule, ...] = ()
    stock: bool = False

    @property
    def title(self) -> str:
        """Its kind and name, as kubectl finds it."""
        return f"rolebinding {self.namespace}/{self.name}" if self.namespace else f"clusterrolebinding {self.name}"

    def allows(self, wanted: ResourceAttributes) -> bool:
        """Whether its subjects may do this."""
        here = not self.namespace or self.namespace == wanted.namespace
        return here and any(rule.allows(wanted) for rule in self.rules)

    def names(self, user: str, groups: frozenset[str]) -> Subject | None:
        """Return the subject that is this user or one of these groups. Names are case-sensitive, as in Kubernetes."""
        for subject in self.subjects:
            if subject.kind == "User" and subject.name == user:
                return subject
            if subject.kind == "Group" and subject.name in groups:
                return subject
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleDefinition:
    """An Azure role definition."""

    id: str
    name: str
    actions: tuple[str, ...] = ()
    not_actions: tuple[str, ...] = ()
    data_actions: tuple[str, ...] = ()
    not_data_actions: tuple[str, ...] = ()

    def allows(self, action: str) -> bool:
        """Whether it allows a control plane action."""
        return _allows(self.actions, self.not_actions, action)

    def allows_data(self, action: str) -> bool:
        """Whether it allows a data action, which happens inside the cluster."""
        return _allows(self.data_actions, self.not_data_actions, action)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleAssignment:
    """A role assignment: role, principal and scope. `description` may contain our mark.

    A `condition` (Azure's ABAC) limits what it allows. This program does not evaluate conditions.
    """

    id: str
    role: RoleDefinition
    principal_id: str
    scope: str
    principal_type: str = ""
    description: str = ""
    condition: str = ""

    @property
    def called(self) -> str:
        """The name of its role, and whether it holds only under a condition."""
        return f"{self.role.name} under a condition" if self.condition else self.role.name

    def reaches(self, scope: str) -> bool:
        """Whether its scope contains another scope."""
        return covers(self.scope, scope)


def covers(upper: str, lower: str) -> bool:
    """Whether a scope contains another one or is the same. Compares whole segments and ignores case."""
    above, below = upper.casefold().rstrip("/"), lower.casefold().rstrip("/")
    return below == above or below.startswith(f"{above}/")


def _allows(given: tuple[str, ...], taken: tuple[str, ...], action: str) -> bool:
    """Whether an action is allowed. An action with a wildcard is allowed only if no part of it is taken away."""
    if any(_matches(one, action) or ("*" in action and _matches(action, one)) for one in taken):
        return False
    return any(_matches(one, action) for one in given)


def _matches(pattern: str, action: str) -> bool:
    return _compiled(pattern).fullmatch(action) is not None


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(re.escape(pattern).replace(r"\*", ".*"), re.IGNORECASE)
