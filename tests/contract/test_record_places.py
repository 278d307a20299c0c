"""The store of records behaves the same in a folder, in Azure Blob Storage, and in Azure's emulator of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from azure.storage.blob.aio import ContainerClient

from aks_entra.adapters.http.network import Web
from aks_entra.adapters.records import archive
from aks_entra.adapters.records.azure_blobs import AzureBlobs
from aks_entra.adapters.records.check import check
from aks_entra.adapters.records.folder import FolderBlobs
from aks_entra.adapters.records.prune import Pruning, prune
from aks_entra.adapters.records.store import Records
from aks_entra.errors import AksEntraError, Refused, TryLater
from aks_entra.ports.records import DAMAGED
from tests.support.blob_storage import HOST, MemoryBlobs, Person, azurite, in_memory, tunnel

Opened = Callable[[str], Records]
PRUNING = Pruning(older_than="2026-11-28T00:00:00Z", by="dana", archive="", records=(), done=False)


async def at_once(_seconds: float) -> None:
    """Wait for nothing before a request is repeated."""


def web() -> Web:
    return Web(connect=10, read=30, sleep=at_once)


@asynccontextmanager
async def client_of(port: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Opened]:
    """Yield what opens a store below a prefix of the container `kept`, through a proxy to the server on this port."""
    opened: list[Records] = []

    def opening(prefix: str) -> Records:
        opened.append(Records(AzureBlobs(HOST, "kept", prefix, web(), Person())))  # type: ignore[arg-type]
        return opened[-1]

    async with tunnel(port) as proxy:
        for variable in ("HTTPS_PROXY", "https_proxy"):
            monkeypatch.setenv(variable, proxy)
        for variable in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(variable, raising=False)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(folder / "cert.pem"))
        try:
            yield opening
        finally:
            for one in opened:
                await one.close()


async def create_container() -> None:
    own = web()
    async with ContainerClient(
        f"https://{HOST}",
        "kept",
        credential=Person(),
        transport=own.transport(HOST),
    ) as made:
        await made.create_container()
    await own.close()


@pytest.fixture
async def blobs(tmp_path: Path) -> AsyncIterator[tuple[MemoryBlobs, int]]:
    async with in_memory(tmp_path) as server:
        yield server


@pytest.fixture(params=["folder", "blob storage", pytest.param("azurite", marks=pytest.mark.clients)])
async def opened(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Opened]:
    if request.param == "folder":
        yield lambda prefix: Records(FolderBlobs(tmp_path / "store" / prefix))
    elif request.param == "azurite":
        async with azurite(tmp_path) as port, client_of(port, tmp_path, monkeypatch) as opening:
            await create_container()
            yield opening
    else:
        async with in_memory(tmp_path) as (_, port), client_of(port, tmp_path, monkeypatch) as opening:
            await create_container()
            yield opening


async def test_every_place_lists_reads_and_copies_records(opened: Opened, tmp_path: Path) -> None:
    store = opened("eu/")
    first = await store.append("plan-a", "one", kind="plan")
    second = await store.append("plan-a", "two", kind="plan")
    verdicts = [await store.append(f"verdict-{one}", "x" * 100_000, kind="verdict") for one in range(5)]
    again = opened("eu/")
    assert await again.versions("plan-a") == (second, first)
    assert await again.newest(["plan-a", "plan-b"]) == {"plan-a": second, "plan-b": None}
    assert await again.newest_under("verdict-") == tuple(verdicts)
    assert await again.keys("") == ("plan-a", *(one.key for one in verdicts))
    assert await again.keys("plan-") == ("plan-a",)
    name = (await store.blobs.names("records/plan-a/"))[0]
    await store.blobs.create(name, b"another text")  # a record is never written over
    whole = await check(store.blobs)
    assert (whole.records, whole.problems) == (7, ())
    other = opened("us/")
    assert await other.keys("") == ()
    assert await archive.export(store.blobs, tmp_path / "all.tar.gz") == 7
    assert await archive.bring_in(other.blobs, tmp_path / "all.tar.gz") == archive.Imported(
        added=7, known=0, replaced=0
    )
    assert (await check(other.blobs)).state == whole.state


async def test_every_place_removes_what_is_archived_and_says_that_it_did(opened: Opened, tmp_path: Path) -> None:
    store = opened("eu/")
    first = await store.append("verdict-a", "one", kind="verdict")
    report = await store.append("report-a", "two", kind="report")
    assert report.before == (first.digest,)
    await store.append("other-a", "three", kind="other")
    pruned = await prune(opened("eu/"), [(first,)], PRUNING, tmp_path / "all.tar.gz")
    assert (pruned.removed, pruned.left) == (1, ())
    again = opened("eu/")
    assert [one.partition("-")[0] for one in await again.keys("")] == ["other", "pruned", "report"]
    found = await check(again.blobs)
    assert (found.sound, found.pruned, found.records) == (True, 1, 4)
    await again.blobs.remove("records/verdict-a/nothing")
    assert await archive.bring_in(again.blobs, tmp_path / "all.tar.gz") == archive.Imported(
        added=1, known=2, replaced=0
    )
    assert await again.newest(["verdict-a"]) == {"verdict-a": first}


async def test_what_azure_keeps_is_one_error_for_each_record_and_the_others_are_removed(
    blobs: tuple[MemoryBlobs, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with client_of(blobs[1], tmp_path, monkeypatch) as opening:
        await create_container()
        store = opening("")
        added = [await store.append(key, key, kind="verdict") for key in ("held", "kept", "free")]
        blobs[0].immutable = {
            "records/held/": "BlobImmutableDueToLegalHold",
            "records/kept/": "BlobImmutableDueToPolicy",
        }
        pruned = await prune(store, [(one,) for one in added], PRUNING, tmp_path / "all.tar.gz")
        assert [(one.key, str(error).partition("\n")[0].partition(" (")[0]) for one, error, _ in pruned.left] == [
            ("held", "a legal hold keeps it"),
            ("kept", "the container's immutability policy keeps it"),
        ]
        assert pruned.removed == 1
        blobs[0].immutable = {}
        blobs[0].failures = [(403, "AuthorizationPermissionMismatch")]
        with pytest.raises(AksEntraError, match="could not remove a record from") as refused:
            await store.blobs.remove("records/kept/x")
        assert "Storage Blob Data Contributor" in refused.value.remedy
        del blobs[0].blobs["kept"]
        with pytest.raises(AksEntraError, match="could not remove a record from"):
            await store.blobs.remove("records/kept/x")


async def test_writers_of_every_place_that_write_at_the_same_time_lose_nothing(opened: Opened) -> None:
    writers = [opened("eu/") for _ in range(3)]
    added = await asyncio.gather(
        *(
            writer.append("shared", f"{name}-{number}", kind="note")
            for name, writer in enumerate(writers)
            for number in range(6)
        )
    )
    found = await opened("eu/").versions("shared")
    assert {one.digest for one in found} == {one.digest for one in added}
    assert (await check(writers[0].blobs)).problems == ()


async def test_a_container_that_does_not_exist_is_named_and_is_no_empty_store(
    blobs: tuple[MemoryBlobs, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with client_of(blobs[1], tmp_path, monkeypatch) as opening:
        store = opening("")
        for asking in (store.append("plan-a", "one", kind="plan"), store.newest(["plan-a"]), store.keys("")):
            with pytest.raises(AksEntraError, match="could not list records in https") as missing:
                await asking
            assert "records.md" in missing.value.remedy
        with pytest.raises(AksEntraError):
            await store.blobs.read("records/plan-a/none")


async def test_what_blob_storage_refuses_or_loses_is_said_and_a_lost_response_stores_one_record(
    blobs: tuple[MemoryBlobs, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, port = blobs
    server.blobs["kept"] = {}
    async with client_of(port, tmp_path, monkeypatch) as opening:
        store = opening("")
        server.failures = [(403, "AuthorizationPermissionMismatch")]
        with pytest.raises(Refused) as refused:
            await store.newest(["plan-a"])
        assert "Storage Blob Data Contributor" in refused.value.remedy
        server.failures = [(503, "ServerBusy")] * 20
        with pytest.raises(TryLater):
            await store.newest(["plan-a"])
        server.failures = [(503, "ServerBusy")]
        assert await store.newest(["plan-a"]) == {"plan-a": None}
        server.failures = [(409, "ContainerBeingDeleted")]
        with pytest.raises(AksEntraError, match="could not store a record"):
            await store.blobs.create("records/a", b"one")
        server.failures = [(0, "")]
        await store.blobs.create("records/a", b"one")
        assert server.blobs["kept"] == {"records/a": b"one"}


async def test_a_blob_whose_bytes_were_changed_is_returned_by_no_method(
    blobs: tuple[MemoryBlobs, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, port = blobs
    server.blobs["kept"] = {}
    async with client_of(port, tmp_path, monkeypatch) as opening:
        store = opening("")
        await store.append("plan-a", "one", kind="plan")
        name, content = next(iter(server.blobs["kept"].items()))
        server.blobs["kept"][name] = content.replace(b'"packed":"one"', b'"packed":"two"')
        for asking in (store.newest(["plan-a"]), store.newest_under(""), store.versions("plan-a")):
            with pytest.raises(Refused) as refused:
                await asking
            assert refused.value.code == DAMAGED


async def test_a_list_of_blobs_that_does_not_end_is_refused(
    blobs: tuple[MemoryBlobs, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, port = blobs
    server.blobs["kept"] = {f"records/{one}/x": b"" for one in range(3)}
    server.endless = True
    async with client_of(port, tmp_path, monkeypatch) as opening:
        for asking in (opening("").keys(""), opening("").newest_under("")):
            with pytest.raises(Refused) as refused:
                await asking
            assert refused.value.code == "EndlessList"
