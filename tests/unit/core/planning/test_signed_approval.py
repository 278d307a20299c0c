"""Which approvals count that people signed at Microsoft Entra ID, and which are refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from aks_entra.core.durations import stamp
from aks_entra.core.planning.approval import Approval
from aks_entra.core.planning.approvers import Approvers
from aks_entra.core.planning.gates import Gate
from aks_entra.core.planning.signed_approval import (
    Asked,
    Count,
    Signature,
    Statement,
    count,
    member_by_token,
    not_accepted,
    sign_in_of,
)
from tests.support.signed_approvals import APPROVING, ASKED, CLIENT, GATE, NOW, STATEMENT, TENANT, sign_in, signature

LATER = NOW + timedelta(hours=2)
GIVEN = signature()
NONCE = GIVEN.signed.commitment.nonce
APPROVERS = Approvers(tenant_id=TENANT, client_id=CLIENT, groups=(APPROVING,))
TWO = replace(GATE, approvers=replace(APPROVERS, at_least=2))
NO_REQUESTER = replace(GATE, approvers=replace(APPROVERS, not_requester=True))


def counted(*signatures: Signature, gate: Gate = GATE, asked: Asked = ASKED, at: datetime = LATER) -> Count:
    return count(gate, asked, signatures, at=[at])


def test_an_approval_that_a_member_signed_counts() -> None:
    found = counted(GIVEN)
    assert (found.missing, found.refused) == ("", ())
    assert found.codes == (GIVEN.signed.code,)
    assert found.words == "dana@contoso.com (object id dana-id)"


def test_one_sign_in_approves_several_gates_of_a_day() -> None:
    second = replace(STATEMENT, stage="prod", run="run-2", at=stamp(NOW + timedelta(hours=20)))
    asked = replace(ASKED, stage="prod", run="run-2")
    assert counted(signature(second), asked=asked, at=NOW + timedelta(hours=21)).missing == ""
    late = replace(second, at=stamp(NOW + timedelta(hours=25)))
    refused = counted(signature(late), asked=asked, at=NOW + timedelta(hours=25)).refused
    assert "its key signs until 2026-11-25T09:01:00Z, and not at 2026-11-25T10:00:00Z" in refused[0]


def test_a_key_signs_later_gates_only_in_the_time_to_which_its_sign_in_commits() -> None:
    until = NOW + timedelta(hours=8)
    in_time = replace(STATEMENT, stage="prod", run="run-2", at=stamp(until - timedelta(minutes=1)))
    late = replace(in_time, at=stamp(until + timedelta(minutes=1)))
    asked, at = replace(ASKED, stage="prod", run="run-2"), until + timedelta(hours=1)
    assert counted(signature(in_time, until=until), asked=asked, at=at).missing == ""
    refused = counted(signature(late, until=until), asked=asked, at=at).refused
    assert "its key signs until 2026-11-24T17:00:00Z, and not at 2026-11-24T17:01:00Z" in refused[0]
    later_plan = replace(asked, plan="sha256:9")
    assert "another question: plan" in counted(signature(in_time, until=until), asked=later_plan, at=at).refused[0]


def test_approvers_may_shorten_the_time_for_which_a_sign_in_signs_and_never_extend_it() -> None:
    second = replace(STATEMENT, stage="prod", at=stamp(NOW + timedelta(hours=2)))
    asked, until = replace(ASKED, stage="prod"), NOW + timedelta(hours=8)
    hour = replace(GATE, approvers=replace(APPROVERS, sign_in_expires_after=3600))
    refused = counted(signature(second, until=until), gate=hour, asked=asked, at=until).refused
    assert "its key signs until 2026-11-24T10:01:00Z" in refused[0]
    assert counted(signature(until=until), gate=hour).missing == ""
    week = replace(GATE, approvers=replace(APPROVERS, sign_in_expires_after=7 * 86_400))
    next_day = replace(second, at=stamp(NOW + timedelta(hours=25)))
    for committed in (None, NOW + timedelta(days=7)):
        found = counted(signature(next_day, until=committed), gate=week, asked=asked, at=NOW + timedelta(hours=26))
        assert "its key signs until 2026-11-25T09:01:00Z" in found.refused[0]


def test_a_sign_in_that_commits_to_another_application_or_no_time_is_refused() -> None:
    one = signature(until=NOW + timedelta(hours=8))
    for changed, because in (
        ({"application": f"{TENANT}/another"}, "the sign-in commits to application"),
        ({"until": "tonight"}, "it has no time"),
    ):
        committed = replace(one.signed.commitment, **changed)
        other = replace(one, signed=replace(one.signed, commitment=committed), sign_in=sign_in(committed.nonce))
        assert because in counted(other).refused[0]


def test_a_key_with_a_longer_time_has_another_nonce() -> None:
    one = signature(until=NOW + timedelta(hours=8))
    longer = replace(one.signed.commitment, until=stamp(NOW + timedelta(hours=9)))
    found = counted(replace(one, signed=replace(one.signed, commitment=longer)))
    assert "its nonce is another one" in found.refused[0]


def test_a_signed_approval_of_an_earlier_version_keeps_its_code_and_its_nonce() -> None:
    assert GIVEN.signed.code == "185ac93f07f66aebce16539f"
    assert NONCE == "5ed17dc6458a16bb27d0f5771954893241c878bfffb090b820db34d8bea30da8"


@pytest.mark.parametrize(
    ("one", "gate", "asked", "at", "because"),
    [
        pytest.param(
            replace(GIVEN, sign_in=None, problem="the signature does not fit the text"),
            *(GATE, ASKED, LATER, "the signature does not fit the text"),
            id="forged",
        ),
        pytest.param(replace(GIVEN, sign_in=None), GATE, ASKED, LATER, "its sign-in could not be read", id="unread"),
        pytest.param(GIVEN, GATE, ASKED, NOW + timedelta(days=1), "an approval is valid for 1d", id="expired"),
        pytest.param(GIVEN, GATE, ASKED, NOW - timedelta(minutes=6), "it is of 2026-11-24T09:00:00Z", id="future"),
        pytest.param(
            *(GIVEN, GATE, replace(ASKED, plan="sha256:9"), LATER, "plan sha256:0123, not sha256:9"), id="another plan"
        ),
        pytest.param(
            *(GIVEN, GATE, replace(ASKED, facts=""), LATER, "findings sha256:fedc, not unknown"), id="other findings"
        ),
        pytest.param(GIVEN, GATE, replace(ASKED, stage="prod"), LATER, "stage canary, not prod", id="another stage"),
        pytest.param(GIVEN, GATE, replace(ASKED, side="after"), LATER, "before, not after", id="another side"),
        pytest.param(GIVEN, GATE, replace(ASKED, run="run-2"), LATER, "run run-1, not run-2", id="another run"),
        pytest.param(
            *(GIVEN, GATE, replace(ASKED, subject="access request"), LATER, "subject stage, not access request"),
            id="a request for access",
        ),
        pytest.param(
            signature(replace(STATEMENT, subject="break-glass")),
            *(GATE, ASKED, LATER, "subject break-glass, not stage"),
            id="a signature for break-glass",
        ),
        pytest.param(
            *(GIVEN, GATE, replace(ASKED, beneficiaries=("x", "DANA-ID")), LATER, "would get what is asked for"),
            id="who would get it, by id",
        ),
        pytest.param(
            *(GIVEN, GATE, replace(ASKED, beneficiaries=("Dana@contoso.com",)), LATER, "would get what is asked for"),
            id="who would get it, by name",
        ),
        pytest.param(
            signature(replace(STATEMENT, decision="reject")),
            *(GATE, ASKED, LATER, "the decision reject, not approve"),
            id="a rejection",
        ),
        pytest.param(
            replace(GIVEN, sign_in=replace(sign_in(NONCE), tenant_id="another")),
            *(GATE, ASKED, LATER, "the sign-in is of tenant another"),
            id="another tenant",
        ),
        pytest.param(
            replace(GIVEN, sign_in=replace(sign_in(NONCE), issuer="https://evil.example/v2.0")),
            *(GATE, ASKED, LATER, "the sign-in is of issuer https://evil.example/v2.0, not of"),
            id="another issuer",
        ),
        pytest.param(
            replace(GIVEN, sign_in=replace(sign_in(NONCE), audience="another")),
            *(GATE, ASKED, LATER, "the sign-in is for application another"),
            id="another application",
        ),
        pytest.param(
            replace(GIVEN, sign_in=sign_in("0" * 64)),
            *(GATE, ASKED, LATER, "its nonce is another one"),
            id="a sign-in for something else",
        ),
        pytest.param(
            replace(GIVEN, sign_in=replace(sign_in(NONCE), person=False)),
            *(GATE, ASKED, LATER, "the token of an application"),
            id="a token of an application",
        ),
        pytest.param(
            replace(GIVEN, sign_in=sign_in(NONCE, at=NOW - timedelta(hours=1))),
            *(GATE, ASKED, LATER, "the sign-in was not made for this key"),
            id="an earlier sign-in",
        ),
        pytest.param(
            signature(replace(STATEMENT, at="")), GATE, ASKED, LATER, "it has no time", id="a statement without a time"
        ),
        pytest.param(
            signature(first=replace(STATEMENT, at="soon")), GATE, ASKED, LATER, "it has no time", id="a key without one"
        ),
        pytest.param(
            replace(GIVEN, member=False), GATE, ASKED, LATER, "in no group of the approvers", id="the wrong group"
        ),
        pytest.param(
            replace(GIVEN, member=None), GATE, ASKED, LATER, "it could not be read whether", id="an unknown group"
        ),
        pytest.param(
            replace(GIVEN, sign_in=replace(sign_in(NONCE), object_id="")),
            *(GATE, ASKED, LATER, "does not say who it is"),
            id="nobody",
        ),
        pytest.param(
            *(GIVEN, NO_REQUESTER, replace(ASKED, requester="DANA-ID"), LATER, "the person started the run"),
            id="the requester by id",
        ),
        pytest.param(
            *(GIVEN, NO_REQUESTER, replace(ASKED, requester="Dana@contoso.com"), LATER, "the person started the run"),
            id="the requester by name",
        ),
        pytest.param(
            *(GIVEN, NO_REQUESTER, replace(ASKED, requester=None), LATER, "it is not known who started the run"),
            id="an unknown requester",
        ),
    ],
)
def test_any_other_is_refused(one: Signature, gate: Gate, asked: Asked, at: datetime, because: str) -> None:
    found = counted(one, gate=gate, asked=asked, at=at)
    assert found.people == ()
    assert found.missing == "0 of 1 signed approvals"
    assert because in found.refused[0]


def test_another_text_has_another_nonce_and_code() -> None:
    altered = signature(replace(STATEMENT, reason="CHG-2"))
    assert altered.signed.statement.text != GIVEN.signed.statement.text
    assert altered.signed.code != GIVEN.signed.code
    assert signature(first=replace(STATEMENT, reason="CHG-2")).signed.commitment.nonce != NONCE


def test_one_of_two_is_not_enough_and_the_same_person_counts_once() -> None:
    again = replace(signature(replace(STATEMENT, reason="again")))
    assert counted(GIVEN, again, gate=TWO).missing == "1 of 2 signed approvals"
    both = counted(GIVEN, signature(who="erin"), gate=TWO)
    assert both.missing == ""
    assert [one.object_id for one in both.people] == ["dana-id", "erin-id"]


def test_a_person_who_did_not_start_the_run_may_approve_it() -> None:
    assert counted(GIVEN, gate=NO_REQUESTER).missing == ""
    assert counted(GIVEN, gate=NO_REQUESTER, asked=replace(ASKED, requester="")).missing == ""  # a schedule did


def test_a_stage_that_began_in_time_keeps_its_approval() -> None:
    assert count(GATE, ASKED, [GIVEN], at=[NOW + timedelta(days=3), LATER]).missing == ""


def test_a_gate_without_approvers_counts_no_signatures() -> None:
    with pytest.raises(ValueError, match="no approvers"):
        count(Gate(), ASKED, [GIVEN], at=[LATER])


def test_an_approval_that_nobody_signed_is_a_claim() -> None:
    claimed = Approval(plan="p", stage="s", moment="before", decision="approve", approver="dana", reason="")
    assert claimed.by == "dana, a claim"
    assert replace(claimed, signed=("{}",)).by == "dana, signed at Microsoft Entra ID"


def test_a_recorded_approval_says_what_was_asked() -> None:
    recorded = Approval(
        plan="sha256:0123",
        stage="canary",
        moment="before",
        decision="approve",
        approver="dana",
        reason="",
        run="run-1",
        facts="sha256:fedc",
    )
    assert Asked.of(recorded, "erin-id") == ASKED


CLAIMS: dict[str, Any] = {
    "iss": f"https://login.microsoftonline.com/{TENANT}/v2.0",
    "aud": CLIENT,
    "tid": TENANT,
    "oid": "dana-id",
    "preferred_username": "dana@contoso.com",
    "name": "Dana",
    "nonce": NONCE,
    "iat": int((NOW + timedelta(minutes=1)).timestamp()),
    "groups": [APPROVING],
}
OVERAGE = {"_claim_names": {"groups": "src1"}}


def test_the_claims_of_an_id_token_are_read() -> None:
    assert sign_in_of(CLAIMS) == sign_in(NONCE)
    assert sign_in_of({**CLAIMS, "preferred_username": ""}).name == "Dana"
    assert sign_in_of({**CLAIMS, "name": "", "preferred_username": ""}).words == "object id dana-id"
    assert sign_in_of({"iat": 0}).issued_at == datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("claim", ["appid", "azp", "idtyp", "scp"])
def test_an_access_token_is_not_taken_for_a_sign_in(claim: str) -> None:
    assert not sign_in_of({**CLAIMS, claim: "app"}).person


@pytest.mark.parametrize(
    "claims",
    [
        {**CLAIMS, "iat": None},
        {**CLAIMS, "iat": 1e300},
        {name: value for name, value in CLAIMS.items() if name != "iat"},
        {**CLAIMS, "groups": "all"},
        {**CLAIMS, "groups": [1]},
        {**CLAIMS, "oid": 7},
        {**CLAIMS, "aud": [CLIENT]},
    ],
)
def test_malformed_claims_are_refused(claims: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="the token"):
        sign_in_of(claims)


@pytest.mark.parametrize(
    ("claims", "member"),
    [
        (CLAIMS, True),
        ({**CLAIMS, "groups": [APPROVING.upper()]}, True),
        ({**CLAIMS, "groups": ["another"]}, False),
        ({name: value for name, value in CLAIMS.items() if name != "groups"}, False),
        ({**CLAIMS, **OVERAGE, "groups": None}, None),  # too many groups: only Graph can say
    ],
)
def test_groups_are_read_from_the_token(claims: dict[str, Any], member: bool | None) -> None:
    assert member_by_token(sign_in_of(claims), APPROVERS) is member


def test_who_has_to_sign_is_said_in_words() -> None:
    assert APPROVERS.words == f"1 person of group {APPROVING} signs it; a sign-in signs for 1d"
    two = replace(APPROVERS, at_least=2, groups=("a", "b"), not_requester=True, sign_in_expires_after=3600)
    people = "2 people of groups a, b sign it, and not the person who started the run"
    assert two.words == f"{people}; a sign-in signs for 1h"
    assert Gate(approvers=two).conditions == (f"approval (valid 1d): {two.words}",)


def test_approvers_are_part_of_what_a_plans_digest_covers_only_if_there_are_some() -> None:
    assert "approvers" not in Gate().bound()
    bound = Gate(approvers=APPROVERS).bound()["approvers"]
    assert bound["groups"] == (APPROVING,)
    assert "sign_in_expires_after" not in bound  # as in older digests
    shorter = Gate(approvers=replace(APPROVERS, sign_in_expires_after=3600)).bound()["approvers"]
    assert shorter["sign_in_expires_after"] == 3600


def test_a_plan_that_wants_no_signature_from_its_approvers_still_needs_one() -> None:
    assert counted(gate=replace(GATE, approvers=replace(APPROVERS, at_least=0))).missing == "0 of 1 signed approvals"


def test_a_worker_accepts_only_the_approvers_that_it_names() -> None:
    accepted = frozenset({f"{TENANT}/{CLIENT}/{APPROVING}"})
    assert not_accepted(GATE, accepted) == ""
    assert not_accepted(replace(GATE, approvers=replace(APPROVERS, groups=(APPROVING.upper(),))), accepted) == ""
    foreign = replace(GATE, approvers=replace(APPROVERS, groups=(APPROVING, "mine")))
    assert not_accepted(foreign, accepted) == f"this worker does not accept the approvers {TENANT}/{CLIENT}/mine"
    for other in (replace(APPROVERS, tenant_id="mine"), replace(APPROVERS, client_id="mine")):
        assert "mine" in not_accepted(replace(GATE, approvers=other), accepted)
    assert "did not sign" in not_accepted(replace(GATE, approval=False), accepted)
    assert "did not sign" in not_accepted(Gate(), accepted)
    assert "did not sign" in not_accepted(None, accepted)
    assert not_accepted(None, frozenset()) == ""


def test_the_text_that_is_signed_never_changes() -> None:
    assert isinstance(STATEMENT, Statement)
    assert STATEMENT.text == (
        '{"at":"2026-11-24T09:00:00Z","decision":"approve","facts":"sha256:fedc","kind":"aks-entra/approval",'
        '"plan":"sha256:0123","reason":"CHG-1","run":"run-1","side":"before","stage":"canary","ticket":"","version":1}'
    )
