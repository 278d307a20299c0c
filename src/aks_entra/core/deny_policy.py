"""The policy assignment that keeps local accounts off: its names, and the commands with which a person makes it.

It assigns Azure's built-in definition with the effect Deny to one cluster. From then on ARM refuses every write of the
cluster that does not turn local accounts off, whoever sends it. Sources: "Azure Policy assignment structure", "Azure
Policy exemption structure", and the definition's own page.
"""

from __future__ import annotations

from typing import Final

from aks_entra.core.cluster import ClusterId

LOCAL_ACCOUNTS_POLICY: Final = "993c2fcd-2b29-49d2-9eb0-df2c3a730c32"
"""Azure Policy: Azure Kubernetes Service Clusters should have local authentication methods disabled."""

ASSIGNMENT: Final = "aks-entra-keep"
"""The name of our assignment. It is the same on each cluster, because the cluster is its scope."""

EXEMPTION: Final = "aks-entra-break-glass"
"""The name of the exemption from it during a break-glass opening."""

OTHERS_EXEMPTION: Final = "aks-entra-break-glass-others"
"""The name that we propose for an exemption from an assignment of others. One with ours would take its place."""

OWNER: Final = "aks-entra"
"""The value of `managedBy` in the metadata of both. Without it, they are not ours and are never touched."""

NOT_OURS: Final = "NotOurs"
"""The code of the error for what bears one of these names without our metadata."""

ASSIGN: Final = "Microsoft.Authorization/policyAssignments/write"
"""The right to make the assignment."""

REMOVE: Final = "Microsoft.Authorization/policyAssignments/delete"
"""The right to take it away."""

ENFORCED_WITHIN: Final = "Azure enforces it within 30 minutes"


def definition_id() -> str:
    """Return the resource id of the built-in definition."""
    return f"/providers/Microsoft.Authorization/policyDefinitions/{LOCAL_ACCOUNTS_POLICY}"


def assignment_id(cluster: ClusterId) -> str:
    """Return the resource id of our assignment on a cluster."""
    return f"{cluster.resource_id}/providers/Microsoft.Authorization/policyAssignments/{ASSIGNMENT}"


def exemption_id(cluster: ClusterId) -> str:
    """Return the resource id of our exemption on a cluster."""
    return f"{cluster.resource_id}/providers/Microsoft.Authorization/policyExemptions/{EXEMPTION}"


def how_to_assign(cluster: ClusterId) -> str:
    """Return the command with which a person who may assign policies makes our assignment."""
    return (
        f"az policy assignment create --name {ASSIGNMENT} --scope {cluster.resource_id} "
        f'--policy {LOCAL_ACCOUNTS_POLICY} --params \'{{"effect": {{"value": "Deny"}}}}\' '
        f"--metadata managedBy={OWNER}"
    )


def how_to_exempt(cluster: ClusterId, until: str) -> str:
    """Return the command that makes our exemption, which ends by itself (`until` is ISO 8601)."""
    return f"{_exempt(cluster, EXEMPTION, assignment_id(cluster), until)} --metadata managedBy={OWNER}"


def how_to_exempt_from_others(cluster: ClusterId, assignment: str, until: str = "") -> str:
    """Return the command that exempts a cluster from an assignment of others, given by its resource id.

    `until` (ISO 8601) empty: the exemption stays until somebody removes it.
    """
    return _exempt(cluster, OTHERS_EXEMPTION, assignment, until)


def how_to_find_exemptions(cluster: ClusterId) -> str:
    """Return the command that shows the exemptions of a cluster, and what to do with one of them."""
    listing = f"az policy exemption list --disable-scope-strict-match --scope {cluster.resource_id}"
    return f"find the exemption (`{listing}`), and delete it (`az policy exemption delete`) or ask its owner"


def _exempt(cluster: ClusterId, name: str, assignment: str, until: str) -> str:
    ends = f" --expires-on {until}" if until else ""
    return (
        f"az policy exemption create --name {name} --scope {cluster.resource_id} "
        f"--policy-assignment {assignment} --exemption-category Waiver{ends}"
    )
