"""What will the rotation break: it recreates nodes and their disks, and revokes old credentials and tokens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from aks_entra.core.preflight.audit_callers import claims_to_be_ours
from aks_entra.core.preflight.context import Case, listed
from aks_entra.core.preflight.finding import Finding, Rule, rule, says
from aks_entra.core.preflight.vm_sizes import size_of

_READS_MISSING: Final = "the audit log does not contain reads (kube-audit-admin)"
_NOT_RECORDED: Final = "it calls itself aks-entra, and no evidence here recorded these requests"
_FIND_IT: Final = "find who called (docs/how-to/move-callers.md#aks-entra-itself) before you approve"

MOST_CALLERS: Final = 8
"""This many callers are listed one by one. The others are counted."""


@rule(
    "W120",
    "I120",
    "U120",
    seen_in="the cluster's audit log: in Log Analytics, where its diagnostic settings send it, or `--audit-log`",
    remedy="move each caller to Microsoft Entra ID before you approve",
)
def who_breaks(case: Case) -> Iterator[Finding]:
    """Callers with old credentials stop working. Entra ID users, nodes and the control plane do not."""
    if not case.at_work or not case.rotates:
        return
    found = case.facts.callers
    if found is None:
        yield says(
            "U120",
            f"it is unknown who still uses old credentials: {case.facts.callers_unread or 'no audit log was read'}",
            "send category kube-audit to a Log Analytics workspace (with a diagnostic setting of the cluster), or "
            "pass an exported log with `--audit-log`",
        )
        return
    span = f"{found.since[:10]} to {found.until[:10]}"
    for caller in found.callers[:MOST_CALLERS]:
        ours = claims_to_be_ours(caller.user_agent)
        yield says(
            "W120",
            f"{span}: {caller.words}: {_NOT_RECORDED if ours else 'this caller stops working'}",
            _FIND_IT if ours else "move it to Microsoft Entra ID (kubelogin, workload identity) before you approve",
            evidence=f"uses {caller.holds}",
        )
    if rest := found.callers[MOST_CALLERS:]:
        count = sum(caller.count for caller in rest)
        yield says("W120", f"{span}: {len(rest)} more callers ({count:,} requests): they stop working")
    if found.own:
        count = sum(caller.count for caller in found.own)
        yield says("I120", f"{span}: {count:,} of aks-entra's own requests, which its evidence recorded, do not count")
    if not found.complete:
        yield says(
            "U120",
            f"it is unknown who else uses old credentials: {found.missing or _READS_MISSING}",
            "collect category kube-audit for some days, then plan again",
        )
    elif not found.callers:
        yield says("I120", f"{span}: no caller with an old credential among {found.events:,} audited requests")


@rule(
    "W130",
    "U130",
    seen_in="`vnetSubnetID` of the pools, `ipConfigurations` of the subnet; `vmSize`, usages of Microsoft.Compute",
    remedy="free addresses in the subnet or enlarge it; request more vCPU quota",
)
def cannot_surge(case: Case) -> Iterator[Finding]:
    """A pool needs the IP addresses and vCPUs of one more node, or it may not recover."""
    if not case.at_work or not case.rotates:
        return
    yield from _beyond_quota(case)
    subnets = {subnet.id.lower(): subnet for subnet in case.facts.subnets or ()}
    for pool in case.posture.pools:
        if pool.subnet_id is None or pool.power_state == "Stopped":
            continue
        subnet = subnets.get(pool.subnet_id.lower())
        if subnet is None or subnet.free is None:
            yield says(
                "U130",
                f"it is unknown whether pool {pool.name} can surge: its subnet could not be read",
                "grant Microsoft.Network/virtualNetworks/subnets/read",
            )
        elif subnet.free < pool.addresses_per_node:
            yield says(
                "W130",
                f"pool {pool.name} cannot surge: one more node needs {pool.addresses_per_node} addresses, "
                f"and its subnet has {subnet.free} left",
                "free addresses in the subnet, or enlarge it",
                evidence=subnet.id,
            )


def _beyond_quota(case: Case) -> Iterator[Finding]:
    quotas = {quota.name.lower(): quota for quota in case.facts.quotas or ()}
    if "cores" not in quotas:
        yield says(
            "U130",
            f"it is unknown whether the pools can surge: the vCPU quota of {case.posture.location} could not be read",
            "grant Microsoft.Compute/locations/usages/read",
        )
        return
    for pool in case.posture.pools:
        size = size_of(pool.vm_size)
        if pool.power_state == "Stopped":
            continue
        family = next((quotas[name] for name in size.families if name in quotas), None) if size else None
        if size is None or family is None:
            yield says(
                "U130",
                f"it is unknown whether pool {pool.name} can surge: no quota is known for {pool.vm_size or 'its size'}",
            )
        for quota in (quotas["cores"], family):
            if size is not None and quota is not None and quota.left < size.cores:
                yield says(
                    "W130",
                    f"pool {pool.name} cannot surge: one more node ({pool.vm_size}) needs {size.cores} vCPUs, and "
                    f"quota {quota.name} of {case.posture.location} has {quota.left} left",
                    "request more quota (Azure portal: Quotas), or free some",
                )


_READ_INSIDE: Final = (
    "read them once with the cluster's admin credential (`--read-with-admin`), or run a first plan with "
    "`rotation: later`; once Entra ID is on, plan again to see the workloads"
)


@rule(
    "W143",
    "U143",
    seen_in="a preview of ARM: `nodeDisruptionProfile`, gates in `upgradeSettings` of the cluster and its pools",
    remedy="allow disruption of nodes and turn the gates off for the rotation, or rehearse it on such a cluster",
)
def node_disruption(case: Case) -> Iterator[Finding]:
    """Azure may refuse or stop what recreates nodes. Whether that includes a rotation is not documented."""
    if not case.at_work or not case.rotates:
        return
    found = case.facts.node_disruption
    if found is None:
        yield says(
            "U143",
            "the node disruption policy and upgrade gates could not be read: one may stop the rotation",
            "look with `az aks show` and its extension aks-preview; a newer version of aks-entra may read them",
        )
        return
    if found.policy != "Allow":
        only = " outside of aksManagedNodeOSUpgradeSchedule" if found.policy == "AllowDuringMaintenanceWindow" else ""
        yield says(
            "W143",
            f"the node disruption policy is {found.policy}: Azure may refuse the rotation{only}",
            "set `nodeDisruptionPolicy` to Allow for the rotation, or rehearse it on a cluster with this policy",
            evidence=f"nodeDisruptionPolicy {found.policy}",
        )
    if found.gated:
        yield says(
            "W143",
            f"an upgrade health gate is on for {listed(found.gated)}: it may stop the rotation half way",
            "turn it off for the rotation, or rehearse it on a cluster with this gate",
            evidence="upgradeSettings",
        )


@rule(
    "W142",
    "U142",
    seen_in="scale sets of the node resource group: `identity`, `extensionProfile`, `tags`",
    remedy="put it there again afterwards, or better, let the cluster own it (workload identity, tags of the pool)",
)
def scale_set_additions(case: Case) -> Iterator[Finding]:
    """The rotation recreates the scale sets. What somebody put on them by hand is lost."""
    if not case.at_work or not case.rotates:
        return
    found = case.facts.scale_set_additions
    if found is None:
        yield says(
            "U142",
            "the scale sets could not be read: what somebody put on them by hand is lost when they are recreated",
            "grant Microsoft.Compute/virtualMachineScaleSets/read on the node resource group",
        )
    elif found:
        names = tuple(f"{one.what} on {one.scale_set}" for one in found)
        yield says(
            "W142",
            f"the rotation recreates the scale sets, and with them is lost what AKS did not put there: {listed(names)}",
            "put it there again afterwards, or better, let the cluster own it (workload identity, tags of the pool)",
        )


@rule(
    "W140",
    "U140",
    seen_in="the API server, as the prover sees it, or with `read: admin-credential` as its admin does",
    remedy=_READ_INSIDE,
)
def unseen(case: Case) -> Iterator[Finding]:
    """Workloads can be read only if the prover can already sign in, or with an admin credential, which then exists."""
    if not case.at_work or not case.rotates:
        return
    inside, read = case.facts.inside, case.facts.admin_read
    if case.facts.admin_credential_read:
        lists = f"; {read.requests} lists until {read.until}" if read else ""
        yield says(
            "W140",
            "the workloads were read with the cluster's admin credential: Azure handed it out for this plan, and it "
            "works until the rotation",
            "if you do not carry out this plan, rotate the certificates yourself (`az aks rotate-certs`)",
            evidence=f"listClusterAdminCredential at {case.facts.now}{lists}; "
            "this process held it in memory and dropped it",
        )
    if inside is None:
        because = f": {case.facts.outside_because}" if case.facts.outside_because else ""
        yield says(
            "U140",
            f"the workloads of the cluster could not be read, so it is unknown what the rotation breaks{because}",
            _READ_INSIDE,
        )
    elif inside.unread:
        yield says(
            "U140",
            f"the prover may not read {listed(inside.unread, 8)} in the cluster",
            "allow the prover to read them, or check them yourself before you approve",
        )


@rule("W124", seen_in="pods (`emptyDir` on disk, `hostPath`), persistent volumes (`local`, `hostPath`)")
def node_local_data(case: Case) -> Iterator[Finding]:
    """Data on a node's own disk is lost when the node is recreated. So are manual changes to scale sets."""
    yield from _named(
        case, "W124", "node_local", "data on the nodes' own disks will be lost: {}", "move the data to a volume"
    )


