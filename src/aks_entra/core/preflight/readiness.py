"""Is it a good moment: is the cluster running and idle, in its maintenance window, with valid certificates?"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from aks_entra.core.cluster import Identity
from aks_entra.core.evidence.break_glass import opening_on
from aks_entra.core.maintenance_windows import opened
from aks_entra.core.preflight.context import Case
from aks_entra.core.preflight.finding import Finding, Rule, rule, says
from aks_entra.core.steps import RotateCertificates, writes

SOON: Final = timedelta(days=30)
"""A certificate that ends within this time expires soon."""


@rule(
    "B010",
    "W110",
    seen_in="`powerState` of the cluster and its pools",
    firm=("B010",),
    bars=("B010",),
)
def stopped(case: Case) -> Iterator[Finding]:
    """Nothing can be proven on a stopped cluster. A rotation that it owes stays owed."""
    if case.posture.stopped:
        yield says(
            "B010",
            "the cluster is stopped: it is skipped, and a rotation that it owes stays owed",
            "start it (`az aks start`), then plan again",
        )
    for pool in case.posture.pools:
        if pool.power_state == "Stopped" and not case.posture.stopped:
            yield says("W110", f"pool {pool.name} is stopped: its nodes are not checked")


@rule("B015", "W115", seen_in="`provisioningState` of the cluster and its pools")
def state(case: Case) -> Iterator[Finding]:
    """A failed cluster must be repaired first. A running operation is waited for."""
    if case.posture.provisioning_state.casefold() == "failed":
        yield says(
            "B015",
            "the cluster's last operation failed (provisioningState Failed)",
            "repair the cluster first: `az aks update` without changes reconciles it",
        )
    elif not case.posture.at_rest:
        yield says(
            "W115", f"another operation is running ({case.posture.provisioning_state}); the migration will wait for it"
        )


@rule("W104", seen_in="`sku.tier`")
def free_tier(case: Case) -> Iterator[Finding]:
    """The Free tier has no redundant API server."""
    if case.posture.tier == "Free" and case.posture.identity is Identity.LEGACY:
        yield says(
            "W104",
            "the cluster is in the Free tier: its API server may be down while the legacy integration is upgraded",
        )


@rule(
    "W122",
    "U122",
    "I122",
    seen_in="`maintenanceConfigurations` of the cluster",
    remedy="approve when a maintenance window is open, or give the stage a window",
)
def outside_window(case: Case) -> Iterator[Finding]:
    """A maintenance window says when the owner expects disruption. Azure does not enforce it for a rotation."""
    if not case.at_work or not case.rotates:
        return
    windows = case.facts.maintenance_windows
    if case.facts.windows_unasked:
        yield says("I122", f"the maintenance windows were not read: {case.facts.windows_unasked}")
        return
    if windows is None:
        yield says(
            "U122",
            "the maintenance windows could not be read",
            "grant Microsoft.ContainerService/managedClusters/maintenanceConfigurations/read",
        )
        return
    words = "; ".join(window.words for window in windows)
    now_open = opened(windows, case.facts.now) if windows and case.facts.now else True
    if now_open is None:
        yield says("U122", f"it is unknown whether a maintenance window is open now: {words}")
    elif not now_open:
        yield says("W122", f"no maintenance window is open now: {words}", "approve when a window is open")


@rule(
    "B023",
    "W123",
    "U123",
    seen_in="the certificate that the API server shows, and the cluster's CA",
    remedy="rotate the certificates first: `az aks rotate-certs`",
    bars=("B023",),
)
def certificates(case: Case) -> Iterator[Finding]:
    """Azure refuses updates of a cluster with expired certificates until they are rotated."""
    if not case.at_work or not case.facts.now:
        return
    now = datetime.fromisoformat(case.facts.now)
    shown = (("API server's certificate", case.posture.serving), ("CA", case.posture.ca))
    for what, certificate in shown:
        if certificate is None:
            continue
        if not certificate.not_after:
            yield says("U123", f"the expiry date of the {what} could not be read")
            continue
        left = datetime.fromisoformat(certificate.not_after) - now
        when = certificate.not_after[:10]
        first = next((step for step in case.steps if writes(step)), None)
        if left < timedelta() and first is not None and not isinstance(first, RotateCertificates):
            yield says(
                "B023",
                f"the {what} expired on {when}: Azure refuses updates until the certificates are rotated",
                "rotate the certificates first (`az aks rotate-certs`), then plan again",
            )
        elif left < SOON:
            yield says(
                "W123",
                f"the {what} {'expired' if left < timedelta() else 'expires'} on {when}",
                "" if case.rotates else "plan a rotation",
            )


@rule(
    "B024",
    seen_in="tags of the cluster: `aks-entra-break-glass-…`",
    remedy="wait for the end of the session, or close it: `aks-entra break-glass CLUSTER --close`",
    bars=("B024",),
)
def break_glass(case: Case) -> Iterator[Finding]:
    """During a break-glass session, no migration turns local accounts off or rotates the certificates."""
    opening = opening_on(case.posture.tags)
    if case.writes and opening is not None and case.posture.local_accounts:
        why = " · ".join(part for part in (opening.reason, opening.ticket, opening.opener) if part)
        yield says(
            "B024",
            f"local accounts are on for a break-glass session until {opening.until}: {why}",
            f"wait for the end of the session, or close it: `aks-entra break-glass {case.posture.cluster} --close`",
            evidence="tags of the cluster",
        )


RULES: tuple[Rule, ...] = (stopped, state, free_tier, outside_window, certificates, break_glass)
