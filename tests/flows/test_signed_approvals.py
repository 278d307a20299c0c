"""A gate whose approvals people sign at Microsoft Entra ID, from the command line and with a code in Prefect's form."""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from prefect import Flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.exceptions import Pause
from prefect.flow_engine import run_flow_async

from aks_entra import prefect_client
from aks_entra.access.policy_file import PolicyFile
from aks_entra.core.durations import moment
from aks_entra.core.planning.approvers import Approvers, application_named
from aks_entra.core.planning.plan import FleetPlan
from aks_entra.core.planning.signed_approval import Signature, SignedApproval
from aks_entra.core.verdict.history import Decision
from aks_entra.core.verdict.verdict import Outcome
from aks_entra.documents import load_signed_approval
from aks_entra.errors import Refused
from aks_entra.prefect_client import migration_records
from aks_entra.prefect_client.batch_permission import permission
from aks_entra.prefect_client.signed_approvals import with_voluntary
from aks_entra.settings import Settings
from aks_entra.wiring import open_session
from flows.apply_conditional_access import apply_conditional_access
from flows.grant_access import grant_access
from flows.rollout.signatures import read_signatures
from tests.flows.conftest import APPROVALS, APPROVING, MAIN, ROBOT, SUBSCRIPTION, Ended
from tests.flows.signers import ACCEPTED, SIGNED, TENANT

if TYPE_CHECKING:
    from tests.flows.conftest import PrefectStack, Until

pytestmark = pytest.mark.asyncio(loop_scope="session")
PERSON = """\
import os, pty, sys
runs, said, stopped = sys.argv[1].split(","), "", []
def read(terminal):
    global said
    data = os.read(terminal, 4096)
    said += data.decode(errors="replace")
    if said.endswith("[y/N]: "):
        asked = said.rpartition("Approve ")[2]
        os.write(terminal, b"y\\n" if any(f"for run {one}?" in asked for one in runs) else b"n\\n")
    if said.count("approved by") == len(runs) and not stopped:
        stopped.append(os.write(terminal, b"\\x03"))
    return data
ended = pty.spawn(sys.argv[2:], master_read=read)
sys.exit(os.waitstatus_to_exitcode(ended))
"""  # runs a command at a terminal where somebody says yes to the questions of these runs, and then presses Ctrl-C
POLICY = "apply-conditional-access/apply-conditional-access"
TYPED: dict[str, Any] = {"decision": "approve", "approver": "dana@contoso.com", "reason": "typed"}


async def aks_entra_as(stack: PrefectStack, user: str, *words: str, before: tuple[str, ...] = ()) -> Ended:
    """Run a command in whose browser a user of the sandbox signs in. `before`: a program that runs the command."""
    settings = {
        "BROWSER": f"aks-entra-sandbox sign-in %s --as {user} &",
        "AKS_ENTRA_SIGN_IN_APPLICATION": f"{TENANT}/{APPROVALS}",
    }
    process = await stack.begin(stack.home.parent, *before, sys.executable, "-c", MAIN, *words, **settings)
    out, err = await process.communicate()
    return Ended(exit_code=process.returncode or 0, stdout=out.decode(), stderr=err.decode())


async def carried_on(run: UUID) -> State[Any]:
    """Carry a run on in this process, as a worker with this process's settings does it, until it waits or ends."""
    flow: dict[str, Flow[Any, Any]] = {
        "grant-access": grant_access,
        "apply-conditional-access": apply_conditional_access,
    }
    async with get_client() as client:
        found = await client.read_flow_run(run)
        name = (await client.read_flow(found.flow_id)).name
        with suppress(Pause):
            await run_flow_async(flow[name], flow_run=found, parameters=found.parameters, return_type="state")
        state = (await client.read_flow_run(run)).state
    assert state is not None
    return state


async def not_signed(signed: tuple[SignedApproval, ...], _: Approvers) -> tuple[Signature, ...]:
    return tuple(Signature(signed=one, problem="a signature does not hold") for one in signed)


async def page_of(run: UUID) -> str:
    """Return what a person reads at the gate where a run waits."""
    async with get_client() as client:
        state = (await client.read_flow_run(run)).state
        assert state is not None
        keyset = state.state_details.run_input_keyset
        assert keyset is not None
        return str(await client.read_flow_run_input(run, keyset["description"]))


async def sign_voluntarily(stack: PrefectStack, *named: str) -> None:
    willing = await aks_entra_as(stack, "dana", "approve", *named, "--sign")
    assert willing.exit_code == 0, willing.output
    assert "approved by dana@contoso.com, signed at Microsoft Entra ID" in willing.stderr


async def check_voluntary(plan: FleetPlan, decision: Decision) -> None:
    """Check what is kept after a stage where nobody had to sign. The worker of the stack knows no application."""
    unknown = "a claim: a signature does not count (AKS_ENTRA_SIGN_IN_APPLICATION names no application"
    assert decision.by.startswith(f"dana@contoso.com, {unknown}")
    typed, gate = await migration_records.approval(plan.digest, "all", "after"), plan.stages[0].gate("after")
    assert typed is not None
    assert gate is not None
    known = partial(application_named, f"{TENANT}/{APPROVALS}")
    proven = await with_voluntary(read_signatures, gate, typed, known, at=[moment(typed.at)])
    assert "dana@contoso.com" in proven.by
    assert proven.by.endswith("signed at Microsoft Entra ID, which nobody was required to")
    refused = await with_voluntary(not_signed, gate, typed, known, at=[moment(typed.at)])
    assert refused.proof.startswith("a claim: a signature does not count (approval code ")
    assert "a signature does not hold" in refused.unproven


