"""The facts that trigger each rule about a cluster's surroundings, with words of its message."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from aks_entra.core.cluster import Pool, ServingCertificate
from aks_entra.core.deny_policy import assignment_id
from aks_entra.core.doors.model import opened
from aks_entra.core.maintenance_windows import MaintenanceWindow
from aks_entra.core.planning.plan import ClusterPlan
from aks_entra.core.preflight import (
    ADMIN_GROUPS_POLICY,
    ConditionalAccessPolicy,
    Controller,
    Endpoint,
    Finding,
    Home,
    Inside,
    Memberships,
    Policy,
    Quota,
    Subnet,
    Tools,
    Writer,
)
from aks_entra.core.preflight.audit_callers import Caller, Holds
from aks_entra.core.target import Keep, LocalAccounts
from tests.support.cases import DENIES, INSIDE, OLD_CA, QUIET, SHOP, SHUT, facts, group, managed, target
from tests.support.hook_rule_cases import HOOKS
from tests.support.window_rule_cases import LATER, READ_BEFORE_THE_WINDOW, SUBNET

FLAT = Pool(name="a", count=3, vm_size="Standard_D4s_v5", subnet_id=SUBNET, addresses_per_node=31)
SATURDAYS = MaintenanceWindow(name="default", hours=(("Saturday", 2), ("Saturday", 3)))
ODD = MaintenanceWindow(name="nodes", schedule="yearly", duration_hours=4)
SERVER = Endpoint(variable="PREFECT_API_URL", host="prefect.contoso.com", addresses=("20.1.2.3",))
GROUPS_POLICY = Policy(
    name="groups", scope="/subscriptions/s", definition=ADMIN_GROUPS_POLICY, effect="DeployIfNotExists"
)
PAUL = Writer(name="paul@contoso.com", at="2026-11-23T08:00:00Z", application=False)
PIPELINE = Writer(name="application 1f0c", at="2026-11-22T08:00:00Z", application=True)
HELM = Caller(
    holds=Holds.ADMIN_CERTIFICATE,
    username="masterclient",
    user_agent="helm/3.14",
    addresses=("10.2.0.7",),
    verbs=("get",),
    count=41,
    last_seen="2026-11-20T08:00:00Z",
)
OURS = replace(HELM, user_agent="aks-entra/0.1.0")
TAKEN = Policy(name="theirs", scope="", definition="", effect="Audit", assignment=assignment_id(SHOP))
OPENED = (
    ("aks-entra-break-glass-until", "2026-11-24T09:00:00Z"),
    ("aks-entra-break-glass-reason", "INC-77"),
    ("aks-entra-break-glass-opener", "dana"),
)


def seen(expires: str | None) -> ServingCertificate:
    return ServingCertificate(issuer="CN=ca", issuer_key=None, not_before="2024-05-11T00:00:00Z", not_after=expires)


def inside(**how: Any) -> Inside:
    return replace(INSIDE, **how)


STATIC = opened("static-credentials", "dana: Owner", remedy="turn local accounts off")
SSH_OPEN = opened(
    "node-ssh", "system: everyone with a private key of its local user", remedy="turn SSH access off for the pool"
)
SPEAKING = [
    *READ_BEFORE_THE_WINDOW,
    ("B002", "looked up in tenant another", managed(), target(), facts(directory_tenant="another")),
    (
        "B006",
        "is for mail only",
        managed(),
        target(),
        facts(groups=(group(security_enabled=False, mail_enabled=True),)),
    ),
    ("B008", "has no members", managed(), target(), facts(groups=(group(members=0, eligible=0),))),
    (
        "U108",
        "its eligible members could not be read",
        managed(),
        target(),
        facts(groups=(group(members=0, eligible=None),)),
    ),
    ("I108", "2 eligible", managed(), target(), facts(groups=(group(members=0, eligible=2),))),
    ("W109", "no enabled user", managed(), target(), facts(groups=(group(members=3, people=0),))),
    ("U113", "the eligible members of", managed(), target(), facts(groups=(group(people=0, eligible=None),))),
    ("W113", "only one member: the prover", managed(), target(), facts(groups=(group(members=1, people=0),))),
    ("W114", "only guests", managed(), target(), facts(groups=(group(people=2, guests=2),))),
    (
        "B013",
        "cannot be reached",
        managed(authorized_ip_ranges=("20.0.0.0/8",)),
        target(),
        facts(unreachable="timed out"),
    ),
    (
        "W160",
        "reaches the internet as 198.51.100.9, which is in none",
        managed(authorized_ip_ranges=("20.0.0.0/8", "192.0.2.7")),
        target(),
        facts(unreachable="timed out", prover_address="198.51.100.9"),
    ),
    (
        "U160",
        "it is unknown whether the authorised IP ranges",
        managed(authorized_ip_ranges=("20.0.0.0/8",)),
        target(),
        facts(unreachable="timed out"),
    ),
    (
        "B016",
        "this process runs on the cluster",
        managed(),
        target(),
        facts(home=Home(in_cluster=True, ca=OLD_CA.fingerprint)),
    ),
    (
        "B016",
        "PREFECT_API_URL points to prefect",
        managed(),
        target(),
        facts(home=Home(endpoints=(SERVER,)), addresses=("20.1.2.3",)),
    ),
    (
        "B016",
        "PREFECT_API_URL points to API.hcp",
        managed(fqdn="api.hcp"),
        target(),
        facts(home=Home(endpoints=(replace(SERVER, host="API.hcp", addresses=()),))),
    ),
    ("U116", "whether this process runs on the cluster", managed(), target(), facts(home=None)),
    ("U116", "could not be read on which one", managed(), target(), facts(home=Home(in_cluster=True))),
    ("U116", "prefect.contoso.com", managed(), target(), facts(home=Home(endpoints=(SERVER,)), addresses=None)),
    ("W117", "1.25.6 is out of support", managed(version="1.25.6"), target(), facts()),
    (
        "U117",
        "whether version 1.25.6 is supported",
        managed(version="1.25.6"),
        target(),
        facts(supported_versions=None),
    ),
    ("W118", "2 minor versions away", managed(version="1.35.0"), target(), facts()),
    ("I118", "kubelogin not found", managed(), target(), facts(tools=Tools(kubectl="1.33.1", kubelogin=""))),
    ("U118", "it is unknown whether this machine has", managed(), target(), facts(tools=None)),
    (
        "B019",
        "AKS refuses an application",
        managed(),
        target(),
        facts(memberships=Memberships(groups=201, person=False)),
    ),
    (
        "B025",
        "'No robots' blocks",
        managed(),
        target(),
        facts(conditional_access=(ConditionalAccessPolicy(name="No robots", controls=("block",)),)),
    ),
    (
        "W136",
        "'Not from here' may block the sign-in",
        managed(),
        target(),
        facts(conditional_access=(ConditionalAccessPolicy(name="Not from here", controls=("block",), certain=False),)),
    ),
    (
        "W136",
        "may require mfa at",
        managed(),
        target(),
        facts(conditional_access=(ConditionalAccessPolicy(name="MFA", controls=("mfa",)),)),
    ),
    (
        "W136",
        "may require more at",
        managed(),
        target(),
        facts(conditional_access=(ConditionalAccessPolicy(name="Strength"),)),
    ),
    ("U136", "could not be read", managed(), target(), facts(conditional_access=None)),
    ("I119", "201 groups", managed(), target(), facts(memberships=Memberships(groups=201, person=True))),
    ("U119", "the number of groups", managed(), target(), facts(memberships=None)),
    (
        "W120",
        "41 requests by masterclient from 10.2.0.7 (helm/3.14)",
        managed(),
        target(),
        facts(callers=replace(QUIET, callers=(HELM,))),
    ),
    (
        "W120",
        "1 more callers (41 requests)",
        managed(),
        target(),
        facts(callers=replace(QUIET, callers=(HELM,) * 9)),
    ),
    ("W120", "it calls itself aks-entra", managed(), target(), facts(callers=replace(QUIET, callers=(OURS,)))),
    ("I120", "no caller with an old credential", managed(), target(), facts()),
    ("I120", "41 of aks-entra's own requests", managed(), target(), facts(callers=replace(QUIET, own=(OURS,)))),
    ("U120", "does not contain reads", managed(), target(), facts(callers=replace(QUIET, complete=False))),
    ("U120", "no audit log was read", managed(), target(), facts(callers=None)),
    ("U120", "goes nowhere", managed(), target(), facts(callers=None, callers_unread="it goes nowhere")),
    (
        "U120",
        "a part only",
        managed(),
        target(),
        facts(callers=replace(QUIET, complete=False, missing="a part only")),
    ),
    ("B021", "no way back", managed(), target(), facts(policies=(DENIES,))),
    (
        "U121",
        "could not be read: it may deny",
        managed(),
        target(),
        facts(policies=(replace(DENIES, effect=None),)),
    ),
    ("U121", "could not be read", managed(), LATER, facts(policies=None)),
    (
        "W122",
        "no maintenance window is open now: default: Saturday 02:00, Saturday 03:00",
        managed(),
        target(),
        facts(maintenance_windows=(SATURDAYS,)),
    ),
    ("U122", "it is unknown whether a maintenance window", managed(), target(), facts(maintenance_windows=(ODD,))),
    ("U122", "could not be read", managed(), target(), facts(maintenance_windows=None)),
    (
        "I122",
        "were not read: the gate before the stage reads them",
        managed(),
        target(),
        facts(maintenance_windows=None, windows_unasked="the gate before the stage reads them, and waits for them"),
    ),
    ("B023", "expired on 2026-11-01", managed(serving=seen("2026-11-01T00:00:00Z")), target(), facts()),
    ("W123", "expired on 2026-11-01", replace(SHUT, serving=seen("2026-11-01T00:00:00Z")), target(), facts()),
    ("W123", "expires on 2026-12-01", managed(serving=seen("2026-12-01T00:00:00Z")), LATER, facts()),
    ("B024", "until 2026-11-24T09:00:00Z: INC-77 · dana", managed(tags=OPENED), target(), facts()),
    ("U123", "the expiry date of the API server", managed(serving=seen(None)), target(), facts()),
    (
        "W124",
        "pay/ledger emptyDir 40Gi",
        managed(),
        target(),
        facts(inside=inside(node_local=("pay/ledger emptyDir 40Gi",))),
    ),
    ("W125", "allow no eviction: pay/ledger", managed(), target(), facts(inside=inside(budgets=("pay/ledger",)))),
    (
        "W126",
        "Deployment pay/ledger 1/2",
        managed(),
        target(),
        facts(inside=inside(controllers=(Controller(label="Deployment pay/ledger", desired=2, available=1),))),
    ),
    (
        "W127",
        "the only replica moves: Deployment pay/web",
        managed(),
        target(),
        facts(inside=inside(controllers=(Controller(label="Deployment pay/web", desired=1, available=1),))),
    ),
    ("W128", "pay/debug", managed(), target(), facts(inside=inside(bare_pods=("pay/debug",)))),
    ("W129", "cert-manager", managed(), target(), facts(inside=inside(webhooks=("cert-manager",)))),
    (
        "W130",
        "needs 31 addresses, and its subnet has 5 left",
        managed(pools=(FLAT,)),
        target(),
        facts(subnets=(Subnet(id=SUBNET.upper(), free=5),)),
    ),
    (
        "U130",
        "unknown whether pool a can surge",
        managed(pools=(FLAT,)),
        target(),
        facts(subnets=(Subnet(id=SUBNET, free=None),)),
    ),
    ("U130", "unknown whether pool a can surge", managed(pools=(FLAT,)), target(), facts(subnets=None)),
    (
        "W130",
        "(Standard_D4s_v5) needs 4 vCPUs, and quota cores of westeurope has 3 left",
        managed(location="westeurope"),
        target(),
        facts(quotas=(Quota(name="cores", left=3), Quota(name="standardDSv5Family", left=4))),
    ),
    (
        "W130",
        "quota standardDSv5Family of westeurope has 3 left",
        managed(location="westeurope"),
        target(),
        facts(quotas=(Quota(name="cores", left=4), Quota(name="standardDSv5Family", left=3))),
    ),
    (
        "U130",
        "vCPU quota of westeurope could not be read",
        managed(location="westeurope"),
        target(),
        facts(quotas=None),
    ),
    (
        "U130",
        "no quota is known for Standard_D4s_v5",
        managed(),
        target(),
        facts(quotas=(Quota(name="cores", left=9),)),
    ),
    ("U130", "no quota is known for its size", managed(pools=(Pool(name="a"),)), target(), facts()),
    ("W131", "Terraform manages this cluster", managed(tags=(("managed-by", "Terraform"),)), target(), facts()),
    ("W131", "Bicep manages this cluster", managed(tags=(("azd-env-name", "prod"),)), target(), facts()),
    (
        "W131",
        "application 1f0c, wrote this cluster on 2026-11-22",
        managed(),
        target(),
        facts(writers=(PAUL, PIPELINE)),
    ),
    ("U131", "could not be read", managed(), target(), facts(writers=None)),
    (
        "I131",
        "wrote this cluster on 2026-11-22",
        managed(),
        target(),
        facts(writers=(replace(PIPELINE, own=True),)),
    ),
    (
        "W131",
        "application 1f0c",
        managed(),
        target(),
        facts(writers=(replace(PIPELINE, name="x", own=True), PIPELINE)),
    ),
    ("W132", "sets the admin groups to none at all", managed(), target(), facts(policies=(GROUPS_POLICY,))),
    ("U132", "could not be read", managed(), target(), facts(policies=None)),
    ("W137", "pay/trust", managed(), target(), facts(inside=inside(pinned_ca=("pay/trust",)))),
    ("W133", "ci/kubeconfig", managed(), target(), facts(inside=inside(kubeconfigs=("ci/kubeconfig",)))),
    ("W134", "old-admins", managed(), target(), facts(inside=inside(masters=("old-admins",)))),
    ("W135", "ci/deployer-token", managed(), target(), facts(inside=inside(static_tokens=("ci/deployer-token",)))),
    (
        "U140",
        "what the rotation breaks: no right",
        managed(),
        target(),
        facts(inside=None, outside_because="no right"),
    ),
    ("U140", "could not be read", managed(), target(), facts(inside=None)),
    (
        "W170",
        "(node-ssh) must be closed, and is open: system: everyone with a private key",
        managed(),
        target(doors=("node-ssh",)),
        facts(doors=(SSH_OPEN,)),
    ),
    (
        "U170",
        "(node-ssh) must be closed, and is not looked at: the look that was recorded did not include it",
        managed(),
        target(doors=("node-ssh",)),
        facts(),
    ),
    (
        "I171",
        "run-command, conditional-roles, fleet-roles (the look that was recorded did not include it)",
        managed(),
        target(),
        facts(doors=(SSH_OPEN,)),
    ),
    ("I170", "(node-ssh) stays open: system: everyone", managed(), target(), facts(doors=(SSH_OPEN,))),
    (
        "I170",
        "(static-credentials) stays open: dana: Owner",
        managed(),
        target(local_accounts=LocalAccounts.KEEP),
        facts(doors=(STATIC,)),
    ),
    ("W145", "will not be carried out", managed(), target(keep=Keep.DENY), facts(may_assign_policies=False)),
    ("W145", "somebody else made", managed(), target(keep=Keep.DENY), facts(policies=(TAKEN,))),
    ("U145", "could not be read whether the runner may assign", managed(), target(keep=Keep.DENY), facts()),
    *HOOKS,
    (
        "U140",
        "may not read pods, webhooks",
        managed(),
        target(),
        facts(inside=inside(bare_pods=None, webhooks=None)),
    ),
]


def found(plan: ClusterPlan, rule: str) -> list[Finding]:
    return [finding for finding in plan.findings if finding.rule == rule]
