"""Is it a good moment: the cluster runs and rests, its window is open, its certificates are valid."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from aks_entra.core.cluster import Identity
from aks_entra.core.opening import opening_on
from aks_entra.core.preflight.case import Case
from aks_entra.core.preflight.finding import Finding, Rule, rule, says
from aks_entra.core.steps import RotateCertificates, writes
from aks_entra.core.windows import opened

SOON: Final = timedelta(days=30)
"""How long before its end a certificate is said to expire soon."""


@rule("B010", "W110", seen_in="`powerState` of the cluster and its pools", firm=("B010",))
def stopped(case: Case) -> Iterator[Finding]:
    """Nothing can be proven on a stopped cluster; its debt stays as it is."""
    if case.posture.stopped:
        yield says(
            "B010",
            "the cluster is stopped: skipped, and what it owes stays owed",
            "start it (`az aks start`) and plan again",
        )
    for pool in case.posture.pools:
        if pool.power_state == "Stopped" and not case.posture.stopped:
            yield says("W110", f"pool {pool.name} is stopped: its nodes are not checked")


@rule("B015", "W115", seen_in="`provisioningState` of the cluster and its pools")
def state(case: Case) -> Iterator[Finding]:
    """A failed cluster is repaired first; one that is being updated is waited for."""
    if case.posture.provisioning_state.casefold() == "failed":
        yield says(
            "B015",
            "the cluster's last operation failed (provisioningState Failed)",
            "repair it first: `az aks update` with no change reconciles it",
        )
    elif not case.posture.at_rest:
        yield says("W115", f"another operation is running ({case.posture.provisioning_state}); it is waited for")


@rule("W104", seen_in="`sku.tier`")
def free_tier(case: Case) -> Iterator[Finding]:
    """The Free tier has no redundant API server."""
    if case.posture.tier == "Free" and case.posture.identity is Identity.LEGACY:
        yield says("W104", "Free tier: the API server may be down while legacy integration is upgraded")


@rule(
    "W122",
    "U122",
    seen_in="`maintenanceConfigurations` of the cluster",
    remedy="approve when a window is open, or give the stage one",
)
def outside_window(case: Case) -> Iterator[Finding]:
    """A maintenance window says when the cluster's owner expects disturbance; Azure does not hold us to it."""
    if not case.at_work or not case.rotates:
        return
    windows = case.facts.windows
    if windows is None:
        yield says(
            "U122",
            "maintenance windows could not be read",
            "grant Microsoft.ContainerService/managedClusters/maintenanceConfigurations/read",
        )
        return
    words = "; ".join(window.words for window in windows)
    now_open = opened(windows, case.facts.now) if windows and case.facts.now else True
    if now_open is None:
        yield says("U122", f"whether a maintenance window is open now cannot be told: {words}")
    elif not now_open:
        yield says("W122", f"no maintenance window is open now: {words}", "approve when one is open")


@rule(
    "B023",
    "W123",
    "U123",
    seen_in="the certificate that the API server shows, and the cluster's CA",
    remedy="rotate first: `az aks rotate-certs`",
)
def certificates(case: Case) -> Iterator[Finding]:
    """With expired certificates Azure refuses updates until they are rotated; what expires soon is said before."""
    if not case.at_work or not case.facts.now:
        return
    now = datetime.fromisoformat(case.facts.now)
    shown = (("API server's certificate", case.posture.serving), ("CA", case.posture.ca))
    for what, certificate in shown:
        if certificate is None:
            continue
        if not certificate.not_after:
            yield says("U123", f"until when the {what} is valid could not be read")
            continue
        left = datetime.fromisoformat(certificate.not_after) - now
        when = certificate.not_after[:10]
        first = next((step for step in case.steps if writes(step)), None)
        if left < timedelta() and first is not None and not isinstance(first, RotateCertificates):
            yield says(
                "B023",
                f"the {what} expired on {when}: Azure refuses updates until the certificates are rotated",
                "rotate first (`az aks rotate-certs`), and plan again",
            )
        elif left < SOON:
            yield says(
                "W123",
                f"the {what} {'expired' if left < timedelta() else 'expires'} on {when}",
                "" if case.rotates else "plan its rotation",
            )


@rule(
    "B024",
    seen_in="tags of the cluster: `aks-entra-break-glass-…`",
    remedy="wait for its end, or close it: `aks-entra break-glass CLUSTER --close`",
)
def break_glass(case: Case) -> Iterator[Finding]:
    """While somebody works through break-glass, nothing else closes the door behind them, nor rotates their key."""
    opening = opening_on(case.posture.tags)
    if case.writes and opening is not None and case.posture.local_accounts:
        why = " · ".join(part for part in (opening.reason, opening.ticket, opening.opener) if part)
        yield says(
            "B024",
            f"local accounts are open by break-glass until {opening.until}: {why}",
            f"wait for its end, or close it: `aks-entra break-glass {case.posture.cluster} --close`",
            evidence="tags of the cluster",
        )


RULES: tuple[Rule, ...] = (stopped, state, free_tier, outside_window, certificates, break_glass)
