"""Signatures that nobody required prove who decided, and open nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from aks_entra.core.planning.approval import Approval
from aks_entra.core.planning.approvers import application_named
from aks_entra.core.planning.gates import Gate
from aks_entra.core.planning.signed_approval import count
from aks_entra.core.planning.voluntary import count_voluntary, voluntary_gate
from aks_entra.core.verdict.history import Decision, SignatureProof
from tests.support.signed_approvals import ASKED, CLIENT, NOW, TENANT, sign_in, signature

LATER = NOW + timedelta(minutes=10)
APPLICATION = application_named(f" {TENANT.upper()}/{CLIENT} ")
assert APPLICATION is not None


def test_a_person_of_any_group_signs_through_the_application() -> None:
    one = replace(signature(), member=False)
    assert APPLICATION is not None
    assert (
        count_voluntary(Gate(), APPLICATION, ASKED, [one], at=[LATER]).words == "dana@contoso.com (object id dana-id)"
    )
    required = count(voluntary_gate(Gate(), APPLICATION), ASKED, [one], at=[LATER])
    assert required.people == ()  # where people have to sign, an application without groups lets nobody in


@pytest.mark.parametrize(
    ("one", "because"),
    [
        (replace(signature(), sign_in=None, problem="a signature does not hold"), "a signature does not hold"),
        (replace(signature(), sign_in=replace(sign_in("0" * 64))), "its nonce is another one"),
        (
            replace(signature(), sign_in=replace(sign_in(signature().signed.commitment.nonce), audience="mine")),
            "the sign-in is for application mine",
        ),
    ],
)
def test_a_signature_that_does_not_hold_or_of_another_application_does_not_count(one: object, because: str) -> None:
    assert APPLICATION is not None
    found = count_voluntary(Gate(), APPLICATION, ASKED, [one], at=[LATER])  # type: ignore[list-item]  # parametrized
    assert because in found.refused[0]
    assert found.people == ()


def test_the_setting_names_a_tenant_and_an_application() -> None:
    assert application_named("") is None
    for wrong in ("erin", f"{TENANT}/{CLIENT}/{TENANT}", f"{TENANT}/name"):
        with pytest.raises(ValueError, match="not TENANT/CLIENT"):
            application_named(wrong)


def test_a_record_says_that_nobody_had_to_sign_and_calls_a_bad_proof_a_claim() -> None:
    typed = Approval(plan="p", stage="s", moment="before", decision="approve", approver="dana", reason="")
    signed = replace(typed, signed=("{}",), voluntary=True)
    assert signed.by == "dana, signed at Microsoft Entra ID, which nobody was required to"
    bad = replace(typed, unproven="its nonce is another one")
    assert bad.by == "dana, a claim: a signature does not count (its nonce is another one)"
    assert Decision.of(signed, (SignatureProof(),)).by == signed.by
    assert Decision.of(bad, ()).by == bad.by
