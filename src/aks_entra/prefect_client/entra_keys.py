"""Entra's keys that signed approvals, kept as they were seen published, for auditors who check years later.

Everybody who may write records can also write such a record. It is evidence only where nobody can change the store.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from typing import Final

from aks_entra import documents
from aks_entra.core.planning.signed_approval import Signature
from aks_entra.prefect_client import artifacts, names, pages
from aks_entra.prefect_client.stored_documents import read

PATIENCE: Final = 10.0
"""Seconds after which the keeping of keys is given up. No approval waits longer for it."""
_log: Final = logging.getLogger(__name__)


async def keep(signatures: Iterable[Signature]) -> None:
    """Store each key that was read from Entra and signed one of these, unless it is stored. It stops no approval."""
    found = {one.published.name: one.published for one in signatures if one.published is not None}
    try:
        async with asyncio.timeout(PATIENCE):
            for (tenant, kid, digits), one in found.items():
                name = names.key("entra-key", tenant, digits, kid)
                if await artifacts.get(name) is None:
                    text = documents.dump_entra_key(one)
                    await artifacts.put(name, text, kind="entra-key", page=pages.entra_key_page(one))
    except Exception as error:  # noqa: BLE001 - whatever it is, the approval goes on without the record
        _log.warning("Entra's key of a signed approval could not be stored: %s", type(error).__name__)


async def seen() -> Mapping[tuple[str, str, str], str]:
    """Return when each stored key was first seen published, by `PublishedKey.name`. What cannot be read is left out."""
    found = read(await artifacts.newest("entra-key-"), documents.load_entra_key).read
    return {one.name: one.seen_at for _, one in found}
