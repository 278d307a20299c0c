"""Can it be done: does Azure allow it, does the runner have the rights, and can the cluster be reached from here?"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from typing import Final

from aks_entra.core.cluster import Identity, same_id
from aks_entra.core.preflight.context import Case
from aks_entra.core.preflight.facts import Endpoint
from aks_entra.core.preflight.finding import Finding, Rule, rule, says

_SKEW: Final = 1  # minor versions between kubectl and the API server (Kubernetes' version skew policy)


@rule(
    "B001",
    seen_in="the fleet file, `aadProfile.tenantID`, the subscription's tenant",
    remedy="set `tenant_id` to the subscription's tenant, or leave it out",
    firm=("B001",),
)
def tenant(case: Case) -> Iterator[Finding]:
    """The tenant of the Entra profile must be the subscription's tenant."""
    for name, found in (("target", case.target.tenant_id), ("cluster", case.posture.tenant_id)):
        if found and not same_id(found, case.facts.tenant_id):
            yield says(
                "B001",
                f"the {name}'s tenant {found} is not the subscription's tenant {case.facts.tenant_id}",
                "set `tenant_id` to the subscription's tenant, or leave it out",
            )


@rule(
    "B002",
    seen_in="the tenant that the runner's token for Microsoft Graph was issued by",
    remedy="run as an identity of the subscription's tenant",
    firm=("B002",),
)
def directory(case: Case) -> Iterator[Finding]:
    """Admin groups must be looked up in the tenant whose members the cluster will accept."""
    found = case.facts.directory_tenant
    if case.at_work and found and not same_id(found, case.facts.tenant_id):
        yield says(
            "B002",
            f"groups were looked up in tenant {found}, but the cluster is in tenant {case.facts.tenant_id}",
            "run as an identity of the subscription's tenant",
        )


@rule(
    "B003",
    seen_in="`properties.enableRBAC`",
    remedy="create a new cluster with `aks-entra provision` and move the workloads",
    firm=("B003",),
)
def kubernetes_rbac(case: Case) -> Iterator[Finding]:
    """Microsoft Entra ID cannot be enabled without Kubernetes RBAC, and RBAC cannot be added later."""
    if not case.posture.kubernetes_rbac:
        yield says(
            "B003",
            "Kubernetes RBAC is off: Microsoft Entra ID cannot be enabled on this cluster",
            "create a new cluster with `aks-entra provision` and move the workloads",
            evidence="properties.enableRBAC is false",
        )


@rule(
    "B027",
    seen_in="`aadProfile`, `powerState`, `publicNetworkAccess`, `disableLocalAccounts`, `enableRBAC`",
    remedy="check the cluster with `az aks show`; a newer version of aks-entra may know the value",
    firm=("B027",),
)
def understood(case: Case) -> Iterator[Finding]:
    """A cluster is not planned if ARM shows values that this version does not know."""
    remedy = "check the cluster with `az aks show`; a newer version of aks-entra may know the value"
    if case.posture.identity is Identity.UNKNOWN:
        yield says(
            "B027",
            "aadProfile has neither `managed` nor the legacy applications: the sign-in integration is unknown",
            remedy,
        )
    for shown in case.posture.not_understood:
        yield says("B027", f"ARM shows a value that this version does not know: {shown}", remedy)


@rule(
    "B011",
    "U111",
    seen_in="ARM's permissions of the runner on the cluster, its user-assigned identities and its subnets",
    remedy="assign the role of deployments/roles/migrate.json on the cluster or its resource group",
    firm=("B011",),
    bars=("B011", "U111"),
)
def permissions(case: Case) -> Iterator[Finding]:
    """The runner needs the ARM actions of its steps and of the way back, also on identities and subnets."""
    if not case.steps:
        return
    yield from _linked(case)
    if case.facts.missing_permissions is None:
        yield says(
            "U111",
            "the runner's rights on the cluster could not be read",
            "grant Microsoft.Authorization/permissions/read",
        )
        return
    for action in case.facts.missing_permissions:
        yield says(
            "B011",
            f"the runner lacks {action}",
            "assign the role of deployments/roles/migrate.json on the cluster or its resource group",
        )


