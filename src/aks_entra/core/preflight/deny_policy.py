"""May the runner assign the policy that keeps local accounts off?"""

from __future__ import annotations

from collections.abc import Iterator

from aks_entra.core.deny_policy import ASSIGN, ASSIGNMENT, assignment_id, how_to_assign
from aks_entra.core.preflight.context import Case
from aks_entra.core.preflight.finding import Finding, Rule, rule, says
from aks_entra.core.steps import AssignDenyPolicy


@rule("W145", "U145", seen_in=f"the runner's permissions on the cluster: `{ASSIGN}`")
def may_assign_policies(case: Case) -> Iterator[Finding]:
    """Without the right to assign policies, `keep: deny` is left to a person: the report names the command."""
    may = case.facts.may_assign_policies
    if not any(isinstance(step, AssignDenyPolicy) for step in case.steps):
        return
    mine = assignment_id(case.posture.cluster).casefold()
    if taken := [it.assignment for it in case.facts.policies or () if it.assignment.casefold() == mine and not it.ours]:
        text = f"somebody else made a policy assignment named {ASSIGNMENT}: `keep: deny` will not be carried out"
        yield says("W145", text, "ask its owner to give it another name", evidence=taken[0])
        return
    if may:
        return
    remedy = (
        f"assign the role of deployments/roles/keep.json, or run afterwards: `{how_to_assign(case.posture.cluster)}`"
    )
    if may is None:
        yield says("U145", "it could not be read whether the runner may assign the policy of `keep: deny`", remedy)
    else:
        yield says("W145", f"the runner lacks {ASSIGN}: `keep: deny` will not be carried out", remedy)


RULES: tuple[Rule, ...] = (may_assign_policies,)
