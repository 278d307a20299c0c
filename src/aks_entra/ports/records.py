"""The store of records: plans, approvals, baselines, evidence, verdicts, reports, openings and grants.

It outlives Prefect's database. A record is added and never changed; the newest one under a key counts. What a store
holds can be checked by anybody: each record is named by the SHA-256 of its bytes, and names those before it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

DAMAGED: Final = "RecordDamaged"
"""The code of the error for a record whose bytes are not those that were stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRecord:
    """One record of the store.

    Attributes:
        key: what it is about, such as `plan-<64 digits>`; the keys of Prefect's artifacts are the same.
        kind: plan, approval, verdict, report, ...
        packed: its text, as `aks_entra.documents.pack` packs it.
        at: when it was stored, in UTC, by the clock of the process that stored it.
        digest: `sha256:<64 digits>` of the stored bytes. It is the record's name.
        before: digests of the records that its writer read or wrote since its last one, and of the newest one of its
            key. Empty for the first one of a store.
        flow_run: the flow run that stored it, or None outside of one.
    """

    key: str
    kind: str
    packed: str
    at: datetime
    digest: str
    before: tuple[str, ...] = ()
    flow_run: UUID | None = None


class RecordStore(Protocol):
    """Adds records and reads them. Each method raises Refused or TryLater if the store cannot be reached or read.

    A record whose bytes do not match its digest is returned by no method; the record before it does not take its
    place: its key raises Refused with the code `DAMAGED`, and other keys can still be read.
    """

    async def append(self, key: str, packed: str, *, kind: str, flow_run: UUID | None = None) -> StoredRecord:
        """Add a record after the newest ones that are known. When it returns, the record survives a power cut."""

    async def newest(self, keys: Collection[str]) -> Mapping[str, StoredRecord | None]:
        """Return the newest record under each of these keys, or None where there is none."""

    async def newest_under(self, prefix: str) -> tuple[StoredRecord, ...]:
        """Return the newest record of every key that begins with the prefix, in the order of keys."""

    async def keys(self, prefix: str) -> tuple[str, ...]:
        """Return every key that begins with the prefix and has a record, damaged ones included, in order."""

    async def versions(self, key: str) -> tuple[StoredRecord, ...]:
        """Return every record under a key, newest first."""