@rule("W125", seen_in="PodDisruptionBudgets: `disruptionsAllowed`")
def stuck_budgets(case: Case) -> Iterator[Finding]:
    """If a disruption budget allows no eviction, drains wait until they are forced or fail."""
    yield from _named(
        case, "W125", "budgets", "these disruption budgets allow no eviction: {}", "add replicas, or relax the budgets"
    )


@rule("W128", seen_in="pods without an owner")
def bare_pods(case: Case) -> Iterator[Finding]:
    """A pod without a controller is not recreated."""
    yield from _named(
        case,
        "W128",
        "bare_pods",
        "these pods have no controller and will not be recreated: {}",
        "put them in a Deployment",
    )


@rule("W129", seen_in="webhook configurations: `clientConfig.caBundle`")
def webhooks(case: Case) -> Iterator[Finding]:
    """A webhook with its own CA bundle may stop working if the CA that signed its certificate is replaced."""
    yield from _named(
        case,
        "W129",
        "webhooks",
        "these webhooks pin their own CA: {}",
        "check that the cluster's CA did not sign their certificates, or renew the certificates afterwards",
    )


@rule("W137", seen_in="config maps: certificates in them that are the cluster's own CA")
def pinned_ca(case: Case) -> Iterator[Finding]:
    """A client that trusts a copy of the old CA will not trust the API server after the rotation."""
    yield from _named(
        case,
        "W137",
        "pinned_ca",
        "these config maps contain a copy of the CA that the rotation replaces: {}",
        "use `kube-root-ca.crt` instead, which Kubernetes renews, or add the new CA afterwards",
    )


