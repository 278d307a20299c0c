"""Approvals that people signed at Microsoft Entra ID, stored at Prefect's server, and how many of them count at a gate.

Anybody may store one: it proves itself by its signatures, and never by where it comes from.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from datetime import datetime
from typing import TypeAlias
from uuid import UUID

from prefect.client.orchestration import get_client

from aks_entra import documents
from aks_entra.core.planning.approval import Approval
from aks_entra.core.planning.approvers import Approvers
from aks_entra.core.planning.gates import Gate
from aks_entra.core.planning.signed_approval import Asked, Count, Signature, SignedApproval, count
from aks_entra.core.planning.voluntary import count_voluntary
from aks_entra.errors import AksEntraError, Refused
from aks_entra.prefect_client import artifacts, entra_keys, names, pages
from aks_entra.prefect_client.stored_documents import read as readable

Read: TypeAlias = Callable[[tuple[SignedApproval, ...], Approvers], Awaitable[tuple[Signature, ...]]]
"""Checks the signatures of signed approvals, as the port `Approvals` does."""


async def store_signed(signed: SignedApproval) -> None:
    """Store a signed approval, where every run of its plan finds it."""
    said = signed.statement
    name = names.key(_prefix(said.plan, said.side, said.stage), signed.code)
    text = documents.dump_signed_approval(signed)
    await artifacts.put(name, text, kind="signed-approval", page=pages.signed_approval_page(signed))


async def count_stored(read: Read, gate: Gate, asked: Asked, *, at: Iterable[datetime]) -> Count:
    """Count the signatures that people stored for a gate of a run.

    A stored document that cannot be read does not count, and stops nothing.
    """
    return await _counted(read, gate, asked, await _stored(asked), at=at)


async def with_voluntary(
    read: Read, gate: Gate, approval: Approval, application: Callable[[], Approvers | None], *, at: Iterable[datetime]
) -> Approval:
    """Return an approval with what people signed although nobody required it. It never stops an approval.

    A signature that does not hold, or that cannot be checked, leaves the name a claim, and the approval says why.
    `application` returns the one through which people sign in. None: this process knows none, and takes no signature
    for proven.
    """
    asked = Asked.of(approval, requester="")
    try:
        signed = await _stored(asked)
        if not signed:
            return approval
        known = application()
        if known is None:
            raise Refused("AKS_ENTRA_SIGN_IN_APPLICATION names no application where the run works")
        signatures = await read(signed, known)
        await entra_keys.keep(signatures)
        found = count_voluntary(gate, known, asked, signatures, at=at)
    except AksEntraError as error:
        return replace(approval, unproven=error.message)
    if found.missing:
        return replace(approval, unproven="; ".join(found.refused))
    documents_of_it = tuple(map(documents.dump_signed_approval, found.signed))
    return replace(approval, approver=found.words, signed=documents_of_it, voluntary=True, unproven="")


async def _stored(asked: Asked) -> tuple[SignedApproval, ...]:
    """Return what people signed and stored for a gate of a run. A document that cannot be read is left out."""
    found = await artifacts.newest(_prefix(asked.plan, asked.side, asked.stage))
    signed = (one for _, one in readable(found, documents.load_signed_approval).read)
    return tuple(one for one in signed if one.statement.run == asked.run)


async def count_recorded(read: Read, gate: Gate, asked: Asked, approval: Approval, *, at: Iterable[datetime]) -> Count:
    """Count the signatures in the record of an approval. Raises Refused if one of them cannot be read."""
    signed = tuple(documents.load_signed_approval(text) for text in approval.signed)
    return await _counted(read, gate, asked, signed, at=at)


async def _counted(
    read: Read, gate: Gate, asked: Asked, signed: tuple[SignedApproval, ...], *, at: Iterable[datetime]
) -> Count:
    signatures = await read(signed, gate.approvers) if signed and gate.approvers else ()
    await entra_keys.keep(signatures)
    return count(gate, asked, signatures, at=at)


async def asked_at_stage(approval: Approval, approvers: Approvers) -> Asked:
    """Return the gate of a stage that an approval answers, and who started its run if that person may not sign."""
    requester = await requester_of(UUID(approval.run)) if approvers.not_requester else None
    return Asked.of(approval, requester)


async def requester_of(run: UUID) -> str | None:
    """Return who started a run: an object id or a name, as a claim. Empty: a schedule did. None: that is unknown."""
    async with get_client() as client:
        found = await client.read_flow_run(run)
    said = found.parameters.get("request")
    by = said.get("by") if isinstance(said, dict) else None
    return names.requester(found.tags) or (str(by) if by else None) or ("" if found.auto_scheduled else None)


def _prefix(plan: str, side: str, stage: str) -> str:
    return names.key("signed-approval", names.hexadecimal(plan), side, names.stage_key(stage))
