"""What will the rotation hurt: nodes and disks are recreated, old credentials and service-account tokens die."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from aks_entra.core.machine_sizes import size_of
from aks_entra.core.preflight.case import Case, listed
from aks_entra.core.preflight.finding import Finding, Rule, rule, says

_READS_MISSING: Final = "the audit log leaves reads out (kube-audit-admin)"

MOST_CALLERS: Final = 8
"""How many callers are named one by one; the rest is counted."""


@rule(
    "W120",
    "I120",
    "U120",
    seen_in="the cluster's audit log: in Log Analytics, where its diagnostic settings send it, or `--audit-log`",
    remedy="move each caller to Microsoft Entra ID before you approve",
)
def who_breaks(case: Case) -> Iterator[Finding]:
    """Callers that are not Microsoft Entra ID, a node or the control plane stop working when credentials die."""
    if not case.at_work or not case.rotates:
        return
    found = case.facts.callers
    if found is None:
        yield says(
            "U120",
            f"who still uses old credentials is unknown: {case.facts.callers_unread or 'no audit log was read'}",
            "send category kube-audit to a Log Analytics workspace (a diagnostic setting of the cluster), or give an "
            "exported log with `--audit-log`",
        )
        return
    span = f"{found.since[:10]} to {found.until[:10]}"
    for caller in found.callers[:MOST_CALLERS]:
        yield says(
            "W120",
            f"{span}: {caller.words}: this stops working",
            "move it to Microsoft Entra ID (kubelogin, workload identity) before you approve",
            evidence=f"uses {caller.holds}",
        )
    if rest := found.callers[MOST_CALLERS:]:
        count = sum(caller.count for caller in rest)
        yield says("W120", f"{span}: {len(rest)} more callers ({count:,} requests): these stop working")
    if not found.complete:
        yield says(
            "U120",
            f"who else uses old credentials is unknown: {found.missing or _READS_MISSING}",
            "log category kube-audit for some days, and plan again",
        )
    elif not found.callers:
        yield says("I120", f"{span}: no caller with an old credential among {found.events:,} audited requests")


@rule(
    "W130",
    "U130",
    seen_in="`vnetSubnetID` of the pools, `ipConfigurations` of the subnet; `vmSize`, usages of Microsoft.Compute",
    remedy="free addresses in the subnet or make it larger; ask for more vCPU quota",
)
def cannot_surge(case: Case) -> Iterator[Finding]:
    """A pool that cannot get the addresses or the vCPUs of one more node may not come back."""
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
                f"whether pool {pool.name} can surge is unknown: its subnet could not be read",
                "grant Microsoft.Network/virtualNetworks/subnets/read",
            )
        elif subnet.free < pool.addresses_per_node:
            yield says(
                "W130",
                f"pool {pool.name} cannot surge: one more node needs {pool.addresses_per_node} addresses, "
                f"its subnet has {subnet.free} left",
                "free addresses in the subnet, or make it larger",
                evidence=subnet.id,
            )


def _beyond_quota(case: Case) -> Iterator[Finding]:
    quotas = {quota.name.lower(): quota for quota in case.facts.quotas or ()}
    if "cores" not in quotas:
        yield says(
            "U130",
            f"whether the pools can surge is unknown: vCPU quota of {case.posture.location} could not be read",
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
                f"whether pool {pool.name} can surge is unknown: no quota is known for {pool.vm_size or 'its size'}",
            )
        for quota in (quotas["cores"], family):
            if size is not None and quota is not None and quota.left < size.cores:
                yield says(
                    "W130",
                    f"pool {pool.name} cannot surge: one more node ({pool.vm_size}) needs {size.cores} vCPUs, quota "
                    f"{quota.name} of {case.posture.location} has {quota.left} left",
                    "ask for more quota (Azure portal: Quotas), or free some",
                )


@rule(
    "U140",
    seen_in="the API server, as the prover sees it",
    remedy="enable Microsoft Entra ID in a first plan (`rotation: later`), then plan again",
)
def unseen(case: Case) -> Iterator[Finding]:
    """What runs in a cluster can only be read where the prover gets in already."""
    if not case.at_work or not case.rotates:
        return
    inside = case.facts.inside
    if inside is None:
        because = f": {case.facts.outside_because}" if case.facts.outside_because else ""
        yield says(
            "U140",
            f"what runs in the cluster, and what the rotation hurts, could not be read{because}",
            "look yourself before you approve, or plan again when the prover can sign in",
        )
    elif inside.unread:
        yield says(
            "U140",
            f"the prover may not read {listed(inside.unread, 8)} in the cluster",
            "let it read them, or look yourself before you approve",
        )


@rule("W124", seen_in="pods (`emptyDir` on disk, `hostPath`), persistent volumes (`local`, `hostPath`)")
def node_local_data(case: Case) -> Iterator[Finding]:
    """Data on a node's own disk is gone when the node is recreated; hand-made changes to scale sets are, too."""
    yield from _named(
        case, "W124", "node_local", "data on the nodes' own disks will be lost: {}", "move it to a volume"
    )


