"""A request whose approval people sign: what they read is what they sign."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import timedelta

import pytest

from aks_entra.core.planning.signed_approval import count
from aks_entra.core.planning.signed_request import SignedRequest
from tests.support.signed_approvals import GATE, NOW, STATEMENT, signature

assert GATE.approvers is not None
TEXT = '{"kind":"aks-entra/access-request","namespace":"","role":"reader","via":["a","b"]}'
REQUEST = SignedRequest(subject="access request", text=TEXT, approvers=GATE.approvers, beneficiaries=("erin-id",))
STATED = replace(STATEMENT, plan=REQUEST.digest, facts="", stage="access request", subject="access request")


def test_its_digest_is_of_all_that_is_asked_and_people_read_each_value() -> None:
    assert REQUEST.digest == f"sha256:{hashlib.sha256(TEXT.encode()).hexdigest()}"
    assert REQUEST.lines == ("kind: aks-entra/access-request", "role: reader", "via: a, b")


@pytest.mark.parametrize("text", ["", "[]", "role: reader"])
def test_a_text_that_is_no_object_has_nothing_to_read(text: str) -> None:
    assert replace(REQUEST, text=text).lines == ()


def test_a_signature_counts_for_the_request_and_run_that_it_names() -> None:
    given = signature(STATED, first=STATED)
    assert count(REQUEST.gate, REQUEST.asked("run-1"), [given], at=[NOW]).missing == ""
    others = (
        REQUEST.asked("run-2"),
        replace(REQUEST, text=TEXT.replace("reader", "cluster-admin")).asked("run-1"),
        replace(REQUEST, subject="Conditional Access policy").asked("run-1"),
        replace(REQUEST, beneficiaries=("dana@contoso.com",)).asked("run-1"),
    )
    for other in others:
        assert count(REQUEST.gate, other, [given], at=[NOW]).people == ()


def test_an_approval_of_break_glass_is_valid_for_an_hour() -> None:
    glass = replace(REQUEST, subject="break-glass")
    stated = replace(STATED, stage="break-glass", subject="break-glass")
    given = signature(stated, first=stated)
    assert count(glass.gate, glass.asked("run-1"), [given], at=[NOW + timedelta(minutes=59)]).missing == ""
    late = count(glass.gate, glass.asked("run-1"), [given], at=[NOW + timedelta(hours=1)])
    assert "an approval is valid for 1h" in late.refused[0]
    assert count(
        REQUEST.gate, REQUEST.asked("run-1"), [signature(STATED, first=STATED)], at=[NOW + timedelta(hours=2)]
    ).people


def test_a_signature_for_a_stage_approves_no_request_even_of_the_same_digest() -> None:
    stage = replace(STATED, subject="stage")
    refused = count(REQUEST.gate, REQUEST.asked("run-1"), [signature(stage, first=stage)], at=[NOW]).refused
    assert "subject stage, not access request" in refused[0]
