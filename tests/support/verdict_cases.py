"""Verdicts of a migration from which one thing is missing or differs, and reports of them."""

from __future__ import annotations

from dataclasses import replace

from aks_entra.core.evidence.observations import (
    BY_ROLE,
    LOOKING,
    AdminCredentialRefused,
    CertificatesRotated,
    Credential,
    CredentialTried,
    Evidence,
    Failure,
    Moment,
    NodesSeen,
    SignInProven,
    StateSeen,
    WorkloadsSeen,
)
from aks_entra.core.evidence.rotation_debt import Debt, OldCredentials
from aks_entra.core.planning.plan import ClusterPlan, plan_cluster
from aks_entra.core.planning.rollout import StageResult
from aks_entra.core.target import RotationPolicy
from aks_entra.core.verdict.report import FleetReport
from aks_entra.core.verdict.verdict import Outcome, Verdict
from tests.support.cases import (
    NEW_CA,
    NOW,
    OLD_CA,
    OTHERS,
    REFUSED,
    SHOP,
    WHOLE,
    facts,
    managed,
    proven,
    state,
    target,
    tried,
)

MIGRATE = plan_cluster(managed(), target(), facts())
CERTIFICATE, TOKEN = Credential
BEFORE, AFTER = Moment


def without(*kinds: type, plus: tuple[Evidence, ...] = ()) -> tuple[Evidence, ...]:
    """Return the evidence of a whole migration without these kinds, and with `plus` in addition."""
    return (*(one for one in WHOLE if not isinstance(one, kinds)), *plus)


