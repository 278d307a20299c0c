"""Checks the signatures behind recorded decisions once more, for a report: a record may have been written by anybody.

It opens and stops nothing: gates and batches count signatures by themselves (`signed_approvals`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from aks_entra import documents
from aks_entra.core.durations import stamp, when
from aks_entra.core.planning.approval import Approval
from aks_entra.core.planning.approvers import Approvers
from aks_entra.core.planning.gates import Gate
from aks_entra.core.planning.plan import FleetPlan
from aks_entra.core.planning.signed_approval import Asked, Signature, SignedApproval, why_not
from aks_entra.core.planning.voluntary import count_voluntary, voluntary_gate
from aks_entra.core.verdict.history import CheckedAgain
from aks_entra.errors import AksEntraError, Refused
from aks_entra.prefect_client import progress
from aks_entra.prefect_client.signed_approvals import Read

PATIENCE: Final = 8.0
"""Seconds after which Entra is not waited for any more, so that a report does not lose its history by it."""
Checked: TypeAlias = Mapping[Approval, Mapping[str, CheckedAgain]]
"""What a check found of each signed approval behind a decision, by the text of its document."""
CheckAgain: TypeAlias = Callable[[FleetPlan, Iterable[Approval]], Awaitable[Checked]]
"""Checks the signed approvals behind decisions, as `check_again` does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Decided:
    """A decision with its signed approvals by their text, and the gate whose approvers had to sign, or could."""

    decision: Approval
    signed: Mapping[str, SignedApproval]
    gate: Gate
    approvers: Approvers

    @property
    def application(self) -> Approvers:
        """The application through which people signed in. Without groups, Graph is asked about nobody."""
        return Approvers(tenant_id=self.approvers.tenant_id, client_id=self.approvers.client_id, groups=())


async def check_again(
    read: Read, application: Callable[[], Approvers | None], plan: FleetPlan, decisions: Iterable[Approval]
) -> Checked:
    """Return what a check of each signed approval behind decisions about a plan finds now.

    It asks whether both signatures hold, whether the person signed in through the right application, for this decision
    and in time, and whether the record names who signed. It does not ask for memberships: they may have changed since.
    A document that cannot be read is left out.

    Args:
        read: checks the signatures of signed approvals, as the port `Approvals` does.
        application: returns the one through which people sign what nobody requires. None: this process knows none.
        plan: its gates name the approvers of decisions that have to be signed.
        decisions: as they are recorded.
    """
    at, found = stamp(progress.now()), dict[Approval, Mapping[str, CheckedAgain]]()
    together: dict[Approvers, list[_Decided]] = {}
    for decision in dict.fromkeys(one for one in decisions if one.signed):
        signed = dict(_readable(decision))
        try:
            one = _decided(decision, signed, plan, application)
        except Refused as error:
            found[decision] = dict.fromkeys(signed, CheckedAgain(at=at, unchecked=error.message))
        else:
            together.setdefault(one.application, []).append(one)
    for through, ones in together.items():
        texts = {text: document for one in ones for text, document in one.signed.items()}
        try:
            async with asyncio.timeout(PATIENCE):
                signatures = dict(zip(texts, await read(tuple(texts.values()), through), strict=True))
        except (AksEntraError, TimeoutError) as error:
            why = error.message if isinstance(error, AksEntraError) else "Microsoft Entra ID did not answer in time"
            found |= {one.decision: dict.fromkeys(one.signed, CheckedAgain(at=at, unchecked=why)) for one in ones}
        else:
            found |= {one.decision: _weighed(one, {text: signatures[text] for text in one.signed}, at) for one in ones}
    return found


def _readable(decision: Approval) -> Iterable[tuple[str, SignedApproval]]:
    for text in decision.signed:
        with suppress(Refused):
            yield text, documents.load_signed_approval(text)


def _decided(
    decision: Approval,
    signed: Mapping[str, SignedApproval],
    plan: FleetPlan,
    application: Callable[[], Approvers | None],
) -> _Decided:
    """Return a decision with the application that counts for it. Raises Refused if this process knows none."""
    gate = next((stage.gate(decision.moment) for stage in plan.stages if stage.name == decision.stage), None) or Gate()
    approvers = gate.approvers or application()
    if approvers is None:
        raise Refused("AKS_ENTRA_SIGN_IN_APPLICATION names no application where the report was made")
    return _Decided(decision=decision, signed=signed, gate=gate, approvers=approvers)


def _weighed(one: _Decided, signatures: Mapping[str, Signature], at: str) -> Mapping[str, CheckedAgain]:
    """Return what each signature proves about a decision, and whether the record names exactly those who signed."""
    given = when(one.decision.at)
    asked, moments = Asked.of(one.decision, requester=""), (given,) if given else ()
    counted = count_voluntary(one.gate, one.approvers, asked, signatures.values(), at=moments)
    named = one.decision.approver
    other = "" if named == counted.words else f"the record names {named}, and {counted.words} signed"
    found = {}
    for text, each in signatures.items():
        anybody = replace(each, member=True)
        own = why_not(anybody, voluntary_gate(one.gate, one.approvers), one.approvers, asked, moments)
        found[text] = (
            CheckedAgain(at=at, unchecked=each.problem)
            if each.unknown_key
            else CheckedAgain(at=at, problem=own or ("" if counted.refused else other))
        )
    return found
