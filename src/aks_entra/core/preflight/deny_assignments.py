"""Will anybody be locked out by a deny assignment, which forbids actions that a role allows?"""

from __future__ import annotations

from collections.abc import Iterator

from aks_entra.core.preflight.context import Case
from aks_entra.core.preflight.finding import Finding, Rule, rule, says


@rule(
    "B026",
    "U126",
    seen_in="deny assignments on the cluster and above it: `permissions`, `principals`, `excludePrincipals`",
    remedy="exclude the runner from the deny assignment, or remove the assignment during the migration",
    firm=("B026",),
    bars=("B026", "U126"),
)
def deny_assignments(case: Case) -> Iterator[Finding]:
    """A deny assignment forbids an action although a role allows it: a write, or the way back."""
    if not case.writes:
        return
    if case.facts.denials is None:
        yield says(
            "U126",
            "the deny assignments could not be read",
            "grant Microsoft.Authorization/denyAssignments/read (Reader has it)",
        )
        return
    for denial in case.facts.denials:
        where = f"deny assignment {denial.name} on {denial.scope}"
        what = ", ".join(denial.actions)
        if denial.certain:
            yield says(
                "B026",
                f"{where} forbids the runner {what}",
                "exclude the runner from it (`excludePrincipals`), or remove it during the migration",
            )
        else:
            yield says(
                "U126",
                f"{where} forbids {what}: it could not be read whether it applies to the runner",
                "allow the runner to read the groups that it names, or exclude the runner from it",
            )


RULES: tuple[Rule, ...] = (deny_assignments,)
