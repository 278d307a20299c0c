"""Requests for artifacts at Prefect's server. What is a view of a stored record does not matter here.

An artifact holds its text gzipped as `data` and a page for people as `description`. The newest one under a key counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import ArtifactCreate
from prefect.client.schemas.filters import (
    ArtifactCollectionFilter,
    ArtifactCollectionFilterKey,
    ArtifactCollectionFilterType,
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    ArtifactFilterKey,
)
from prefect.client.schemas.objects import ArtifactCollection
from prefect.client.schemas.sorting import ArtifactCollectionSort, ArtifactSort

from aks_entra.documents import unpack
from aks_entra.errors import Refused
from aks_entra.ports.records import DAMAGED
from aks_entra.text.safe import for_storage

PAGE: Final = 200
OURS: Final = "aks-entra/"
"""The beginning of the types of artifacts that carry a packed text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One stored text: its key, when it was stored (ISO 8601), by which flow run, and of what kind it is.

    `problem`: why the store of records does not give the text. Empty: it does.
    """

    key: str
    packed: str
    at: str
    flow_run: UUID | None = None
    kind: str = ""
    problem: str = ""

    @property
    def text(self) -> str:
        """The text. Raises Refused, with its key, if it is damaged; others can still be read."""
        if self.problem:
            raise Refused(f"{self.key}: {self.problem}", remedy="run `aks-entra records check`", code=DAMAGED)
        try:
            return unpack(self.packed)
        except Refused as error:
            error.message = f"{self.key}: {error.message}"
            raise


async def create(
    client: PrefectClient, key: str, packed: str, *, kind: str, page: str = "", flow_run: UUID | None = None
) -> None:
    """Create an artifact with a packed text; `page` (markdown) is what Prefect's UI shows of it.

    The client's `create_artifact` also sends an event for each, which costs the server more than the artifact.
    """
    made = ArtifactCreate(
        key=key,
        type=f"{OURS}{kind}",
        description=for_storage(page) or None,
        data=packed,
        flow_run_id=flow_run,
    )
    await client.request("POST", "/artifacts/", json=made.model_dump(mode="json", exclude_unset=True))


async def newest_of(client: PrefectClient, keys: frozenset[str]) -> dict[str, Stored | None]:
    """Return the newest text under each of these keys, or None where there is none."""
    wanted = sorted(keys)
    found: dict[str, Stored | None] = dict.fromkeys(wanted)
    for start in range(0, len(wanted), PAGE):
        some = ArtifactCollectionFilterKey(any_=wanted[start : start + PAGE])
        page = await client.read_latest_artifacts(artifact_filter=ArtifactCollectionFilter(key=some), limit=PAGE)
        found |= {one.key: _latest(one) for one in page}
    return found


async def versions_of(key: str) -> tuple[Stored, ...]:
    """Return every text that was stored under a key, newest first."""
    found: list[Stored] = []
    offset = 0
    async with get_client() as client:
        while True:
            page = await client.read_artifacts(
                artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[key])),
                sort=ArtifactSort.CREATED_DESC,
                limit=PAGE,
                offset=offset,
            )
            found += [_stored(one.key, one.type, one.data, one.created, one.flow_run_id) for one in page]
            offset += PAGE
            if len(page) < PAGE:
                return tuple(found)


async def newest_under(prefix: str) -> tuple[Stored, ...]:
    """Return the newest text of every key that begins with the prefix, in the order of keys."""
    found: list[Stored] = []
    offset = 0
    async with get_client() as client:
        while True:
            page = await client.read_latest_artifacts(
                artifact_filter=ArtifactCollectionFilter(key=ArtifactCollectionFilterKey(like_=f"{prefix}%")),
                sort=ArtifactCollectionSort.KEY_ASC,
                limit=PAGE,
                offset=offset,
            )
            found += [
                _latest(one)
                for one in page
                if (one.type or "").startswith(OURS)  # not the pages for people
                and (one.key or "").startswith(prefix)  # the server's "like" finds it anywhere in a key
            ]
            offset += PAGE
            if len(page) < PAGE:
                return tuple(found)


async def of_runs(client: PrefectClient, runs: tuple[UUID, ...], prefix: str) -> tuple[Stored, ...]:
    """Return every text that these flow runs stored under keys that begin with the prefix, oldest first."""
    found: list[Stored] = []
    seen = 0
    while runs:
        page = await client.read_artifacts(
            artifact_filter=ArtifactFilter(
                key=ArtifactFilterKey(like_=f"{prefix}%"), flow_run_id=ArtifactFilterFlowRunId(any_=list(runs))
            ),
            sort=ArtifactSort.CREATED_DESC,
            limit=PAGE,
            offset=seen,
        )
        seen += len(page)
        found += [
            _stored(one.key, one.type, one.data, one.created, one.flow_run_id)
            for one in page
            if (one.key or "").startswith(prefix)
        ]
        if len(page) < PAGE:
            break
    return tuple(reversed(found))


async def exist(client: PrefectClient, kinds: frozenset[str]) -> bool:
    """Return whether there is an artifact of one of these kinds."""
    types = ArtifactCollectionFilterType(any_=sorted(f"{OURS}{kind}" for kind in kinds))
    return bool(await client.read_latest_artifacts(artifact_filter=ArtifactCollectionFilter(type=types), limit=1))


def _latest(one: ArtifactCollection) -> Stored:
    return _stored(
        one.key, one.type, one.data, one.updated, one.flow_run_id
    )  # it was created with the first text of its key


def _stored(key: str | None, kind: str | None, data: object, created: object, flow_run: UUID | None) -> Stored:
    return Stored(
        key=key or "",
        packed=str(data),
        at=str(created or ""),
        flow_run=flow_run,
        kind=(kind or "").removeprefix(OURS),
    )
