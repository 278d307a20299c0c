"""Who would undo it: infrastructure code, a pipeline or a policy that owns the fields. Findings print the change."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from aks_entra.core.preflight.context import Case
from aks_entra.core.preflight.finding import Finding, Rule, rule, says

ADMIN_GROUPS_POLICY: Final = "36a27de4-199b-40fb-b336-945a8475d6c5"
"""Azure Policy: Configure Microsoft Entra ID integrated AKS Clusters with required Admin Group Access."""

_OWNERS: Final = (
    # (who, what a tag's name or value looks like, which source is to be changed)
    ("Terraform", re.compile(r"\b(terraform|opentofu|atlantis|terragrunt)\b"), "terraform"),
    ("Pulumi", re.compile(r"\bpulumi\b"), "bicep"),
    ("Bicep", re.compile(r"\b(bicep|azd[-_]env[-_]name|arm[-_]template)\b"), "bicep"),
    ("Crossplane", re.compile(r"\bcrossplane\b"), "bicep"),
    ("Cluster API", re.compile(r"cluster[-_]api[-_]provider[-_]azure"), "bicep"),
    ("Ansible", re.compile(r"\bansible\b"), "bicep"),
    ("GitOps", re.compile(r"\b(gitops|flux|fluxcd|argocd|argo-cd)\b"), "bicep"),
)


@rule(
    "W131",
    "I131",
    "U131",
    seen_in="tags of the cluster, the activity log (90 days)",
    remedy="make the printed change in the source code before you approve",
)
def infrastructure_code(case: Case) -> Iterator[Finding]:
    """If infrastructure code owns these fields, its next apply would undo the migration."""
    if not case.writes or case.posture.stopped:
        return
    tagged = [
        (who, source, f"tag {name}={value}")
        for name, value in case.posture.tags
        for who, looks, source in _OWNERS
        if looks.search(f"{name} {value}".casefold())
    ]
    if tagged:
        who, source, evidence = tagged[0]
        change = _terraform(case) if source == "terraform" else _bicep(case)
        yield says(
            "W131",
            f"{who} manages this cluster: its next apply would undo the migration",
            f"make this change in its source code first: {change}",
            evidence=evidence,
        )
        return
    if case.facts.writers is None:
        yield says(
            "U131",
            "it is unknown whether infrastructure code manages this cluster: its last writers could not be read",
            "grant Microsoft.Insights/eventtypes/values/read (Reader has it)",
        )
        return
    automations = [writer for writer in case.facts.writers if writer.application]
    last = next((writer for writer in automations if not writer.own), None)
    if last is None and automations:
        yield says(
            "I131",
            f"the identity of this plan also wrote this cluster on {automations[0].at[:10]}: "
            "another program with the same identity may undo the migration",
        )
    if last is not None:
        yield says(
            "W131",
            f"an automation, {last.name}, wrote this cluster on {last.at[:10]}: its next run may undo the migration",
            f"make this change in its source code first: {_terraform(case)} or {_bicep(case)}",
        )


@rule(
    "W132",
    "U132",
    seen_in=f"policy assignments that reach the cluster, of definition {ADMIN_GROUPS_POLICY}",
    remedy="set the policy's parameter adminGroupObjectIDs to the groups of the plan",
)
def admin_groups_policy(case: Case) -> Iterator[Finding]:
    """A policy that sets admin groups replaces the planned groups at its next remediation."""
    if not case.writes or case.posture.stopped:
        return
    if case.facts.policies is None:
        yield says(
            "U132",
            "the policy assignments could not be read: one may set the admin groups",
            "grant Microsoft.Authorization/policyAssignments/read (Reader has it)",
        )
        return
    ours = tuple(group for group in case.outcome.admin_groups if ":" not in group)
    for policy in case.facts.policies:
        if policy.definition != ADMIN_GROUPS_POLICY or policy.exempt or not policy.enforced:
            continue
        if (policy.effect or "").casefold() == "disabled" or {one.lower() for one in policy.admin_groups} == set(ours):
            continue
        yield says(
            "W132",
            f"policy assignment {policy.name} on {policy.scope} sets the admin groups to "
            f"{', '.join(policy.admin_groups) or 'none at all'}: its remediation would replace those of this plan",
            f"set its parameter `adminGroupObjectIDs` to `[{_quoted(ours)}]`",
        )


def _terraform(case: Case) -> str:
    """The arguments of azurerm_kubernetes_cluster that stand for the plan's end."""
    state = case.outcome
    groups = _quoted(state.admin_groups)
    return (
        f"`local_account_disabled = {str(not state.local_accounts).lower()}`, "
        "`azure_active_directory_role_based_access_control { "
        f'tenant_id = "{state.tenant_id or ""}", admin_group_object_ids = [{groups}], '
        f"azure_rbac_enabled = {str(state.azure_rbac).lower()} }}` (Terraform)"
    )


def _bicep(case: Case) -> str:
    """The ARM properties at the end of the plan."""
    state = case.outcome
    groups = _quoted(state.admin_groups).replace('"', "'")
    return (
        f"`disableLocalAccounts: {str(not state.local_accounts).lower()}`, "
        f"`aadProfile: {{ managed: true, tenantID: '{state.tenant_id or ''}', adminGroupObjectIDs: [{groups}], "
        f"enableAzureRBAC: {str(state.azure_rbac).lower()} }}` (Bicep)"
    )


def _quoted(names: tuple[str, ...]) -> str:
    return ", ".join(f'"{name}"' for name in names)


RULES: tuple[Rule, ...] = (infrastructure_code, admin_groups_policy)
