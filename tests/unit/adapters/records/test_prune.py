"""Records are removed only after they were archived, and a removal that ended early is explained and can go on."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from aks_entra.adapters.records import archive
from aks_entra.adapters.records.check import Checked, check
from aks_entra.adapters.records.folder import FolderBlobs
from aks_entra.adapters.records.prune import Pruning, prune, read_all
from aks_entra.adapters.records.store import Records
from aks_entra.documents import pack
from aks_entra.errors import Refused
from aks_entra.ports.records import StoredRecord

PRUNING = Pruning(older_than="2026-01-01T00:00:00Z", by="dana", archive="", records=(), done=False)
KEYS = ("evidence-a", "verdict-a", "verdict-b")


class Kept(FolderBlobs):
    """A folder in which records under some keys cannot be removed. After `dies` removals the process dies."""

    def __init__(self, root: Path, *kept: str, dies: int = 99) -> None:
        super().__init__(root)
        self.kept, self.dies = kept, dies

    async def remove(self, name: str) -> None:
        if self.dies == 0:
            raise asyncio.CancelledError
        if any(f"/{key}/" in name for key in self.kept):
            raise Refused("a policy keeps it", remedy="wait")
        self.dies -= 1
        await super().remove(name)


async def filled(folder: Path) -> list[StoredRecord]:
    """Return the records of two verdicts and their evidence, on which a report rests."""
    store = Records(FolderBlobs(folder))
    old = [await store.append(key, key, kind="verdict") for key in KEYS]
    await store.append("report-a", "report", kind="report")
    return old


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()}


async def removed(blobs: FolderBlobs, old: list[StoredRecord], file: Path) -> tuple[int, list[tuple[str, int]]]:
    """Remove the first two records as one group and the third as another. Returns how many went, and what is left."""
    found = await prune(Records(blobs), [old[:2], old[2:]], PRUNING, file)
    return found.removed, [(one.key, more) for one, _, more in found.left]


async def test_what_was_removed_is_in_the_archive_and_is_not_missed(tmp_path: Path) -> None:
    old = await filled(tmp_path / "store")
    blobs = FolderBlobs(tmp_path / "store")
    assert await removed(blobs, old, tmp_path / "all.tar.gz") == (3, [])
    found = await check(blobs)
    assert (found.sound, found.problems, found.pruned, found.keys) == (True, (), 1, 2)
    (said,) = found.prunings.values()
    assert (said.by, said.older_than, said.done) == ("dana", "2026-01-01T00:00:00Z", True)
    assert set(said.records) == {one.digest for one in old}
    assert said.archive.startswith("sha256:")
    assert [one.key for one in await read_all(Records(blobs))] == [*found.prunings, *found.prunings, "report-a"]
    assert not (tmp_path / "store" / "records" / "verdict-a").exists()
    assert await archive.bring_in(blobs, tmp_path / "all.tar.gz") == archive.Imported(added=3, known=1, replaced=0)
    whole: Checked = await check(blobs)
    assert (whole.sound, whole.pruned, whole.records) == (True, 0, 6)


async def test_a_record_that_cannot_be_removed_keeps_the_rest_of_its_group_and_no_other(tmp_path: Path) -> None:
    old = await filled(tmp_path / "store")
    blobs = Kept(tmp_path / "store", "evidence-a")
    assert await removed(blobs, old, tmp_path / "one.tar.gz") == (1, [("evidence-a", 1)])
    assert (await check(blobs)).sound
    left = old[:2]
    again = await prune(Records(FolderBlobs(tmp_path / "store")), [left], PRUNING, tmp_path / "two.tar.gz")
    assert (again.removed, again.left) == (2, ())
    found = await check(blobs)
    assert (found.sound, len(found.prunings)) == (True, 2)


async def test_a_removal_whose_process_died_leaves_no_unexplained_gap_and_can_be_repeated(tmp_path: Path) -> None:
    old = await filled(tmp_path / "store")
    dying = Kept(tmp_path / "store", dies=1)
    with pytest.raises(asyncio.CancelledError):
        await prune(Records(dying), [old], PRUNING, tmp_path / "one.tar.gz")
    found = await check(dying)
    assert (found.sound, [one.done for one in found.prunings.values()]) == (True, [False])
    left = [one for one in await read_all(Records(dying)) if one.key in KEYS]
    assert [one.key for one in left] == ["verdict-a", "verdict-b"]
    again = await prune(Records(FolderBlobs(tmp_path / "store")), [left], PRUNING, tmp_path / "two.tar.gz")
    assert again.removed == 2
    assert (await check(dying)).sound


async def test_nothing_is_removed_without_a_whole_archive(tmp_path: Path) -> None:
    old = await filled(tmp_path / "store")
    blobs, taken = FolderBlobs(tmp_path / "store"), tmp_path / "taken.tar.gz"
    taken.write_text("mine")
    before = files(tmp_path / "store")
    with pytest.raises(Refused, match="File exists"):
        await removed(blobs, old, taken)
    (damaged,) = (tmp_path / "store" / "records" / "report-a").iterdir()
    damaged.write_bytes(b"")
    for reading in (removed(blobs, old, tmp_path / "all.tar.gz"), read_all(Records(blobs))):
        with pytest.raises(Refused, match="is damaged"):
            await reading
    assert files(tmp_path / "store") == before
    assert not (tmp_path / "all.tar.gz").exists()


async def test_a_group_that_got_a_record_meanwhile_stays(tmp_path: Path) -> None:
    old = await filled(tmp_path / "store")
    blobs = FolderBlobs(tmp_path / "store")
    await Records(blobs).append("verdict-b", "newer", kind="verdict")
    assert await removed(blobs, old, tmp_path / "all.tar.gz") == (2, [])
    assert len(await blobs.names("records/verdict-b/")) == 2


@pytest.mark.parametrize("text", ["[]", "{}", "no JSON", '{"older_than": "", "by": "", "archive": "", "records": 1}'])
async def test_a_record_of_a_removal_that_cannot_be_read_explains_no_gap(tmp_path: Path, text: str) -> None:
    store = Records(FolderBlobs(tmp_path))
    await store.append("pruned-1", pack(text), kind="pruned")
    found = await check(store.blobs)
    assert not found.sound
    assert [(one.kind, one.because) for one in found.problems] == [
        ("damaged", "record pruned-1 does not say what was removed")
    ]
