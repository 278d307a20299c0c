"""A gate whose approvals people sign at Microsoft Entra ID, from the command line and with a code in Prefect's form."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

import pytest
from prefect.client.orchestration import get_client

from aks_entra import prefect_client
from aks_entra.core.planning.approvers import Approvers
from aks_entra.core.planning.signed_approval import Signature, SignedApproval
from aks_entra.core.verdict.verdict import Outcome
from aks_entra.documents import load_signed_approval
from aks_entra.errors import Refused
from aks_entra.prefect_client import migration_records
from aks_entra.prefect_client.batch_permission import permission
from flows.rollout.signatures import read_signatures
from tests.flows.conftest import APPROVALS, APPROVING, MAIN, Ended

if TYPE_CHECKING:
    from tests.flows.conftest import PrefectStack, Until

pytestmark = pytest.mark.asyncio(loop_scope="session")
TENANT = "7c9e2f64-3a1d-4b58-9e07-5d4f1b8a6c32"
SIGNED: dict[str, Any] = {
    "approvers": {
        "tenant_id": TENANT,
        "client_id": APPROVALS,
        "groups": [APPROVING],
        "at_least": 2,
        "not": "requester",
    }
}
TYPED: dict[str, Any] = {"decision": "approve", "approver": "dana@contoso.com", "reason": "typed"}


async def aks_entra_as(stack: PrefectStack, user: str, *words: str) -> Ended:
    """Run a command in whose browser a user of the sandbox signs in."""
    browser = f"aks-entra-sandbox sign-in %s --as {user} &"
    process = await stack.begin(stack.home.parent, sys.executable, "-c", MAIN, *words, BROWSER=browser)
    out, err = await process.communicate()
    return Ended(exit_code=process.returncode or 0, stdout=out.decode(), stderr=err.decode())


async def not_signed(signed: tuple[SignedApproval, ...], _: Approvers) -> tuple[Signature, ...]:
    return tuple(Signature(signed=one, problem="a signature does not hold") for one in signed)


async def test_a_stage_begins_when_two_people_signed_and_a_typed_name_opens_nothing(
    stack: PrefectStack, until: Until
) -> None:
    with stack.inside():
        plan = await stack.plan("signed", {"name": "all", "groups": [{"name": "all", "rest": True}]}, rollout=SIGNED)
        digits = prefect_client.short(plan.digest)
        run = await prefect_client.start_migration(plan.digest, requester="the-operators-id")
        first = await until(run.id, lambda now: now.gate is not None)
        with pytest.raises(Refused, match="did not take the answer"):
            await prefect_client.decide(str(run.id), plan.digest, **TYPED)
        await prefect_client.decide(str(run.id), plan.digest, **TYPED, code="0" * 24)
        again = await until(run.id, lambda now: now.gate is not None and now.gate.asked != first.gate.asked)
        assert again.gate.asked
        async with get_client() as client:
            state = (await client.read_flow_run(run.id)).state
            assert state is not None
            keyset = state.state_details.run_input_keyset
            assert keyset is not None
            page = str(await client.read_flow_run_input(run.id, keyset["description"]))
        assert "did not open the gate: 0 of 2 signed approvals" in page
        assert f"2 people of group {APPROVING} sign it, and not the person who started the run" in page

        named = (str(run.id)[:8], "--plan", digits, "--reason", "CHG-1")
        wrong = await aks_entra_as(stack, "dana", "approve", *named, "--approver", "dana")
        assert wrong.exit_code == 2
        assert "--approver is a claim" in wrong.stderr
        one = await aks_entra_as(stack, "dana", "approve", *named)
        assert one.exit_code == 0, one.output
        assert "signed by dana@contoso.com (CHG-1): 1 of 2 signed approvals so far" in one.stderr
        assert stack.writes("signed") == []
        two = await aks_entra_as(stack, "glass", "sign", str(run.id)[:8], "--reason", "CHG-2")
        assert two.exit_code == 0, two.output
        (code,) = re.findall(r"^[0-9a-f]{24}\b", two.stdout, re.MULTILINE)  # the browser prints there, too

        await prefect_client.decide(str(run.id), plan.digest, **TYPED, code=code)
        await until(run.id, lambda now: bool(now.batches))
        with pytest.raises(Refused, match="was not approved: 0 of 2 signed approvals; approval code"):
            await permission(plan, 0, str(run.id), allow_ungated=False, read=not_signed, accepted=frozenset())
        assert (
            await permission(plan, 0, str(run.id), allow_ungated=False, read=read_signatures, accepted=frozenset())
        ).writes
        ended = await until(run.id, lambda now: now.run.ended)
        assert ended.run.completed, ended.run.message
        report = await stack.report(run.id)
        assert [one.outcome for one in report.verdicts] == [Outcome.VERIFIED]
        assert report.history is not None
        ((_, decision),) = report.history.decisions
        assert code in [one.code for one in decision.signatures]
        assert [(one.committed, one.first, one.problem) for one in decision.signatures] == [(True, True, "")] * 2
        kept = await migration_records.approval(plan.digest, "all", "before")
        assert kept is not None
        assert "dana@contoso.com" in kept.by
        assert "glass@contoso.com" in kept.by
        assert kept.by.endswith("signed at Microsoft Entra ID")
        assert code in {load_signed_approval(one).code for one in kept.signed}
