"""Can the hooks after the rotation do their work?"""

from __future__ import annotations

from collections.abc import Iterator

from aks_entra.core.preflight.context import Case
from aks_entra.core.preflight.finding import Finding, Rule, rule, says


@rule(
    "W165",
    "U165",
    seen_in="`after` of the fleet file, and Argo CD's cluster secrets in the hub, as the prover sees them",
    remedy="add the cluster to Argo CD, or correct the hook; let the prover read and patch secrets there",
)
def hubs(case: Case) -> Iterator[Finding]:
    """A hub that should get the new CA has no secret for this cluster, or could not be read: the hook will fail."""
    for hub in case.facts.hubs:
        where = f"namespace {hub.namespace} of {hub.hub}"
        evidence = "after.update_argocd_secret"
        if hub.secrets is None:
            text = f"it is unknown whether Argo CD in {where} has a secret for this cluster: {hub.problem}"
            yield says("U165", text, hub.remedy, evidence=evidence)
        elif not hub.secrets:
            text = f"Argo CD in {where} has no secret for this cluster, so its hook will fail after the rotation"
            remedy = "add the cluster to Argo CD there, or correct `cluster`, `namespace` or `name` of the hook"
            yield says("W165", text, remedy, evidence=evidence)


RULES: tuple[Rule, ...] = (hubs,)
