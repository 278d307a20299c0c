"""The newest texts of many keys are read with few requests, each key has an answer, and a text costs one request."""

from __future__ import annotations

from typing import Any, cast
from uuid import uuid4

import pytest
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import ArtifactCollectionFilter
from prefect.client.schemas.objects import ArtifactCollection
from prefect.types._datetime import now

from aks_entra.prefect_client.artifact_requests import PAGE, create, newest_of


class Server:
    """As much of Prefect's client as reads artifacts by their keys: at most a page of 200."""

    def __init__(self, *keys: str) -> None:
        self.texts = {key: f"text of {key}" for key in keys}
        self.requests = 0

    async def read_latest_artifacts(
        self, *, artifact_filter: ArtifactCollectionFilter, limit: int
    ) -> list[ArtifactCollection]:
        self.requests += 1
        assert artifact_filter.key is not None
        found = [key for key in artifact_filter.key.any_ or () if key in self.texts]
        return [
            ArtifactCollection(key=key, latest_id=uuid4(), data=self.texts[key], updated=cast("Any", now("UTC")))
            for key in found[: min(limit, 200)]
        ]

    async def request(self, method: str, path: str, *, json: dict[str, Any]) -> None:
        self.requests += 1
        assert (method, path) == ("POST", "/artifacts/")
        self.texts[json["key"]] = json["data"]


async def test_a_text_is_stored_with_one_request_and_without_an_event() -> None:
    server = Server()  # it has no `create_artifact`, which sends an event as well
    await create(cast("PrefectClient", server), "evidence-1", "packed", kind="evidence")
    assert (server.texts, server.requests) == ({"evidence-1": "packed"}, 1)


@pytest.mark.parametrize("number", [1, PAGE, PAGE + 1, 3 * PAGE])
async def test_every_key_has_its_newest_text_or_none(number: int) -> None:
    there = [f"there-{one:03}" for one in range(number)]
    server = Server(*there)
    found = await newest_of(cast("PrefectClient", server), frozenset([*there, "missing"]))
    assert found.pop("missing") is None
    assert {key: one.packed if one else None for key, one in found.items()} == server.texts
    assert server.requests == number // PAGE + 1
