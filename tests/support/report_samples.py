"""A plan and a report of a fleet, with one cluster of each kind that the report formats have to show."""

from __future__ import annotations

from aks_entra.core.cluster import CertificateAuthority, ClusterId, Depth, Identity, Pool, Posture
from aks_entra.core.doors.facts import DoorFacts, Unread
from aks_entra.core.doors.registry import doors_of
from aks_entra.core.evidence.hook_runs import HookRan, HookStatus
from aks_entra.core.evidence.observations import (
    ActivityLogRead,
    AdminCredentialRefused,
    AuthoritySeen,
    CertificatesRotated,
    ClusterCreated,
    Credential,
    CredentialTried,
    DenyPolicySeen,
    DoorsSeen,
    EntraSet,
    Evidence,
    Failure,
    GroupEnsured,
    GroupSeen,
    HandedOut,
    LocalAccountsDisabled,
    LocalAccountsEnabled,
    Moment,
    NodesSeen,
    SignInProven,
    StateSeen,
    TokenHeld,
    WorkloadsSeen,
)
from aks_entra.core.evidence.rotation_debt import Debt, OldCredentials
from aks_entra.core.planning.plan import ClusterPlan, FleetPlan, plan_cluster
from aks_entra.core.planning.prover import Prover
from aks_entra.core.planning.rollout import MemberGroup, Stage, StageResult
from aks_entra.core.preflight.audit_callers import AuditedCallers, Caller, Holds
from aks_entra.core.target import AzureRbac, GroupTarget, Target
from aks_entra.core.verdict.report import FleetReport
from aks_entra.core.verdict.verdict import Grade, Outcome, Verdict
from tests.support.cases import facts, group

SUBSCRIPTION = "0b7d5c1e-3f2a-4e89-9c64-d8a1b5e7f302"
TENANT = "6f0c2a51-9b1e-4c7d-8a33-2f5e9d4b7c10"
ADMINS = "2d1f6b0e-7c55-4d0a-9a4e-1c3b5d7f9e21"
PROVER = "6a1be8f6-cb66-57df-84f0-65016162507f"
OLD_CA, NEW_CA = "4be1" * 16, "99d0" * 16
AT = "2026-11-24T09:00:00Z"
HELM = Caller(
    holds=Holds.ADMIN_CERTIFICATE,
    username="masterclient",
    user_agent="helm/3.14",
    addresses=("10.2.0.7",),
    verbs=("get", "list"),
    count=41,
    last_seen="2026-11-20T08:00:00Z",
)


def cluster(name: str, group: str = "shop-weu") -> ClusterId:
    return ClusterId(subscription_id=SUBSCRIPTION, resource_group=group, name=name)


def posture(  # noqa: PLR0913 - one parameter for each thing that differs
    name: str,
    *,
    identity: Identity = Identity.MANAGED,
    admin_group_ids: tuple[str, ...] | None = None,
    azure_rbac: bool = False,
    local_accounts: bool = True,
    kubernetes_rbac: bool = True,
    power_state: str = "Running",
    provisioning_state: str = "Succeeded",
    private: bool = False,
    depth: Depth = Depth.READ,
) -> Posture:
    managed = identity is Identity.MANAGED
    return Posture(
        cluster=cluster(name),
        depth=depth,
        tier="Standard",
        identity=identity,
        tenant_id=TENANT if managed else None,
        admin_group_ids=((ADMINS,) if managed else ()) if admin_group_ids is None else admin_group_ids,
        azure_rbac=azure_rbac,
        local_accounts=local_accounts,
        kubernetes_rbac=kubernetes_rbac,
        power_state=power_state,
        provisioning_state=provisioning_state,
        private=private,
        pools=(Pool(name="system", count=3, vm_size="Standard_D4s_v5"),),
        ca=CertificateAuthority(
            fingerprint=OLD_CA, not_before="2024-05-11T00:00:00Z", not_after="2054-05-11T00:00:00Z"
        ),
    )


def planned(
    seen: Posture, *, debt: Debt = Debt.ALIVE, because: str = "local accounts are on", **wanted: object
) -> ClusterPlan:
    groups = wanted.get("admin_groups", (GroupTarget(display_name="aks-admins", id=ADMINS),))
    rbac = wanted.get("azure_rbac", AzureRbac.KEEP)
    assert isinstance(groups, tuple)
    assert isinstance(rbac, AzureRbac)
    known = facts(
        tenant_id=TENANT,
        old_credentials=OldCredentials(debt=debt, because=because, through=AT),
        groups=(group(ADMINS, people=14),),
        prover=PROVER,
        callers=AuditedCallers(since=AT, until=AT, events=9, complete=True, callers=(HELM,)),
    )
    return plan_cluster(seen, Target(tenant_id=TENANT, admin_groups=groups, azure_rbac=rbac), known)


def fleet_plan(*stages: tuple[str, tuple[ClusterPlan, ...]], others: tuple[ClusterPlan, ...] = ()) -> FleetPlan:
    members = tuple(plan for _, plans in stages for plan in plans)
    return FleetPlan(
        name="prod",
        created_at=AT,
        prover=Prover(object_id=PROVER),
        clusters=(*members, *others),
        stages=tuple(
            Stage(
                name=name,
                groups=(MemberGroup(name=name, members=tuple(plan.cluster for plan in plans)),),
                max_concurrency=2,
                gate_after=name == "canary",
            )
            for name, plans in stages
        ),
    )


