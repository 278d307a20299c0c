"""The list of all steps: the parts of each, in their order. Prefect's UI shows the title of each part."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from aks_entra.core.evidence.observations import Evidence
from aks_entra.core.planning.job import Job
from aks_entra.core.steps import (
    KINDS,
    AssignDenyPolicy,
    DisableLocalAccounts,
    EnableEntra,
    EnableLocalAccounts,
    EnsureAdminGroup,
    ProveSignIn,
    RecordBaseline,
    RemoveDenyPolicy,
    RotateCertificates,
    Step,
    UpdateEntra,
    VerifyOutcome,
    VerifyRestored,
)
from aks_entra.execution.engine import Engine
from aks_entra.execution.steps import deny_policy, entra, local_accounts, outcome, rotation, sign_in


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A piece of a step that is retried by itself. Most steps have one part.

    `perform` is called again after every TryLater: it looks, writes only what is missing, and looks again.
    """

    title: str
    perform: Callable[[Engine, Job, Any], Awaitable[tuple[Evidence, ...]]]


def _one(step: type, perform: Callable[[Engine, Job, Any], Awaitable[tuple[Evidence, ...]]]) -> tuple[Part, ...]:
    """Return the only part of a step. It has the title of the step."""
    return (Part(title=KINDS[step].title, perform=perform),)


PARTS: Final[dict[type, tuple[Part, ...]]] = {
    EnsureAdminGroup: _one(EnsureAdminGroup, entra.ensure_admin_group),
    EnableEntra: _one(EnableEntra, entra.set_entra),
    UpdateEntra: _one(UpdateEntra, entra.set_entra),
    ProveSignIn: _one(ProveSignIn, sign_in.prove_sign_in),
    RecordBaseline: _one(RecordBaseline, rotation.record_baseline),
    DisableLocalAccounts: _one(DisableLocalAccounts, local_accounts.disable_local_accounts),
    RotateCertificates: _one(RotateCertificates, rotation.rotate),
    VerifyOutcome: (
        Part(title="verify nodes", perform=outcome.verify_nodes),
        Part(title="prove old credentials dead", perform=outcome.verify_old_credentials),
    ),
    AssignDenyPolicy: _one(AssignDenyPolicy, deny_policy.assign_deny_policy),
    RemoveDenyPolicy: _one(RemoveDenyPolicy, deny_policy.remove_deny_policy),
    EnableLocalAccounts: _one(EnableLocalAccounts, local_accounts.enable_local_accounts),
    VerifyRestored: _one(VerifyRestored, local_accounts.verify_restored),
}


def parts(step: Step) -> tuple[Part, ...]:
    """Return the parts of a step, in their order."""
    return PARTS[type(step)]