@rule("W125", seen_in="PodDisruptionBudgets: `disruptionsAllowed`")
def stuck_budgets(case: Case) -> Iterator[Finding]:
    """A disruption budget that allows no eviction makes drains wait until they are forced or fail."""
    yield from _named(
        case, "W125", "budgets", "these disruption budgets allow no eviction: {}", "add replicas, or relax them"
    )


@rule("W128", seen_in="pods without an owner")
def bare_pods(case: Case) -> Iterator[Finding]:
    """A pod that no controller owns does not come back."""
    yield from _named(case, "W128", "bare_pods", "no controller brings these pods back: {}", "put them in a Deployment")


@rule("W129", seen_in="webhook configurations: `clientConfig.caBundle`")
def webhooks(case: Case) -> Iterator[Finding]:
    """A webhook with a CA bundle of its own may stop to answer when what signed its certificate changes."""
    yield from _named(
        case,
        "W129",
        "webhooks",
        "these webhooks pin a CA of their own: {}",
        "check that their certificates do not come from the cluster's CA, or renew them afterwards",
    )


@rule("W137", seen_in="config maps: certificates in them that are the cluster's own CA")
def pinned_ca(case: Case) -> Iterator[Finding]:
    """Whoever trusts a copy of the CA that is replaced does not trust the API server any more."""
    yield from _named(
        case,
        "W137",
        "pinned_ca",
        "these config maps hold a copy of the CA that is replaced: {}",
        "read `kube-root-ca.crt` instead, which Kubernetes renews, or put the new CA in afterwards",
    )


@rule("W133", seen_in="names of secrets (never a value)")
def kubeconfigs(case: Case) -> Iterator[Finding]:
    """A kubeconfig that is kept in a secret pins the old CA and carries what dies."""
    yield from _named(
        case, "W133", "kubeconfigs", "these secrets seem to hold kubeconfigs: {}", "make them anew afterwards"
    )


@rule("W135", seen_in="names of secrets of type kubernetes.io/service-account-token")
def static_tokens(case: Case) -> Iterator[Finding]:
    """Rotation replaces service-account tokens that stand in secrets: copies of them stop working."""
    yield from _named(
        case,
        "W135",
        "static_tokens",
        "copies of these service-account tokens stop working: {}",
        "hand out the new ones, or better workload identity",
    )


@rule("W134", seen_in="cluster role bindings of group system:masters")
def masters(case: Case) -> Iterator[Finding]:
    """A binding to system:masters lets in whoever holds a certificate that says so, past every other rule."""
    yield from _named(case, "W134", "masters", "these bindings name system:masters: {}", "bind a group of people")


@rule("W126", "W127", seen_in="deployments, stateful sets and daemon sets")
def controllers(case: Case) -> Iterator[Finding]:
    """What is unhealthy before will not be proven healthy after; what has one replica is down while it moves."""
    inside = case.facts.inside
    if not case.at_work or not case.rotates or inside is None or inside.controllers is None:
        return
    ill = tuple(
        f"{one.label} {one.available}/{one.desired}" for one in inside.controllers if one.available < one.desired
    )
    if ill:
        yield says("W126", f"unhealthy before anything was done: {listed(ill)}", "repair them first")
    single = tuple(one.label for one in inside.controllers if one.scalable and one.desired == 1)
    if single:
        yield says("W127", f"down while their only replica moves: {listed(single)}", "give them a second replica")


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