KEPT = f"{cluster('shop-01').resource_id}/providers/Microsoft.Authorization/policyAssignments/aks-entra-keep"
EVIDENCE: tuple[Evidence, ...] = (
    GroupSeen(at=AT, group=ADMINS, display_name="aks-admins", differs=("owner olive@contoso.com is missing",)),
    GroupEnsured(
        at=AT, group_id=ADMINS, display_name="aks-admins", unique_name="aks-admins", created=True, correlation_id="g-1"
    ),
    ActivityLogRead(at=AT, since=AT, until=AT, handed_out=(HandedOut(at=AT, to="dana@contoso.com"),)),
    ClusterCreated(at=AT, changed=False),
    EntraSet(
        at=AT, changed=True, admin_group_ids=(ADMINS,), tenant_id=TENANT, azure_rbac=False, correlation_id="arm-1"
    ),
    SignInProven(at=AT, username=PROVER, by=f"admin group {ADMINS}", everything=True, moment=Moment.BEFORE, ca=OLD_CA),
    CredentialTried(at=AT, credential=Credential.CERTIFICATE, moment=Moment.BEFORE, status=200, ca=OLD_CA),
    AuthoritySeen(at=AT, ca=OLD_CA, certificate="-----BEGIN CERTIFICATE-----"),
    TokenHeld(at=AT, ca=OLD_CA, salt="5a" * 16, token_hash="c0" * 32),
    LocalAccountsDisabled(at=AT, changed=True, correlation_id="arm-2"),
    LocalAccountsEnabled(at=AT, changed=True, until=AT, reason="INC-77", correlation_id="arm-6"),
    AdminCredentialRefused(
        at=AT, status=400, code="BadRequest", message="Getting static credential is not allowed", correlation_id="arm-3"
    ),
    CertificatesRotated(
        at=AT, ca_before=OLD_CA, ca_after=NEW_CA, ca_not_before=AT, changed=True, attached=True, correlation_id="arm-4"
    ),
    CredentialTried(
        at=AT, credential=Credential.STATIC_TOKEN, moment=Moment.AFTER, status=401, ca=NEW_CA, issued_under=OLD_CA
    ),
    CredentialTried(
        at=AT, credential=Credential.CERTIFICATE, moment=Moment.AFTER, status=None, ca=NEW_CA, detail="timed out"
    ),
    NodesSeen(at=AT, ready=2, fewest=3, most=3, missing=("pool system: 1 of 3",)),
    WorkloadsSeen(at=AT, compared=4, worse=("Deployment pay/ledger",), baseline_at=AT),
    StateSeen(
        at=AT,
        identity="managed",
        local_accounts=False,
        admin_group_ids=(ADMINS,),
        azure_rbac=False,
        ca=NEW_CA,
        ca_not_before=AT,
    ),
    DoorsSeen(
        at=AT,
        doors=doors_of(
            DoorFacts(
                posture=Posture(cluster=cluster("shop-01"), pools=(Pool(name="system", ssh_access="LocalUser"),)),
                jwt_authenticators=(),
                managed_namespaces=Unread(why="ARM answered 403", remedy="grant the right"),
            )
        ),
    ),
    DenyPolicySeen(at=AT, assignment=KEPT, changed=True, ours=True, correlation_id="arm-7"),
    DenyPolicySeen(at=AT, assignment=KEPT, enforced=True),
    DenyPolicySeen(at=AT, assignment=KEPT, ours=True),
    DenyPolicySeen(at=AT, assignment="", problem="no assignment denies local accounts"),
    HookRan(at=AT, place=0, hook="emit contoso.rotated", status=HookStatus.DONE, ca=NEW_CA, detail="it was sent"),
    Failure(
        at=AT, error="Rejected", step="rotate-certificates", message="no quota", code="Quota", correlation_id="arm-5"
    ),
)


def report(*verdicts: Verdict) -> FleetReport:
    return FleetReport(
        name="prod",
        plan_digest="sha256:" + "9f31" * 16,
        started_at="2026-11-24T09:00:00Z",
        ended_at="2026-11-24T09:30:00.500Z",
        verdicts=verdicts,
        stages=(StageResult(go_on=False, failures=1, because="stage canary: 1 failed, 0 allowed"),),
    )


def every_verdict() -> FleetReport:
    """Return a report with one cluster of each outcome. Texts contain the special characters of every format."""
    return report(
        Verdict(
            cluster=cluster("shop-01"),
            outcome=Outcome.VERIFIED,
            because=("admin credentials refused by Azure", "3 nodes Ready"),
            grade=Grade.CREDENTIAL_REFUSED,
            evidence=EVIDENCE,
        ),
        Verdict(
            cluster=cluster("shop-02"),
            outcome=Outcome.NOT_VERIFIED,
            because=("rotation owed",),
            next="set `rotation: at-once` and plan again",
        ),
        Verdict(
            cluster=cluster("shop-03"),
            outcome=Outcome.FAILED,
            because=("=cmd|' /C calc'!A0", "<script>alert(1)</script>"),
        ),
        Verdict(cluster=cluster("shop-04"), outcome=Outcome.REFUSED, because=("B003 no Kubernetes RBAC \x07",)),
        Verdict(cluster=cluster("shop-05"), outcome=Outcome.SKIPPED, because=("B010 stopped",)),
    )
