"""A signed approval of a break-glass opening, as two files: the request of one person, the approval of another.

No server is needed: both files are plain text, and the approval proves itself by its signatures.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from aks_entra.access.approvers import access_approvers
from aks_entra.cli import output
from aks_entra.cli.plan_input import write_new
from aks_entra.core.durations import in_words
from aks_entra.core.planning.signed_approval import count
from aks_entra.core.planning.signed_request import SignedRequest
from aks_entra.core.storable import canonical
from aks_entra.documents import dump_signed_request, load_signed_approval
from aks_entra.errors import Refused
from aks_entra.text.safe import for_file_name

if TYPE_CHECKING:
    from aks_entra.cli.break_glass.request import Request
    from aks_entra.core.cluster import ClusterId
    from aks_entra.core.planning.approvers import Approvers
    from aks_entra.ports.migration import Caller
    from aks_entra.wiring import Session


def to_approve(cluster: ClusterId, request: Request, opener: Caller, approvers: Approvers) -> SignedRequest:
    """Return what people sign: this opening of this cluster by this person."""
    lasting = in_words(int(request.lasting.total_seconds())) if request.lasting else ""
    facts = {
        "kind": "aks-entra/break-glass",
        "cluster": cluster.key,
        "duration": lasting,
        "reason": request.reason,
        "ticket": request.ticket,
        "opener": opener.object_id,
        "openerName": opener.name,
    }
    return SignedRequest(
        subject="break-glass",
        text=canonical(facts),
        approvers=approvers,
        requester=opener.object_id or None,
        beneficiaries=(opener.name,) if opener.name else (),
    )


async def require_approval(session: Session, cluster: ClusterId, request: Request) -> str:
    """Return who signed that this opening is approved. Empty: this machine names no approvers.

    Raises Refused, before anything is opened, if approvers have to sign and too few did.
    """
    approvers = access_approvers(session.settings)
    if approvers is None:
        return ""
    wanted = to_approve(cluster, request, await session.ports.callers.runner(), approvers)
    if request.approval is None:
        file = Path(f"{for_file_name(cluster.name)}.request.json")
        write_new(file, dump_signed_request(wanted), replace=True)
        raise Refused(
            f"this opening has to be approved: {approvers.words}. The request is in {file}",
            remedy=f"an approver runs `aks-entra approvals sign {file} --reason …`; then add --approval FILE",
            cluster=str(cluster),
        )
    try:
        signed = load_signed_approval(request.approval.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(
            f"--approval {request.approval}: cannot be read: {error}", remedy="name the signed file"
        ) from None
    port = session.ports.approvals
    assert port is not None  # noqa: S101 - a session on the real services has every port
    found = count(
        wanted.gate,
        wanted.asked(""),
        await port.read((signed,), approvers),
        at=[session.ports.clock.now()],
    )
    if found.missing:
        raise Refused(
            f"this opening was not approved: {'; '.join((found.missing, *found.refused))}",
            remedy="let an approver sign the request that this command writes without --approval",
            cluster=str(cluster),
        )
    output.say(f"approved by {found.words}, signed at Microsoft Entra ID")
    return found.words
