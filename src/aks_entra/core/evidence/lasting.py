"""Which evidence outlives the process that gathered it."""

from __future__ import annotations

from aks_entra.core.evidence.hook_runs import HookRan
from aks_entra.core.evidence.observations import (
    AuthoritySeen,
    CertificatesRotated,
    ClusterCreated,
    EntraSet,
    Evidence,
    GroupEnsured,
    LocalAccountsDisabled,
    TokenHeld,
)


def lasting(evidence: tuple[Evidence, ...]) -> tuple[Evidence, ...]:
    """Return the evidence of what was done, and of what recognises credentials from before: a rotation ends both.

    A later run looks anew at everything else. What was seen with a held credential cannot be seen again, because the
    credential ended with its process.
    """
    done = (
        *(GroupEnsured, EntraSet, LocalAccountsDisabled, CertificatesRotated, ClusterCreated, HookRan),
        *(AuthoritySeen, TokenHeld),
    )
    return tuple(one for one in evidence if isinstance(one, done))
