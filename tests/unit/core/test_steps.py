"""The steps of a plan: what each costs, writes and leads to."""

from __future__ import annotations

from dataclasses import replace

from aks_entra.core.cluster import Identity
from aks_entra.core.steps import (
    DisableLocalAccounts,
    EnableEntra,
    EnableLocalAccounts,
    EnsureAdminGroup,
    Guarded,
    ProveSignIn,
    RecordBaseline,
    RotateCertificates,
    Step,
    UpdateEntra,
    VerifyOutcome,
    VerifyRestored,
    consequence,
    kind_of,
    writes,
)
from tests.support.cases import ADMINS, CREATE, OLD_CA, managed, posture
from tests.support.golden_files import approved, brief

STEPS: tuple[Step, ...] = (
    EnsureAdminGroup(group=CREATE),
    EnableEntra(tenant_id="t", admin_groups=(ADMINS,), azure_rbac=None, was=Identity.NONE),
    EnableEntra(tenant_id="t", admin_groups=(ADMINS,), azure_rbac=True, was=Identity.LEGACY),
    UpdateEntra(admin_groups=(ADMINS,), azure_rbac=False),
    ProveSignIn(admin_groups=(ADMINS,)),
    RecordBaseline(hold_credential=True),
    DisableLocalAccounts(),
    RotateCertificates(ca_before=OLD_CA.fingerprint),
    VerifyOutcome(rotated=True),
    EnableLocalAccounts(),
    VerifyRestored(local_accounts=True),
)


def test_golden_steps_and_what_they_cost() -> None:
    costs = [
        (f"{step.kind} in tier {tier}", [brief(consequence(step, tier=tier)), f"writes: {writes(step)}"])
        for step in STEPS
        for tier in ("Free", "Standard")
    ]
    default = [(f"{STEPS[2].kind}, no tier said", brief(consequence(STEPS[2])))]
    before = Guarded.of(posture(tenant_id="T", admin_group_ids=("B", "A", "b"), ca=None))
    after = [(f"{step.kind} leads to", brief(before.after(step))) for step in STEPS]
    other = replace(Guarded.of(managed(azure_rbac=True, kubernetes_rbac=False)), ca="99d0", local_accounts=False)
    rotated = replace(other, ca="rotated")
    pairs = [(before, other), (other, before), (rotated, other), (rotated, before), (other, replace(other, ca="00"))]
    compared = [
        (f"beside the CA {ca}", one.differences(now, ca_before=ca)) for one, now in pairs for ca in (None, "99d0", "x")
    ]
    approved("steps", [*costs, *default, *after, *compared])


def test_the_kind_of_a_type_is_the_kind_of_its_steps() -> None:
    assert [kind_of(type(step)) for step in STEPS] == [step.kind for step in STEPS]