async def test_a_stage_begins_when_two_people_signed_and_a_typed_name_opens_nothing(
    stack: PrefectStack, until: Until
) -> None:
    with stack.inside():
        gates = {"gate_before": {"approval": SIGNED}, "gate_after": True}  # after the stage, nobody has to sign
        plan = await stack.plan("signed", {"name": "all", "groups": [{"name": "all", "rest": True}], **gates})
        digits = prefect_client.short(plan.digest)
        run = await prefect_client.start_migration(plan.digest, requester="the-operators-id")
        first = await until(run.id, lambda now: now.gate is not None)
        with pytest.raises(Refused, match="did not take the answer"):
            await prefect_client.decide(str(run.id), plan.digest, **TYPED)
        await prefect_client.decide(str(run.id), plan.digest, **TYPED, code="0" * 24)
        again = await until(run.id, lambda now: now.gate is not None and now.gate.asked != first.gate.asked)
        assert again.gate.asked
        page = await page_of(run.id)
        assert "did not open the gate: 0 of 2 signed approvals" in page
        assert f"2 people of group {APPROVING} sign it, and not the person who started the run" in page

        named = (str(run.id)[:8], "--plan", digits, "--reason", "CHG-1")
        wrong = await aks_entra_as(stack, "dana", "approve", *named, "--approver", "dana")
        assert wrong.exit_code == 2
        assert "--approver is a claim" in wrong.stderr
        asked = ("approve", str(run.id)[:8], "--reason", "CHG-1")  # without --plan, it asks
        one = await aks_entra_as(stack, "dana", *asked, before=(sys.executable, "-c", PERSON, run.name))
        assert one.exit_code == 0, one.output
        assert "signed by dana@contoso.com (CHG-1): 1 of 2 signed approvals so far" in one.output
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

        await until(run.id, lambda now: now.gate is not None and now.gate.moment == "after")
        await sign_voluntarily(stack, *named)
        ended = await until(run.id, lambda now: now.run.ended)
        assert ended.run.completed, ended.run.message
        report = await stack.report(run.id)
        assert [one.outcome for one in report.verdicts] == [Outcome.VERIFIED]
        assert report.history is not None
        (_, decision), (_, after) = report.history.decisions
        assert code in [one.code for one in decision.signatures]
        proofs = [
            (one.committed, one.first, one.problem, "" < one.key_seen_at <= decision.at) for one in decision.signatures
        ]
        assert proofs == [(True, True, "", True)] * 2
        assert [(one.unchecked, decision.at < one.checked_at) for one in decision.signatures] == [("", True)] * 2
        kept = await migration_records.approval(plan.digest, "all", "before")
        assert kept is not None
        assert "dana@contoso.com" in kept.by
        assert "glass@contoso.com" in kept.by
        assert kept.by.endswith("signed at Microsoft Entra ID")
        await check_voluntary(plan, after)
        assert code in {load_signed_approval(one).code for one in kept.signed}


async def test_access_and_a_policy_are_given_only_to_the_approvers_of_the_worker(
    stack: PrefectStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    parameters = {
        "cluster": "granted/by-azure",
        "to": ROBOT,
        "role": "writer",
        "duration": "10m",
        "reason": "CHG-3",
        "subscription": SUBSCRIPTION,
        "requested_by": "dana@contoso.com",
    }
    policy = {"name": "signed", "groups": ["aks-admins"], "require": ["mfa"], "break_glass": ["glass@contoso.com"]}
    with stack.inside():
        monkeypatch.setenv("AKS_ENTRA_ACCESS_APPROVERS", ACCEPTED)
        run = (await prefect_client.start(prefect_client.GRANT_ACCESS, parameters, work_queue="nobody")).id
        assert (await carried_on(run)).is_paused()
        (gate,) = await prefect_client.gates(str(run))
        with pytest.raises(Refused, match="did not take the answer"):
            await prefect_client.decide(str(run), gate.plan, **TYPED)
        await prefect_client.decide(str(run), gate.plan, **TYPED, code="0" * 24)
        assert (await carried_on(run)).is_paused()  # it asks again
        deciding = ("access", "approve", str(run)[:8], "--request", gate.plan, "--reason", "CHG-4")
        own = await aks_entra_as(stack, "dana", *deciding)
        assert own.exit_code == 2, own.output
        assert "the person started the run, and may not approve it" in own.stderr

        await apply_conditional_access(PolicyFile.model_validate(policy), return_state=True)
        enforcing = {"policy": policy, "enforce": True}
        enforced = (await prefect_client.start(POLICY, enforcing, work_queue="nobody")).id
        assert (await carried_on(enforced)).is_paused()

        names = ",".join([(await prefect_client.gates(str(one)))[0].run_name for one in (run, enforced)])
        watching = ("approve", "--all-waiting", "--watch", "--duration", "1h", "--reason", "CHG-4")
        both = await aks_entra_as(stack, "glass", *watching, before=(sys.executable, "-c", PERSON, names))
        assert both.exit_code == 130, both.output
        assert "the key of the sign-in is gone" in both.output
        assert "reason: CHG-3" in both.output
        assert "require: mfa" in both.output
        assert both.output.count("Sign in with a browser on this machine") == 1
        assert both.output.count("approved by glass@contoso.com, signed at Microsoft Entra ID") == 2

        assert "then the access of" in str((await carried_on(run)).message)
        async with open_session(Settings()) as session:
            ((role, text),) = [(one.role, one.text) for one in await session.access.roles.grants(SUBSCRIPTION)]
        assert role.endswith("RBAC Writer")
        assert "by=glass@contoso.com" in text
        await stack.aks_entra("access", "revoke", "granted/by-azure", "--to", ROBOT, "--yes")
        assert "enabled" in str((await carried_on(enforced)).message)