LOOKED = without(CertificatesRotated, CredentialTried, WorkloadsSeen)
ONE_THING = [
    (without(StateSeen), Outcome.NOT_VERIFIED, "the final state was not read"),
    (without(StateSeen, plus=(state(identity="legacy"),)), Outcome.FAILED, "Microsoft Entra ID is legacy"),
    (
        without(StateSeen, plus=(state(identity="workload"),)),
        Outcome.NOT_VERIFIED,
        "ARM shows a sign-in integration that this version does not know (`aadProfile`)",
    ),
    (without(StateSeen, plus=(state(local_accounts=True),)), Outcome.FAILED, "local accounts are on"),
    (
        without(StateSeen, plus=(state(azure_rbac=True),)),
        Outcome.FAILED,
        "Azure RBAC for Kubernetes is on",
    ),
    (
        without(StateSeen, SignInProven, plus=(state(admin_group_ids=(OTHERS,)), proven(by=f"admin group {OTHERS}"))),
        Outcome.FAILED,
        "admin group 44444444-4444-4444-4444-444444444444 is not set",
    ),
    (
        without(StateSeen, plus=(state(provisioning_state="Failed"),)),
        Outcome.FAILED,
        "the cluster's last operation ended Failed",
    ),
    (
        without(StateSeen, plus=(state(provisioning_state="Upgrading"),)),
        Outcome.NOT_VERIFIED,
        "another operation is running (Upgrading)",
    ),
    (
        without(StateSeen, plus=(state(ca="77aa" * 16),)),
        Outcome.NOT_VERIFIED,
        "the CA was replaced once more: 77aa… serves now",
    ),
    (without(AdminCredentialRefused), Outcome.NOT_VERIFIED, "Azure's refusal of admin credentials was not seen"),
    (
        without(AdminCredentialRefused, plus=(replace(REFUSED, status=403),)),
        Outcome.NOT_VERIFIED,
        "Azure's refusal of admin credentials was not seen",
    ),
    (without(SignInProven), Outcome.NOT_VERIFIED, "no member signed in"),
    (without(SignInProven, plus=(proven(moment=BEFORE),)), Outcome.NOT_VERIFIED, "no member signed in"),
    (
        without(SignInProven, plus=(proven(everything=False),)),
        Outcome.FAILED,
        "33333333-3333-3333-3333-333333333333 signed in, but is not allowed everything",
    ),
    (
        without(SignInProven, plus=(proven(by=""),)),
        Outcome.NOT_VERIFIED,
        "33333333-3333-3333-3333-333333333333 signed in, but not as a member of an admin group",
    ),
    (
        without(SignInProven, plus=(proven(by=BY_ROLE),)),  # Azure RBAC is off
        Outcome.NOT_VERIFIED,
        "33333333-3333-3333-3333-333333333333 signed in, but not as a member of an admin group",
    ),
    (
        without(SignInProven, plus=(proven(ca=OLD_CA.fingerprint),)),
        Outcome.NOT_VERIFIED,
        "no member signed in under the CA that serves now",
    ),
    (without(NodesSeen), Outcome.NOT_VERIFIED, "nodes were not seen"),
    (
        without(NodesSeen, plus=(NodesSeen(at=NOW, ready=2, fewest=3, most=3, missing=("aks-1",)),)),
        Outcome.FAILED,
        "2 nodes Ready, 3 expected: aks-1",
    ),
    (
        without(NodesSeen, plus=(NodesSeen(at=NOW, ready=9, fewest=3, most=5, missing=("pool a: 9 Ready",)),)),
        Outcome.FAILED,
        "9 nodes Ready, 3 to 5 expected: pool a: 9 Ready",
    ),
    (without(WorkloadsSeen), Outcome.NOT_VERIFIED, "workloads were not compared with a baseline"),
    (
        without(WorkloadsSeen, plus=(WorkloadsSeen(at=NOW, compared=1, worse=("Deployment pay/ledger",)),)),
        Outcome.FAILED,
        "less available than before: Deployment pay/ledger",
    ),
    (
        without(CertificatesRotated),
        Outcome.NOT_VERIFIED,
        "the end of the rotation was not seen: credentials from before may still work",
    ),
    (
        (*WHOLE, Failure(at=NOW, error="TryLater", step=LOOKING, message="nobody answers", remedy="try later")),
        Outcome.NOT_VERIFIED,
        "nobody answers",
    ),
    (
        (*WHOLE, tried(TOKEN, AFTER, 200)),
        Outcome.FAILED,
        "the static token from before still gets 200 after rotation",
    ),
    (
        (*WHOLE, tried(TOKEN, AFTER, 403)),
        Outcome.FAILED,
        "the static token from before still gets 403 after rotation",
    ),
    (
        (*WHOLE, tried(TOKEN, AFTER, None)),
        Outcome.NOT_VERIFIED,
        "the static token from before got no answer after rotation",
    ),
    (
        (*WHOLE, tried(TOKEN, AFTER, 503)),
        Outcome.NOT_VERIFIED,
        "the static token from before got no answer after rotation",
    ),
    (
        (*WHOLE, tried(CERTIFICATE, AFTER, 429)),
        Outcome.NOT_VERIFIED,
        "the client certificate from before got no answer after rotation",
    ),
]
SECOND_GRADE = [
    ((), "grade 2: no old credential was at hand to try"),
    (
        (tried(CERTIFICATE, BEFORE, 200), tried(TOKEN, BEFORE, 200)),
        "grade 2: the client certificate was not at hand any more after rotation",
    ),
    (
        (tried(CERTIFICATE, BEFORE, 401), tried(CERTIFICATE, AFTER, 401)),
        "client certificate: refused before the rotation already (expired?), and after it",
    ),
    ((tried(TOKEN, BEFORE, None), tried(TOKEN, AFTER, None)), "grade 2: the static token could not be tried"),
    (
        (tried(TOKEN, AFTER, 401, issued_under="77aa" * 16),),  # a kubeconfig of another cluster
        "grade 2: the static token is refused, but was not seen to work before",
    ),
]


def finished(debt: Debt) -> ClusterPlan:
    old = OldCredentials(debt=debt, because="rotated on 2026-03-02", through=NOW)
    later = target(rotation=RotationPolicy.LATER)
    return plan_cluster(managed(local_accounts=False, ca=NEW_CA), later, facts(old_credentials=old))


def report_of(*evidence: Evidence, outcome: Outcome = Outcome.VERIFIED) -> FleetReport:
    return FleetReport(
        name="prod",
        plan_digest="sha256:00",
        started_at=NOW,
        ended_at="2026-11-24T10:00:00.000Z",
        verdicts=(Verdict(cluster=SHOP, outcome=outcome, because=("so",), evidence=evidence),),
        stages=(StageResult(go_on=True, failures=0, because="fine"),),
    )
