"""A report states a signature only if it holds when the report is made, whatever the record says."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from aks_entra.adapters.identity.approvals import EntraApprovals, OwnKey
from aks_entra.adapters.identity.entra_keys import KeysInFile
from aks_entra.core.durations import stamp
from aks_entra.core.planning.approval import Approval
from aks_entra.core.planning.approvers import Approvers
from aks_entra.core.planning.gates import Gate
from aks_entra.core.planning.signed_approval import ISSUER, Signature, SignedApproval, Statement, commitment
from aks_entra.core.storable import canonical
from aks_entra.core.verdict.history import CheckedAgain, Decision
from aks_entra.documents import dump_signed_approval, signature_proofs
from aks_entra.errors import TryLater
from aks_entra.prefect_client.checked_signatures import Checked, check_again
from tests.support.memory_ports import World
from tests.support.memory_services import WorldDirectory
from tests.support.report_samples import TENANT
from tests.support.rollouts import CANARY, PLAN, REST, rollout

APP = "8d1f7c3e-5b2a-4c96-a0d4-1e9b6f3c7a25"
THROUGH = Approvers(tenant_id=TENANT, client_id=APP, groups=())
AT = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
ENTRA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PUBLISHED = {**RSAAlgorithm.to_jwk(ENTRA.public_key(), as_dict=True), "kid": "entra-key"}
SAID = Statement(
    decision="approve",
    plan=PLAN.digest,
    facts=PLAN.facts_digest,
    stage="canary",
    side="before",
    run="run-1",
    reason="CHG-1",
    ticket="",
    at=stamp(AT),
)
DANA = "dana@contoso.com (object id dana-id)"


def signed(said: Statement = SAID, *, application: str = APP) -> SignedApproval:
    """Return what dana signed at Entra."""
    own = ec.generate_private_key(ec.SECP256R1())
    public = canonical(ECAlgorithm.to_jwk(own.public_key(), as_dict=True))
    committed = commitment(said, public, application=f"{TENANT}/{application}", until=None)
    claims = {
        "iss": ISSUER.format(tenant=TENANT),
        "aud": application,
        "tid": TENANT,
        "oid": "dana-id",
        "preferred_username": "dana@contoso.com",
        "nonce": committed.nonce,
        "iat": int(AT.timestamp()) + 20,
        "_claim_names": {"groups": "src1"},  # she is in more groups than the token names
    }
    token = jwt.encode(claims, ENTRA, algorithm="RS256", headers={"kid": "entra-key"})
    return OwnKey(own, committed, token, canonical(PUBLISHED)).sign(said)


def record(*documents: SignedApproval, **other: object) -> Approval:
    """Return the record of the approval, one minute later. `voluntary` unless the gate has approvers."""
    given = Approval(
        plan=PLAN.digest,
        facts=PLAN.facts_digest,
        stage="canary",
        moment="before",
        decision="approve",
        approver=DANA,
        reason="CHG-1",
        at=stamp(AT + timedelta(minutes=1)),
        run="run-1",
        signed=tuple(map(dump_signed_approval, documents)),
        voluntary=True,
    )
    return replace(given, **other)  # type: ignore[arg-type]  # a few fields


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    file = tmp_path / "keys.json"
    publish(file, PUBLISHED)
    return file


def publish(file: Path, key: dict[str, Any]) -> None:
    file.write_text(json.dumps({"keys": [key]}))


async def checked(
    keys: Path, *decisions: Approval, application: Approvers | None = THROUGH, gate: Gate | None = None
) -> Checked:
    port = EntraApprovals(KeysInFile(keys), WorldDirectory(World()))
    plan = rollout(replace(CANARY, gate_before=gate), REST) if gate else PLAN
    return await check_again(port.read, lambda: application, plan, decisions)


async def one(keys: Path, decision: Approval, application: Approvers | None = THROUGH) -> CheckedAgain:
    (found,) = (await checked(keys, decision, application=application))[decision].values()
    return found


async def test_a_signature_that_holds_is_stated_with_the_time_of_the_check(keys: Path) -> None:
    given = record(signed())
    found = await checked(keys, given, record(approver="typed", signed=()))
    (proof,) = signature_proofs(given, checked=found[given])
    assert (proof.problem, proof.unchecked) == ("", "")
    assert datetime.fromisoformat(proof.checked_at) > AT
    assert Decision.of(given, (proof,)).proof == "signed at Microsoft Entra ID, which nobody was required to"


async def test_a_required_signature_is_checked_with_the_approvers_of_its_gate(keys: Path) -> None:
    approvers = Approvers(tenant_id=TENANT, client_id=APP, groups=("group",), not_requester=True)
    given = record(signed(), voluntary=False)
    found = await checked(keys, given, application=None, gate=Gate(approvers=approvers))
    assert [(one.problem, one.unchecked) for one in found[given].values()] == [("", "")]


@pytest.mark.parametrize(
    ("decision", "words"),
    [
        (record(replace(signed(), statement=replace(SAID, reason="CHG-2"))), "another text was signed"),
        (record(signed(replace(SAID, run="run-2"))), "another question: run run-2, not run-1"),
        (record(signed(replace(SAID, stage="rest"))), "another question: stage rest, not canary"),
        (record(signed(application=TENANT)), f"the sign-in is for application {TENANT}"),
        (record(signed(), approver="mallory"), f"the record names mallory, and {DANA} signed"),
        (record(signed(), at=stamp(AT + timedelta(days=2))), "an approval is valid for 1d"),
        (record(signed(), at="yesterday"), "an approval is valid for 1d"),
    ],
)
async def test_a_record_that_was_made_up_is_a_claim_and_says_why(decision: Approval, words: str, keys: Path) -> None:
    found = await checked(keys, decision)
    (proof,) = signature_proofs(decision, checked=found[decision])
    assert words in proof.problem
    assert (proof.person, proof.nonce, proof.checked_at) == ("", "", "")
    assert Decision.of(decision, (proof,)).proof.startswith("a claim: a signature does not count (")


async def test_with_an_unknown_key_it_is_said_that_the_signature_could_not_be_checked(keys: Path) -> None:
    publish(keys, {**PUBLISHED, "kid": "newer"})
    given = record(signed())
    found = await checked(keys, given)
    (proof,) = signature_proofs(given, checked=found[given])
    assert "the key that signed the ID token is not in" in proof.unchecked
    assert proof.checked_at == ""
    assert Decision.of(given, (proof,)).proof.startswith("a signature that could not be checked (the key that signed")


async def test_a_key_with_a_known_id_and_other_numbers_is_a_forgery_and_not_unknown(keys: Path) -> None:
    other = RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, 2048).public_key(), as_dict=True)
    publish(keys, {**other, "kid": "entra-key"})
    found = await one(keys, record(signed()))
    assert found.problem
    assert not found.unchecked


async def test_what_cannot_be_asked_now_is_unknown_and_stops_no_report(keys: Path) -> None:
    without = await one(keys, record(signed()), application=None)
    assert without.unchecked.startswith("AKS_ENTRA_SIGN_IN_APPLICATION names no application")
    lost = keys.with_name("lost.json")
    assert "the file cannot be read" in (await one(lost, record(signed()))).unchecked

    async def slow(_signed: tuple[SignedApproval, ...], _through: Approvers) -> tuple[Signature, ...]:
        raise TimeoutError

    async def throttled(_signed: tuple[SignedApproval, ...], _through: Approvers) -> tuple[Signature, ...]:
        raise TryLater("login.microsoftonline.com throttles")

    for read, why in ((slow, "did not answer in time"), (throttled, "throttles")):
        given = record(signed())
        (found,) = (await check_again(read, lambda: THROUGH, PLAN, [given]))[given].values()
        assert why in found.unchecked


async def test_two_signatures_of_one_decision_are_asked_about_once_and_an_unreadable_one_is_left_out(
    keys: Path,
) -> None:
    port, asked = EntraApprovals(KeysInFile(keys), WorldDirectory(World())), []

    async def read(several: tuple[SignedApproval, ...], through: Approvers) -> tuple[Signature, ...]:
        asked.append(len(several))
        return await port.read(several, through)

    first, second = record(signed(), signed()), record(signed(replace(SAID, stage="rest")), stage="rest")
    damaged = replace(first, signed=(*first.signed, "{}"))
    check = partial(check_again, read, lambda: THROUGH, PLAN)
    found = await check([damaged, second])
    assert asked == [3]
    assert {one: set(of) for one, of in found.items()} == {damaged: {*first.signed}, second: {*second.signed}}
    assert {one.problem for of in found.values() for one in of.values()} == {""}
    proofs = signature_proofs(damaged, checked=found[damaged])
    assert [bool(one.problem) for one in proofs] == [False, False, True]
    assert Decision.of(damaged, proofs).proof.startswith("a claim")


async def test_nobody_is_asked_if_nobody_signed() -> None:
    async def read(_signed: tuple[SignedApproval, ...], _through: Approvers) -> tuple[Signature, ...]:
        pytest.fail("Entra was asked")

    assert await check_again(read, lambda: THROUGH, PLAN, [record(approver="typed", signed=(), voluntary=False)]) == {}


@pytest.mark.parametrize("turn", [1, -1])
async def test_a_signature_that_is_copied_into_another_record_proves_nothing_there(turn: int, keys: Path) -> None:
    given = record(signed())
    copied = replace(given, stage="rest")
    found = await checked(keys, *(given, copied)[::turn])
    assert [one.problem for one in found[given].values()] == [""]
    assert "another question: stage canary, not rest" in next(iter(found[copied].values())).problem