@rule("W133", seen_in="names of secrets (never a value)")
def kubeconfigs(case: Case) -> Iterator[Finding]:
    """A kubeconfig in a secret pins the old CA and contains credentials that stop working."""
    yield from _named(
        case, "W133", "kubeconfigs", "these secrets seem to contain kubeconfigs: {}", "create them again afterwards"
    )


@rule("W135", seen_in="names of secrets of type kubernetes.io/service-account-token")
def static_tokens(case: Case) -> Iterator[Finding]:
    """The rotation replaces service-account tokens in secrets. Copies of the old tokens stop working."""
    yield from _named(
        case,
        "W135",
        "static_tokens",
        "copies of these service-account tokens stop working: {}",
        "distribute the new tokens, or better, use workload identity",
    )


@rule("W134", seen_in="cluster role bindings of group system:masters")
def masters(case: Case) -> Iterator[Finding]:
    """A binding to system:masters gives full access to anybody with a certificate of that group."""
    yield from _named(
        case, "W134", "masters", "these bindings name system:masters: {}", "bind a group of people instead"
    )


@rule("W126", "W127", seen_in="deployments, stateful sets and daemon sets")
def controllers(case: Case) -> Iterator[Finding]:
    """An unhealthy workload cannot be proven healthy afterwards. One with a single replica is down while it moves."""
    inside = case.facts.inside
    if not case.at_work or not case.rotates or inside is None or inside.controllers is None:
        return
    ill = tuple(
        f"{one.label} {one.available}/{one.desired}" for one in inside.controllers if one.available < one.desired
    )
    if ill:
        yield says("W126", f"unhealthy before the migration: {listed(ill)}", "repair these workloads first")
    single = tuple(one.label for one in inside.controllers if one.scalable and one.desired == 1)
    if single:
        yield says("W127", f"down while the only replica moves: {listed(single)}", "add a second replica")


def _named(case: Case, rule_id: str, field: str, message: str, remedy: str) -> Iterator[Finding]:
    inside = case.facts.inside
    if not case.at_work or not case.rotates or inside is None:
        return
    found: tuple[str, ...] | None = getattr(inside, field)
    if found:
        yield says(rule_id, message.format(listed(found)), remedy)


RULES: tuple[Rule, ...] = (
    who_breaks,
    cannot_surge,
    scale_set_additions,
    node_disruption,
    unseen,
    node_local_data,
    stuck_budgets,
    controllers,
    bare_pods,
    webhooks,
    pinned_ca,
    kubeconfigs,
    masters,
    static_tokens,
)
