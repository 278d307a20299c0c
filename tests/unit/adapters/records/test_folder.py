"""A stored record survives a power cut, also if another process made its folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from aks_entra.adapters.records.folder import FolderBlobs
from aks_entra.host.file_trust import POSIX

NAME = "records/evidence-a/0001.json"
pytestmark = pytest.mark.skipif(not POSIX, reason="Windows flushes no folder")


@pytest.mark.parametrize("there", ["", "store", "store/records/evidence-a"])
async def test_every_folder_up_to_the_one_that_holds_the_store_is_flushed_after_the_record_has_its_name(
    there: str, tmp_path: Path
) -> None:
    """Another writer may have made a folder just now, and may not have flushed the one above it yet."""
    (tmp_path / there).mkdir(parents=True, exist_ok=True)
    root, flushed = tmp_path / "store", dict[Path, bool]()
    store = FolderBlobs(root, flush=lambda folder: flushed.update({folder: (root / NAME).exists()}))
    await store.create(NAME, b"a")
    above = [root / "records" / "evidence-a", root / "records", root, tmp_path]
    assert [flushed.get(one) for one in above] == [True] * 4
    assert await store.read(NAME) == b"a"


async def test_a_record_that_another_writer_has_just_renamed_is_flushed_as_well(tmp_path: Path) -> None:
    flushed: list[Path] = []
    store = FolderBlobs(tmp_path, flush=flushed.append)
    await store.create(NAME, b"a")
    flushed.clear()
    await store.create(NAME, b"a")
    assert (tmp_path / NAME).parent in flushed
    assert await store.leftovers() == []


async def test_a_folder_above_the_store_that_nobody_here_may_read_does_not_matter(tmp_path: Path) -> None:
    def flush(folder: Path) -> None:
        if folder == tmp_path:
            raise PermissionError

    (tmp_path / "store").mkdir()
    store = FolderBlobs(tmp_path / "store", flush=flush)
    await store.create(NAME, b"a")
    assert await store.read(NAME) == b"a"