def _linked(case: Case) -> Iterator[Finding]:
    """Name the rights on identities and subnets that the runner lacks. Azure asks for them at every update."""
    who = case.facts.runner or "<object id of the runner>"
    for right in case.posture.linked:
        grant = f'`az role assignment create --assignee {who} --role "aks-entra migrate" --scope {right.scope}`'
        if right in case.facts.linked_missing:
            yield says("B011", f"the runner lacks {right}, which Azure asks for at every update of the cluster", grant)
        elif right not in case.facts.linked_held:
            yield says(
                "U111",
                f"it could not be read whether the runner has {right}, which Azure asks for at every update",
                f"grant Microsoft.Authorization/permissions/read there, or {grant}",
            )


@rule(
    "B013",
    seen_in="a TLS handshake with the API server; `apiServerAccessProfile`",
    remedy="run the worker in a network that can reach it",
    firm=("B013",),
    bars=("B013",),
)
def reachable(case: Case) -> Iterator[Finding]:
    """Sign-in can be proven only if the API server can be reached: it may be private or restrict addresses."""
    if not case.facts.unreachable or case.posture.stopped:
        return
    ranges = case.posture.authorized_ip_ranges
    where = "private API server" if case.posture.private else "API server"
    if ranges:
        few = ", ".join(ranges[:3])
        remedy = f"run the worker at an address in its authorised IP ranges ({few}), or add the worker's address"
    else:
        remedy = "run the worker in a network that can reach it"
    yield says("B013", f"the {where} cannot be reached from here: {case.facts.unreachable}", remedy)


@rule(
    "W160",
    "U160",
    seen_in="`apiServerAccessProfile.authorizedIPRanges`; AKS_ENTRA_EGRESS_ADDRESS, or the claim `ipaddr` of a token",
    remedy="add the address to the ranges (`az aks update --api-server-authorized-ip-ranges`)",
)
def authorized_ranges(case: Case) -> Iterator[Finding]:
    """An API server with authorised IP ranges that does not answer may not know the address of this process."""
    ranges, address = case.posture.authorized_ip_ranges, case.facts.prover_address
    if not case.facts.unreachable or not ranges or case.posture.stopped:
        return
    inside = _in_ranges(address, ranges)
    if inside is None:
        yield says(
            "U160",
            "it is unknown whether the authorised IP ranges of the API server contain the address of this process",
            "set AKS_ENTRA_EGRESS_ADDRESS to the address with which it reaches the internet",
            evidence=", ".join(ranges),
        )
    elif not inside:
        yield says(
            "W160",
            f"this process reaches the internet as {address}, which is in none of the authorised IP ranges",
            f"add {address} to the ranges (`az aks update --api-server-authorized-ip-ranges`), "
            "or run the worker at an address in them",
            evidence=", ".join(ranges),
        )


def _in_ranges(address: str, ranges: tuple[str, ...]) -> bool | None:
    """Return whether one of the ranges contains the address. None if the address or a range cannot be read."""
    try:
        here = ip_address(address)
        return any(here in ip_network(one, strict=False) for one in ranges)
    except ValueError:
        return None


@rule(
    "B014",
    seen_in="the cluster's user kubeconfig",
    remedy="grant Microsoft.ContainerService/managedClusters/listClusterUserCredential/action",
    firm=("B014",),
)
def certificate_authority(case: Case) -> Iterator[Finding]:
    """A rotation can be proven only if the CA before it is known."""
    if case.posture.ca is None and not case.posture.stopped:
        yield says(
            "B014",
            "the cluster's CA could not be read: a rotation could not be proven",
            "grant Microsoft.ContainerService/managedClusters/listClusterUserCredential/action",
        )


@rule(
    "B016",
    "U116",
    seen_in="this process's environment and service account, the addresses behind PREFECT_API_URL and the proxies, "
    "the cluster's CA, its API server's address and what it publishes",
    remedy="run the worker, the Prefect server and the proxy somewhere else",
    firm=("B016",),
    bars=("B016", "U116"),
)
def not_the_own_cluster(case: Case) -> Iterator[Finding]:
    """No worker, Prefect server or proxy may live on the cluster whose certificates are rotated."""
    if not case.at_work or not case.rotates:
        return
    home = case.facts.home
    remedy = "run the worker, the Prefect server and the proxy somewhere else: the rotation interrupts this cluster"
    if home is None:
        yield says("U116", "it could not be read whether this process runs on the cluster", remedy)
        return
    ca = case.posture.ca
    if home.in_cluster and ca is not None and home.ca == ca.fingerprint:
        yield says(
            "B016",
            "this process runs on the cluster to be rotated",
            remedy,
            evidence=f"the CA of its service account, {ca.fingerprint[:8]}…, is the cluster's CA",
        )
    elif home.in_cluster and home.ca is None:
        yield says(
            "U116",
            "this process runs on a Kubernetes cluster, but it could not be read on which one",
            "renew the work pool's base job template from deployments/work-pools/kubernetes.json: "
            "it shows each pod its cluster's CA",
        )
    for endpoint in home.endpoints:
        yield from _runs_on_it(case, endpoint, remedy)


