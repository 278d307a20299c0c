"""Can the hooks after the rotation do their work?"""

from __future__ import annotations

from collections.abc import Iterator

from aks_entra.core.preflight.context import Case
from aks_entra.core.preflight.finding import Finding, Rule, rule, says


@rule(
    "W165",
    "U165",
    seen_in="`after` of the fleet file, and the secrets of Argo CD and Flux in the hub, as the prover sees them",
    remedy="add the cluster to Argo CD or Flux, or correct the hook; let the prover read and patch secrets there",
)
def hubs(case: Case) -> Iterator[Finding]:
    """The hook of a hub will fail: no secret for this cluster, one that the rotation ends, or none that can be read."""
    for hub in case.facts.hubs:
        where = f"namespace {hub.namespace} of {hub.hub}"
        evidence = f"after.{hub.hook}"
        if hub.secrets is None:
            text = f"it is unknown whether {hub.program} in {where} has a secret for this cluster: {hub.problem}"
            yield says("U165", text, hub.remedy, evidence=evidence)
        elif not hub.secrets:
            text = f"{hub.program} in {where} has no secret for this cluster, so its hook will fail after the rotation"
            remedy = f"add the cluster to {hub.program} there, or correct `cluster`, `namespace` or `name` of the hook"
            yield says("W165", text, remedy, evidence=evidence)
        elif hub.problem:
            secret = f"{hub.program}'s secret {hub.secrets[0]} in {where}"
            text = f"the hook of {secret} will fail after the rotation: {hub.problem}"
            yield says("W165", text, hub.remedy, evidence=evidence)


RULES: tuple[Rule, ...] = (hubs,)
