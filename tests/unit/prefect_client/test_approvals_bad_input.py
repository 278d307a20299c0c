"""An answer at a gate that is not exactly a decision on this plan decides nothing: by Prefect's schema and by ours."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from prefect.utilities.schema_tools.validation import validate
from pydantic import ValidationError

from aks_entra.core.planning.signed_approval import Count
from aks_entra.core.planning.signed_request import SignedRequest
from aks_entra.errors import Refused
from aks_entra.prefect_client.approvals import decide, form, request_in, what_is_missing, words_of
from tests.support.signed_approvals import GATE, signature

DIGEST = "sha256:" + "0123456789abcdef" * 4
OTHER = "sha256:" + "fedcba9876543210" * 4
GOOD: dict[str, Any] = {
    "decision": "approve",
    "plan": DIGEST,
    "approver": "dana@contoso.com",
    "reason": "CHG-1042",
}
BAD: dict[str, tuple[str, Any]] = {
    "no decision": ("decision", None),
    "an empty decision": ("decision", ""),
    "a blank decision": ("decision", "  "),
    "yes": ("decision", "yes"),
    "true": ("decision", True),
    "both": ("decision", "approve reject"),
    "negated": ("decision", "not approve"),
    "approved": ("decision", "approved"),
    "a list": ("decision", ["approve"]),
    "two lines": ("decision", "approve\nreject"),
    "no plan": ("plan", None),
    "an empty plan": ("plan", ""),
    "another plan": ("plan", OTHER),
    "another plan's digits": ("plan", "fedcba987654"),
    "six digits": ("plan", "012345"),
    "thirteen digits": ("plan", "0123456789abc"),
    "all digits and one more": ("plan", DIGEST + "0"),
    "another algorithm": ("plan", DIGEST.replace("sha256", "md5")),
    "a number": ("plan", 123456789),
    "this and another plan": ("plan", f"{DIGEST} {OTHER}"),
    "a star": ("plan", "*"),
    "no approver": ("approver", None),
    "an empty approver": ("approver", ""),
    "a blank approver": ("approver", " \t "),
    "a long approver": ("approver", "x" * 201),
    "an approver's number": ("approver", 7),
    "no reason": ("reason", None),
    "an empty reason": ("reason", ""),
    "a blank reason": ("reason", "\n"),
    "a long reason": ("reason", "x" * 501),
    "a reason's list": ("reason", ["CHG-1042"]),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("left_out", [False, True])
def test_it_decides_nothing(case: str, left_out: bool) -> None:
    name, wrong = BAD[case]
    answer = {**GOOD, name: wrong}
    if left_out:
        del answer[name]
    model = form(DIGEST, "?")
    with pytest.raises(Exception, match=name) as refused:
        validate(answer, model.model_json_schema(), raise_on_error=True)
    assert type(refused.value).__name__ == "ValidationError"
    with pytest.raises(ValidationError, match=name) as ours:
        model.model_validate(answer)
    assert ours.value.error_count() == 1


def test_an_empty_answer_approves_nothing() -> None:
    model = form(DIGEST, "?")
    assert len(validate({}, model.model_json_schema())) == 4
    with pytest.raises(ValidationError):
        model.model_validate({})


@pytest.mark.parametrize("plan", [DIGEST, DIGEST[7:], "0123456789ab", " 0123456789ab\n", "sha256:0123456789ab"])
@pytest.mark.parametrize("decision", ["approve", "Approve", " reject\n"])
def test_a_decision_on_this_plan_is_one(plan: str, decision: str) -> None:
    model = form(DIGEST, "?")
    answer = {**GOOD, "plan": plan, "decision": decision}
    assert validate(answer, model.model_json_schema()) == []
    assert answer.items() <= model.model_validate(answer).model_dump().items()


@pytest.mark.parametrize("code", [None, "", "yes", "0" * 23, "0" * 25, f"{'0' * 24} {'0' * 24}"])
def test_where_people_sign_a_typed_name_without_an_approval_code_decides_nothing(code: str | None) -> None:
    model = form(DIGEST, "?", signed=True)
    with pytest.raises(ValidationError, match="code"):
        model.model_validate({**GOOD, "code": code} if code is not None else GOOD)
    for good in ("0123456789abcdef01234567", "none"):
        assert validate({**GOOD, "code": good}, model.model_json_schema()) == []


def test_a_form_carries_the_request_that_people_sign() -> None:
    assert GATE.approvers is not None
    request = SignedRequest(subject="access request", text='{"role":"reader"}', approvers=GATE.approvers)
    schema = form(request.digest, "?", signed=True, request=request).model_json_schema()
    assert request_in(schema) == request
    assert validate({**GOOD, "plan": request.digest, "code": "none"}, schema) == []
    assert request_in(form(DIGEST, "?", signed=True).model_json_schema()) is None
    schema["properties"]["code"]["aks-entra-request"] = "{}"
    assert request_in(schema) is None


def test_an_approval_code_opens_a_gate_only_if_its_signature_counts() -> None:
    signed = signature().signed
    counts = Count(people=(), signed=(signed,), refused=(), missing="")
    assert what_is_missing(counts, signed.code) == ""
    assert what_is_missing(counts, "b" * 24) == f"the approval code {'b' * 24} does not count"
    too_few = replace(counts, refused=("dana: too late",), missing="1 of 2 signed approvals")
    assert what_is_missing(too_few, signed.code) == "1 of 2 signed approvals; dana: too late"


def test_what_is_typed_at_the_form_is_stored_on_one_line_with_nothing_hidden() -> None:
    typed = {
        "decision": " Approve\n",
        "approver": " dana\n\u202e",
        "reason": "CHG-1\n\n# Approved by olive",
        "ticket": "",
    }
    answer = form(DIGEST, "?").model_validate(GOOD | typed)

    said = words_of(answer)

    assert said["decision"] == "Approve"
    assert said["approver"] == "dana⏎\\u202e"
    assert said["reason"] == "CHG-1⏎⏎# Approved by olive"


@pytest.mark.parametrize("field", ["approver", "reason", "ticket"])
async def test_a_decision_with_a_hidden_character_is_refused_before_the_server_is_asked(field: str) -> None:
    words = {"approver": "dana", "reason": "CHG-1", "ticket": "T-1"} | {field: "CHG-1\n2"}

    with pytest.raises(Refused, match=rf"^{field}: it has the character U\+000A in it"):
        await decide("abc", "123456", decision="approve", **words)


def test_the_fields_are_described_in_plain_text_because_v2_shows_no_markdown_there() -> None:
    for ticket in (True, False):
        fields = form(DIGEST, "the page", ticket=ticket).model_json_schema()["properties"]
        texts = {name: field["description"] for name, field in fields.items()}
        assert texts.keys() == {"decision", "plan", "approver", "reason", "ticket"}
        assert "Type 0123456789ab." in texts["plan"]
        assert not [text for text in texts.values() if set(text) & set("*`_#")]
