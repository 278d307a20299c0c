"""Which evidence outlives the process that gathered it."""

from __future__ import annotations

from aks_entra.core.evidence.observations import (
    CertificatesRotated,
    ClusterCreated,
    EntraSet,
    Evidence,
    GroupEnsured,
    HookRan,
    LocalAccountsDisabled,
)


def lasting(evidence: tuple[Evidence, ...]) -> tuple[Evidence, ...]:
    """Return the evidence of what was done: Azure or the directory holds its effect.

    A later run looks anew at everything else. What was seen with a held credential cannot be seen again, because the
    credential ended with its process.
    """
    done = GroupEnsured | EntraSet | LocalAccountsDisabled | CertificatesRotated | ClusterCreated | HookRan
    return tuple(one for one in evidence if isinstance(one, done))
