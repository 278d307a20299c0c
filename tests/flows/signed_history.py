"""Random histories of plans whose approvals people sign, and of an attacker who tries to do without them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from aks_entra import documents, prefect_client
from aks_entra.prefect_client import names
from tests.flows.approved_writes import ApprovalLog, SignedByPerson
from tests.flows.attacker import post, seize
from tests.flows.forged_signatures import FORGERIES
from tests.flows.signers import BOTH, SIGNED, asked_statement, sign
from tests.flows.stages import CANARY, REST
from tests.flows.write_history import SHORT, History

if TYPE_CHECKING:
    from uuid import UUID

    from aks_entra.core.planning.approvers import Approvers
    from aks_entra.core.planning.plan import FleetPlan
    from aks_entra.core.planning.signed_approval import SignedApproval, Statement

SEIZES: Final = "seizes: "
SIGN: Final = ("dana signs", "glass signs")
SIGNED_ACTIONS: Final = (
    *("plan", "start", "start", "dana starts", *SIGN, *SIGN, *SIGN, *SIGN, "mallory signs", "claim"),
    *("their plan", "push", "forge", "by hand", "reopen", "leave"),
    *FORGERIES,
    *(f"{SEIZES}{one}" for one in FORGERIES),
)
"""What happens: the people of the test sign, and everything else an attacker with all of Prefect can do."""


@dataclass(kw_only=True)
class SignedHistory(History):
    """A history whose plans name approvers. `genuine` are the approvals that people signed: an attacker has them."""

    log: ApprovalLog = field(default_factory=lambda: ApprovalLog(signers=BOTH))
    actions: tuple[str, ...] = SIGNED_ACTIONS
    genuine: list[SignedApproval] = field(default_factory=list)

    async def happen(self, what: str) -> None:
        """Do one thing."""
        if what in {"start", "dana starts"}:
            self.events.append(what)
            await self.start(self.chance.choice(self.plans), "dana" if what == "dana starts" else "erin")
        elif what in {"plan", "their plan"}:
            self.events.append(what)
            await self.plan_anew(theirs=what == "their plan")
        elif what.endswith(" signs") or what == "claim" or what.removeprefix(SEIZES) in FORGERIES:
            await self.at_a_gate(what)
        else:
            await super().happen(what)

    async def plan_anew(self, *, theirs: bool) -> None:
        """Plan the clusters again. The attacker's plan names no approvers, and has no gates or typed ones."""
        if theirs:
            gates: Any = [{"gate_before": self.chance.choice((True, False))}] * 2
        else:
            gates = [{"gate_before": self.chance.choice((True, True, SHORT))}, {"gate_before": True}]
        stages = [{**one, **gate} for one, gate in zip((CANARY, REST), gates, strict=True)]
        rollout = None if theirs else SIGNED
        plan = await self.stack.plan(
            self.group, *stages, rollout=rollout, rotation=self.chance.choice(("at-once", "later"))
        )
        self.plans.append(plan)
        self.events[-1] += f" {prefect_client.short(plan.digest)} {gates}"

    async def start(self, plan: FleetPlan, requester: str = "erin") -> None:
        """Start a run in the name of a person."""
        before = len(self.ever)
        await super().start(plan, f"{requester}@contoso.com")
        self.log.requesters |= dict.fromkeys(self.ever[before:], requester)

    async def at_a_gate(self, what: str) -> None:
        """Do one thing at the gate of a random run that waits."""
        if not self.live:
            return
        run = self.chance.choice(self.live)
        self.events.append(f"{what} {run}")
        said, plan = await asked_statement(run)
        approvers = approvers_of(plan, said)
        if approvers is None:  # the attacker's plan: a typed name answers its gate
            await self.log.approve(run)
            await self.rest(run)
        elif what == "claim":
            await self.answer(run, "0" * 24)
        elif what.endswith(" signs"):
            who = what.partition(" ")[0]
            self.genuine.append(await sign(self.stack, said, who, approvers))
            self.log.signed.append(SignedByPerson(who=who, run=run, plan=said.plan, stage=said.stage))
            await self.answer(run, self.genuine[-1].code)
        else:
            forge = FORGERIES[what.removeprefix(SEIZES)]
            forged = [forge(one, said, approvers) for one in await self.signed_elsewhere(said, approvers)]
            place = names.key("signed-approval", names.hexadecimal(said.plan), said.side, names.stage_key(said.stage))
            for one in forged:
                await post(names.key(place, one.code), documents.dump_signed_approval(one), kind="signed-approval")
            await self.answer(run, forged[-1].code)
            if what.startswith(SEIZES) and run in self.live and said.side == "before":
                await self.seize(run, plan, said.stage, forged)

    async def seize(self, run: UUID, plan: FleetPlan, stage: str, forged: list[SignedApproval]) -> None:
        """Let the attacker start a batch in the name of a run whose approval it made up. The run is deleted."""
        batch = await seize(run, plan, stage, forged)
        if batch is not None:
            now = await self.until(batch, lambda now: now.run.ended)
            self.events[-1] += f" → the batch: {now.run.message}"
        self.live.remove(run)
        await self.log.delete_run(run)

    async def answer(self, run: UUID, code: str) -> None:
        """Answer the gate with an approval code, and wait until the run asks again or ends."""
        await self.log.approve(run, code=code)
        await self.rest(run)

    async def signed_elsewhere(self, said: Statement, approvers: Approvers) -> list[SignedApproval]:
        """Return approvals that two people signed for another question: the last ones, or those of an earlier run."""
        found = [one for one in self.genuine if _question(one.statement) != _question(said)]
        if len(found) < len(BOTH.people):
            earlier = replace(said, run=str(uuid4()))
            found = [await sign(self.stack, earlier, who, approvers) for who in sorted(BOTH.people)]
            self.genuine += found
        return found[-len(BOTH.people) :]


def _question(said: Statement) -> tuple[str, ...]:
    return said.run, said.plan, said.stage, said.side


def approvers_of(plan: FleetPlan, said: Statement) -> Approvers | None:
    """Return who has to sign at the gate that a statement is about."""
    gate = next(one for one in plan.stages if one.name == said.stage).gate(said.side)
    return gate.approvers if gate else None
