"""Makes postures, targets and facts for tests, with defaults, and Hypothesis strategies for them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from aks_entra.core.cluster import CertificateAuthority, ClusterId, Identity, Pool, Posture
from aks_entra.core.evidence.observations import (
    ActivityLogRead,
    AdminCredentialRefused,
    CertificatesRotated,
    Credential,
    CredentialTried,
    Evidence,
    Moment,
    NodesSeen,
    SignInProven,
    StateSeen,
    WorkloadsSeen,
    by_group,
)
from aks_entra.core.evidence.rotation_debt import Debt, OldCredentials
from aks_entra.core.preflight import (
    LOCAL_ACCOUNTS_POLICY,
    WAY_BACK,
    Facts,
    GroupFacts,
    Home,
    Inside,
    Lock,
    Memberships,
    NodeDisruption,
    Policy,
    PolicyEvaluation,
    Quota,
    Tools,
)
from aks_entra.core.preflight.audit_callers import AuditedCallers
from aks_entra.core.target import AzureRbac, GroupTarget, LocalAccounts, RotationPolicy, Target

SHOP = ClusterId(subscription_id="11111111-1111-1111-1111-111111111111", resource_group="shop-weu", name="shop-01")
TENANT = "22222222-2222-2222-2222-222222222222"
PROVER = "33333333-3333-3333-3333-333333333333"
ADMINS = "44444444-4444-4444-4444-444444444444"
OTHERS = "55555555-5555-5555-5555-555555555555"
LETTERS = "AAAAAAAA-BBBB-CCCC-DDDD-EEEEEEEEEEEE"
OLD_CA = CertificateAuthority(
    fingerprint="4be1" * 16, not_before="2024-05-11T00:00:00Z", not_after="2054-05-11T00:00:00Z"
)
NEW_CA = CertificateAuthority(fingerprint="99d0" * 16, not_before="2026-11-24T08:30:00Z")
NOW = "2026-11-24T09:00:00.000Z"
READ = "2026-11-24T11:00:00.000Z"
LOG = ActivityLogRead(at=READ, since="2026-08-27T11:00:00Z", until=READ)
"""An activity log without entries that is complete up to the time of reading."""

INSIDE = Inside(
    controllers=(),
    budgets=(),
    bare_pods=(),
    node_local=(),
    webhooks=(),
    pinned_ca=(),
    kubeconfigs=(),
    static_tokens=(),
    masters=(),
)
QUIET = AuditedCallers(since="2026-10-25T09:00:00Z", until=NOW, events=1_000, complete=True, callers=())


def posture(**how: Any) -> Posture:
    """Return a cluster without Microsoft Entra ID, including its CA, with some changes."""
    defaults: dict[str, Any] = {
        "cluster": SHOP,
        "ca": OLD_CA,
        "tier": "Standard",
        "pools": (Pool(name="a", count=3, vm_size="Standard_D4s_v5"),),
    }
    return Posture(**{**defaults, **how})


def managed(**how: Any) -> Posture:
    """Return a cluster with AKS-managed Microsoft Entra ID and one admin group, with some changes."""
    return posture(**{"identity": Identity.MANAGED, "tenant_id": TENANT, "admin_group_ids": (ADMINS,), **how})


def group(group_id: str = ADMINS, **how: Any) -> GroupFacts:
    """Return a valid group with fourteen members, including the prover."""
    defaults: dict[str, Any] = {"display_name": "aks-admins", "members": 14, "people": 13, "guests": 0, "eligible": 0}
    defaults["prover_is_member"] = True
    return GroupFacts(id=group_id, **{**defaults, **how})


def target(*groups: GroupTarget, **how: Any) -> Target:
    """Return a target with these groups, or with the one of `group()`."""
    chosen = groups or (GroupTarget(display_name="aks-admins", id=ADMINS),)
    return Target(**{"tenant_id": TENANT, "admin_groups": chosen, **how})


def facts(**how: Any) -> Facts:
    """Return facts about a cluster without any problem, with some changes."""
    defaults: dict[str, Any] = {
        "tenant_id": TENANT,
        "old_credentials": OldCredentials(debt=Debt.ALIVE, because="local accounts are on"),
        "groups": (group(),),
        "prover": PROVER,
        "now": NOW,
        "memberships": Memberships(groups=3, person=False),
        "conditional_access": (),
        "supported_versions": ("1.33", "1.34"),
        "home": Home(),
        "tools": Tools(kubectl="1.33.2", kubelogin="0.2.19"),
        "policies": (),
        "policy_evaluations": (),
        "sign_ins_read": True,
        "maintenance_windows": (),
        "subnets": (),
        "scale_set_additions": (),
        "node_disruption": NodeDisruption(),
        "quotas": (Quota(name="cores", left=100), Quota(name="standardDSv5Family", left=50)),
        "inside": INSIDE,
        "writers": (),
        "callers": QUIET,
    }
    return Facts(**{**defaults, **how})


DENIES = Policy(name="no-local", scope="/subscriptions/s", definition=LOCAL_ACCOUNTS_POLICY, effect="Deny")
OWN_POLICY = PolicyEvaluation(
    write=WAY_BACK,
    assignment="/subscriptions/s/providers/Microsoft.Authorization/policyAssignments/ours",
    name="Ours",
    scope="/subscriptions/s",
    definition="mine",
    effect="deny",
)
CREATE = GroupTarget(display_name="cluster-admins", unique_name="cluster-admins", members=("dana",))
SHUT = managed(local_accounts=False)


def proven(**how: Any) -> SignInProven:
    defaults: dict[str, Any] = {
        "at": NOW,
        "username": PROVER,
        "by": by_group(ADMINS),
        "everything": True,
        "moment": Moment.AFTER,
        "ca": NEW_CA.fingerprint,
    }
    return SignInProven(**{**defaults, **how})


def tried(credential: Credential, moment: Moment, status: int | None, issued_under: str = "") -> CredentialTried:
    return CredentialTried(
        at=NOW,
        credential=credential,
        moment=moment,
        status=status,
        ca=(OLD_CA if moment is Moment.BEFORE else NEW_CA).fingerprint,
        issued_under=issued_under,
    )


def state(**how: Any) -> StateSeen:
    defaults: dict[str, Any] = {
        "at": NOW,
        "identity": "managed",
        "local_accounts": False,
        "admin_group_ids": (ADMINS,),
        "azure_rbac": False,
        "ca": NEW_CA.fingerprint,
        "ca_not_before": NEW_CA.not_before,
    }
    return StateSeen(**{**defaults, **how})


REFUSED = AdminCredentialRefused(at=NOW, status=400, code="BadRequest", message="not allowed")
ROTATED = CertificatesRotated(
    at=NOW,
    ca_before=OLD_CA.fingerprint,
    ca_after=NEW_CA.fingerprint,
    ca_not_before=NEW_CA.not_before,
    changed=True,
)
NODES = NodesSeen(at=NOW, ready=3, fewest=3, most=3)
WORKLOADS = WorkloadsSeen(at=NOW, compared=2, baseline_at=NOW)
ALL_TRIED = tuple(
    tried(credential, moment, 200 if moment is Moment.BEFORE else 401) for moment in Moment for credential in Credential
)
WHOLE: tuple[Evidence, ...] = (*ALL_TRIED, ROTATED, proven(), NODES, WORKLOADS, REFUSED, state())
booleans = st.booleans()
usually = st.sampled_from([True] * 5 + [False])


def mostly(good: object, *bad: object) -> st.SearchStrategy[Any]:
    """Draw the good value most of the time. A cluster with several problems is refused and tests little."""
    return st.sampled_from([good] * 5 * len(bad) + list(bad))


@st.composite
def postures(draw: st.DrawFn) -> Posture:
    """Draw a cluster."""
    identity = draw(st.sampled_from(Identity))
    is_managed = identity is Identity.MANAGED
    own = draw(st.sampled_from([(), (ADMINS,), (OTHERS.upper(),), (ADMINS, OTHERS)]))
    return posture(
        identity=identity,
        tenant_id=None if identity is Identity.NONE else TENANT,
        admin_group_ids=own if is_managed else (),
        azure_rbac=is_managed and draw(booleans),
        local_accounts=draw(usually),
        kubernetes_rbac=draw(usually),
        power_state=draw(mostly("Running", "Stopped")),
        provisioning_state=draw(mostly("Succeeded", "Updating", "Failed")),
        tier=draw(st.sampled_from(["Free", "Standard"])),
        ca=draw(mostly(OLD_CA, None)),
        private=draw(booleans),
    )


@st.composite
def targets(draw: st.DrawFn) -> Target:
    """Draw a target: no group, one or two by id, or one to create."""
    choices = [
        GroupTarget(display_name="aks-admins", id=ADMINS),
        GroupTarget(display_name="others", id=OTHERS),
        CREATE,
    ]
    return Target(
        tenant_id=TENANT,
        admin_groups=tuple(draw(st.lists(st.sampled_from(choices), max_size=3, unique=True))),
        azure_rbac=draw(st.sampled_from(AzureRbac)),
        local_accounts=draw(mostly(LocalAccounts.OFF, LocalAccounts.KEEP)),
        rotation=draw(mostly(RotationPolicy.AT_ONCE, RotationPolicy.LATER)),
    )


@st.composite
def any_facts(draw: st.DrawFn) -> Facts:
    """Draw facts about a cluster."""
    groups = tuple(
        group(
            group_id,
            exists=draw(usually),
            security_enabled=draw(usually),
            deleted_on=draw(st.sampled_from([None, "2026-11-02T00:00:00Z"])),
            members=draw(mostly(14, 0, None)),
            eligible=draw(mostly(0, 2, None)),
            prover_is_member=draw(st.sampled_from([True] * 8 + [False, None])),
        )
        for group_id in (ADMINS, OTHERS)
    )
    return facts(
        groups=groups,
        old_credentials=OldCredentials(debt=draw(st.sampled_from(Debt)), because="so it was drawn"),
        policies=draw(mostly((), (DENIES,), None)),
        home=draw(mostly(Home(), Home(in_cluster=True, ca=OLD_CA.fingerprint), None)),
        prover_is_cluster_admin=draw(st.sampled_from([True, False, None])),
        missing_permissions=draw(mostly((), None, ("write",))),
        locks=draw(mostly((), None, (Lock(name="l", level="ReadOnly", scope="rg"),))),
        unreachable=draw(mostly("", "nobody answers")),
    )
