"""What a report keeps of a signed approval: who signed in, with which proof, and never the token."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from aks_entra.core.entra_keys import PublishedKey
from aks_entra.core.planning.approval import Approval
from aks_entra.core.verdict.history import CheckedAgain, Decision, RolloutHistory, SignatureProof
from aks_entra.documents import dump_report, load_report, load_signed_approval
from aks_entra.documents import signature_proofs as proofs
from aks_entra.report import html
from tests.support.history_samples import CLIENT, DANA, decided, decision, rolled_out, signed, token
from tests.support.report_samples import TENANT
from tests.support.timeline_samples import at


def with_token(text: str) -> Approval:
    """Return a signed approval with another ID token."""
    one = signed("canary", at(0))
    document = json.loads(one.signed[0])
    document["signed-approval"]["id_token"] = text
    return replace(one, signed=(json.dumps(document),))


def test_a_signed_approval_says_who_signed_in_where_when_and_with_which_key() -> None:
    one = signed("canary", at(0))
    (proof,) = proofs(one)
    assert proof.person == f"dana@contoso.com (object id {DANA})"
    assert (proof.tenant_id, proof.client_id, proof.signed_in_at) == (TENANT, CLIENT, "2026-11-24T09:00:20Z")
    assert (proof.key_id, proof.signed_at, proof.committed, proof.first) == ("entra-key-7", at(0), True, True)
    assert proof.signs_until == ""
    assert proofs(signed("canary", at(0), until=at(60)))[0].signs_until == at(60)
    assert proof.code == load_signed_approval(one.signed[0]).code


def test_the_page_says_since_when_entras_key_was_seen_published() -> None:
    one = signed("canary", at(0))
    key = '{"e":"AQAB","kid":"entra-key-7","kty":"RSA","n":"sXch"}'
    document = json.loads(one.signed[0])
    document["signed-approval"]["entra_key"] = key
    given = replace(one, signed=(json.dumps(document),))
    published = PublishedKey(tenant_id=TENANT.upper(), kid="entra-key-7", url="", key=key, seen_at=at(-60))
    (proof,) = proofs(given, {published.name: published.seen_at})
    assert proof.key_seen_at == at(-60)
    for other in (replace(published, kid="k"), replace(published, key=key.replace("sXch", "sXci"))):
        assert proofs(given, {other.name: at(-60)})[0].key_seen_at == ""
    stage, report = history().stages[0], rolled_out(7)
    assert stage.before is not None
    digests = []
    for seen, words in (
        ({published.name: at(-60)}, "<code>entra-key-7</code>, on record as published since 2026-11-24 "),
        ({}, "<code>entra-key-7</code>, which is not on record as published"),
    ):
        answered = replace(stage.before.askings[0], decision=Decision.of(given, proofs(given, seen)))
        stages = (replace(stage, before=replace(stage.before, askings=(answered,))),)
        shown = replace(report, history=replace(history(), stages=stages))
        assert words in html.render(shown)
        digests.append(shown.digest)
    assert digests[0] != digests[1]  # what is on record is part of the report
    earlier, times = re.subn(r'"key_seen_at": ?"",\s*', "", dump_report(shown))
    assert times > 0
    assert load_report(earlier).digest == digests[1]  # and a report of an earlier version keeps its digest


def test_neither_the_page_nor_the_report_holds_the_id_token() -> None:
    kept = load_signed_approval(signed("canary", at(-1)).signed[0]).id_token
    assert decided(signed("canary", at(-1))) in [one for _, one in history().decisions]
    for text in (html.render(rolled_out(7)), dump_report(rolled_out(7))):
        assert not any(part in text for part in kept.split(".")[:2])
        for words in (DANA, TENANT, CLIENT, "entra-key-7"):
            assert words in text
    page = html.render(rolled_out(7))
    assert "it commits to the key that signed this approval" in page
    assert "dana@contoso.com: <b>a claim</b>" in page
    assert "Nobody signed: the name was typed into a form, and is a claim." in page


def history() -> RolloutHistory:
    found = rolled_out(7).history
    assert found is not None
    return found


def test_a_nonce_that_commits_to_something_else_is_said() -> None:
    (proof,) = proofs(signed("canary", at(0), nonce="0" * 64))
    assert not proof.committed
    report, stage = rolled_out(7), history().stages[0]
    assert stage.before is not None
    wrong = replace(stage.before.askings[0], decision=decided(signed("canary", at(0), nonce="0" * 64)))
    stages = (replace(stage, before=replace(stage.before, askings=(wrong,))),)
    page = html.render(replace(report, history=replace(history(), stages=stages)))
    assert "it does not commit to the key of this approval" in page


def test_a_second_approval_of_one_sign_in_says_that_the_sign_in_was_for_another_one() -> None:
    one = signed("canary", at(0))
    document = json.loads(one.signed[0])
    document["signed-approval"]["statement"]["stage"] = "prod"
    (proof,) = proofs(replace(one, signed=(json.dumps(document),)))
    assert (proof.committed, proof.first) == (True, False)


def test_the_page_says_that_nobody_had_to_sign_and_why_a_signature_does_not_count() -> None:
    report, stage = rolled_out(7), history().stages[0]
    assert stage.before is not None
    willing = replace(signed("canary", at(0), until=at(60)), voluntary=True)
    bad = replace(decision("canary", at(0)), unproven="its nonce is another one")
    for one, words in (
        (willing, "signed at Microsoft Entra ID, which nobody was required to"),
        (willing, "UTC, to sign until "),
        (bad, "A signature does not count: its nonce is another one. The name was typed"),
    ):
        answered = replace(stage.before.askings[0], decision=decided(one))
        stages = (replace(stage, before=replace(stage.before, askings=(answered,))),)
        assert words in html.render(replace(report, history=replace(history(), stages=stages)))


def test_the_page_says_whether_each_signature_was_checked_for_the_report() -> None:
    report, stage, one = rolled_out(7), history().stages[0], signed("canary", at(0))
    assert stage.before is not None
    again = "this report did not check them again"
    for checked, words, absent in (
        ({}, again, "<dt>checked</dt>"),
        ({one.signed[0]: CheckedAgain(at=at(90))}, "for this report: both signatures hold", again),
        (
            {one.signed[0]: CheckedAgain(at=at(90), unchecked="a new key")},
            "checked for this report</b>: a new key",
            again,
        ),
        ({one.signed[0]: CheckedAgain(at=at(90), problem="forged")}, "A signature does not count: forged", DANA),
    ):
        answered = replace(stage.before.askings[0], decision=Decision.of(one, proofs(one, checked=checked)))
        stages = (replace(stage, before=replace(stage.before, askings=(answered,))),)
        whole = replace(report, history=replace(history(), stages=stages, ungated=()))
        page = html.render(replace(whole, verdicts=()))
        assert words in page
        assert absent not in page.replace(one.approver, "")
        assert load_report(dump_report(whole)) == whole


def test_a_name_that_was_typed_has_no_proof() -> None:
    assert proofs(decision("canary", at(0))) == ()


@pytest.mark.parametrize(
    ("approval", "problem"),
    [
        (replace(decision("canary", at(0)), signed=("{}",)), "this is no signed-approval"),
        (with_token("one part"), "its ID token cannot be read"),
        (with_token("a.b.c"), "its ID token cannot be read"),
        (with_token("W10.W10.c"), "its ID token cannot be read"),
        (with_token(token(oid=DANA)), "the token does not say when it was issued"),
    ],
)
def test_a_document_that_cannot_be_read_is_said(approval: Approval, problem: str) -> None:
    (proof,) = proofs(approval)
    assert proof.problem.startswith(problem)
    assert proof == SignatureProof(problem=proof.problem)


def test_a_report_with_its_history_is_read_again_whole() -> None:
    assert load_report(dump_report(rolled_out(7))) == rolled_out(7)