def _runs_on_it(case: Case, endpoint: Endpoint, remedy: str) -> Iterator[Finding]:
    here = case.facts.addresses
    same_name = same_id(endpoint.host, case.posture.fqdn or "")
    shared = sorted(set(endpoint.addresses) & set(here or ()))
    if same_name or shared:
        yield says(
            "B016",
            f"{endpoint.variable} points to {endpoint.host}, which runs on the cluster to be rotated",
            remedy,
            evidence=f"address {shared[0]}" if shared else "its API server's name",
        )
    elif here is None:
        yield says(
            "U116",
            f"it could not be read whether {endpoint.host} ({endpoint.variable}) runs on this cluster",
            "grant Microsoft.Network/publicIPAddresses/read and loadBalancers/read on the node resource group",
        )


@rule(
    "W117",
    "U117",
    seen_in="`currentKubernetesVersion`, and the versions that the region offers",
    remedy="upgrade the cluster first (`az aks upgrade`)",
)
def version(case: Case) -> Iterator[Finding]:
    """Azure support does not help with a failed rotation on a version that is out of support."""
    if not case.at_work or not case.posture.version:
        return
    offered = case.facts.supported_versions
    if offered is None:
        remedy = "grant Microsoft.ContainerService/locations/kubernetesVersions/read"
        yield says("U117", f"it could not be read whether version {case.posture.version} is supported", remedy)
    elif ".".join(case.posture.version.split(".")[:2]) not in offered:
        yield says(
            "W117",
            f"version {case.posture.version} is out of support",
            "upgrade the cluster first (`az aks upgrade`)",
            evidence=f"{case.posture.location} offers {', '.join(offered) or 'no version'}",
        )


@rule(
    "W118",
    "I118",
    "U118",
    seen_in="`kubectl version --client` and `kubelogin --version` on this machine",
    remedy="install both on the machines that people use: `az aks install-cli`",
)
def tools(case: Case) -> Iterator[Finding]:
    """People need kubectl within one minor version of the cluster, and kubelogin."""
    found = case.facts.tools
    if not case.at_work:
        return
    if found is None:
        yield says("U118", "it is unknown whether this machine has kubectl and kubelogin")
        return
    missing = [name for name, there in (("kubectl", found.kubectl), ("kubelogin", found.kubelogin)) if there == ""]
    if missing:
        yield says(
            "I118",
            f"{' and '.join(missing)} not found on this machine: people need both on the machines that they use",
            "`az aks install-cli`",
        )
    apart = _minors_apart(found.kubectl or "", case.posture.version)
    if apart is not None and apart > _SKEW:
        yield says(
            "W118",
            f"kubectl {found.kubectl} is {apart} minor versions away from the cluster's {case.posture.version}",
            "install a version within one minor version: `az aks install-cli --client-version …`",
        )


def _minors_apart(one: str, other: str) -> int | None:
    try:
        left, right = (int(version.split(".")[1]) for version in (one, other))
    except (IndexError, ValueError):
        return None
    return abs(left - right)


@rule(
    "B028",
    seen_in="the reads that each plan needs",
    remedy="solve the problem, then plan again",
    firm=("B028",),
)
def readable(case: Case) -> Iterator[Finding]:
    """A cluster that could not be read is refused. The other clusters of the fleet are planned."""
    if case.facts.unread:
        because = f"the cluster could not be read: {case.facts.unread}"
        yield says("B028", because, "solve the problem, then plan again")


RULES: tuple[Rule, ...] = (
    readable,
    tenant,
    directory,
    kubernetes_rbac,
    understood,
    permissions,
    reachable,
    authorized_ranges,
    certificate_authority,
    not_the_own_cluster,
    version,
    tools,
)
