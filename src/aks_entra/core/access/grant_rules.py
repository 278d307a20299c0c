"""Check a request for access before anybody is asked to approve it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from aks_entra.core.access.grants import Ask, Level, Via
from aks_entra.core.cluster import Identity, Posture
from aks_entra.core.preflight import Finding, Severity

LONGEST: Final = timedelta(days=30)
SHORTEST: Final = timedelta(minutes=5)
"""PIM's own minimum. Azure refuses an assignment that ends sooner after its beginning."""


def check(ask: Ask, posture: Posture, now: datetime) -> tuple[Finding, ...]:
    """Return what forbids a request, and what the approver should know."""
    return tuple(finding for rule in _RULES for finding in rule(ask, posture, now))


def refused(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return the findings that forbid the request."""
    return tuple(finding for finding in findings if finding.severity is Severity.BLOCKER)


def _blocker(rule: str, message: str, remedy: str) -> Finding:
    return Finding(rule=rule, severity=Severity.BLOCKER, message=message, remedy=remedy)


def _ends(ask: Ask, _posture: Posture, now: datetime) -> Iterable[Finding]:
    if ask.end is None:
        yield Finding(
            rule="G101",
            severity=Severity.WARNING,
            message="this access never ends",
            remedy="ask for a limited time: --duration 8h",
        )
    elif ask.end - now < SHORTEST:
        yield _blocker("G001", "the access would end in less than 5 minutes", "ask for at least 5m")
    elif ask.end - now > LONGEST:
        yield _blocker(
            "G001",
            f"the access would last more than {LONGEST.days} days",
            "ask for less, or for permanent access: --permanent",
        )


def _request(ask: Ask, posture: Posture, _now: datetime) -> Iterable[Finding]:
    if not ask.reason.strip():
        yield _blocker("G002", "the request gives no reason", "add --reason CHG-…")
    if posture.identity is not Identity.MANAGED:
        yield _blocker(
            "G003",
            f"{ask.cluster} does not use AKS-managed Microsoft Entra ID",
            "migrate it first: aks-entra plan",
        )
    if not ask.principal.enabled:
        yield _blocker(
            "G004", f"the account {ask.principal.called} is disabled", "enable it first, or name another one"
        )


def _scope(ask: Ask, posture: Posture, _now: datetime) -> Iterable[Finding]:
    whole = ask.level in {Level.CLUSTER_USER, Level.CLUSTER_ADMIN}
    if ask.namespace and whole:
        yield _blocker("G005", f"{ask.level.value} is for a whole cluster", "leave out the namespace, or ask for admin")
    if ask.via is Via.KUBERNETES and ask.level is Level.CLUSTER_USER:
        yield _blocker("G006", "cluster-user is a role of Azure, not of Kubernetes", "use --via azure-rbac")
    if ask.via is Via.AZURE and ask.level is not Level.CLUSTER_USER and not posture.azure_rbac:
        yield _blocker(
            "G007",
            f"Azure RBAC is off on {ask.cluster}: a role assignment has no effect inside it",
            "use --via kubernetes-rbac, or turn Azure RBAC on (target.azure_rbac: on)",
        )


def _second_source(ask: Ask, posture: Posture, _now: datetime) -> Iterable[Finding]:
    if ask.via is Via.KUBERNETES and posture.azure_rbac:
        yield Finding(
            rule="G102",
            severity=Severity.WARNING,
            message="Azure RBAC is on: this binding is a second source of access, "
            "and removing role assignments will not end it",
            remedy="use --via azure-rbac, so that access has one source",
        )
    if ask.principal.kind == "Group":
        yield Finding(
            rule="G103",
            severity=Severity.INFO,
            message="anybody who joins the group later gets this access; tokens contain the group until they expire",
        )


_RULES: Final = (_ends, _request, _scope, _second_source)
