"""Which callers with old credentials keep a run's gate shut, as the run read it last: for people and for `gates`."""

from __future__ import annotations

from uuid import UUID

from aks_entra import documents
from aks_entra.core.rollout.quiet import CallersAtGate
from aks_entra.errors import Refused
from aks_entra.prefect_client import artifacts
from aks_entra.prefect_client.names import key
from aks_entra.report.gate_callers import page_of


async def store(run: UUID, found: CallersAtGate) -> None:
    """Store what the audit logs show now, with a page that names each caller and how to move it."""
    await artifacts.put(_key(run), documents.dump_callers(found), kind="callers", page=page_of(found))


async def stored(run: UUID) -> CallersAtGate | None:
    """Return the callers that kept the run's gate shut at its last look. None if none did, or if it is unreadable."""
    try:
        text = await artifacts.own_text(run, _key(run))
        found = documents.load_callers(text) if text else None
    except Refused:
        return None
    return found if found and found.shut else None


def _key(run: UUID) -> str:
    return key("callers", str(run))
