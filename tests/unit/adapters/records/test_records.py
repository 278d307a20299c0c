"""The store of records in a folder: what is added stays, in order, and whoever changes it is seen."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import multiprocessing
import os
import resource
import signal
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aks_entra.adapters.records import Container, archive, open_store, place_of
from aks_entra.adapters.records.check import check
from aks_entra.adapters.records.folder import FolderBlobs
from aks_entra.adapters.records.store import ROOT, Records
from aks_entra.errors import Refused
from aks_entra.ports.records import DAMAGED
from aks_entra.settings import Settings

RUN = UUID("0d6d3f0a-1b1f-4b35-9c0e-6c9f0c6a7d11")


def records(folder: Path) -> Records:
    return Records(FolderBlobs(folder))


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


async def test_the_newest_record_under_a_key_counts_and_all_others_stay(tmp_path: Path) -> None:
    store = records(tmp_path)
    first = await store.append("plan-a", "one", kind="plan")
    second = await store.append("plan-a", "two", kind="plan", flow_run=RUN)
    await store.append("report-a", "three", kind="report")
    again = records(tmp_path)
    assert await again.newest(["plan-a", "plan-b"]) == {"plan-a": second, "plan-b": None}
    assert await again.versions("plan-a") == (second, first)
    assert [one.packed for one in await again.newest_under("")] == ["two", "three"]
    assert [one.packed for one in await again.newest_under("plan-")] == ["two"]
    assert await again.keys("") == ("plan-a", "report-a")
    assert (second.kind, second.flow_run, second.before) == ("plan", RUN, (first.digest,))


async def test_a_record_names_what_its_writer_read_before(tmp_path: Path) -> None:
    verdicts = [await records(tmp_path).append(f"verdict-{one}", "", kind="verdict") for one in range(3)]
    coordinator = records(tmp_path)
    await coordinator.newest_under("verdict-")
    report = await coordinator.append("report-a", "", kind="report")
    assert set(report.before) == {one.digest for one in verdicts}
    assert (await coordinator.append("report-b", "", kind="report")).before == (report.digest,)


async def test_a_clock_that_is_late_does_not_reorder_what_came_after(tmp_path: Path) -> None:
    now = datetime(2026, 11, 28, tzinfo=UTC)
    await Records(FolderBlobs(tmp_path), lambda: now).append("skip-a", "first", kind="skip")
    late = Records(FolderBlobs(tmp_path), lambda: now - timedelta(days=1))
    await late.append("skip-a", "second", kind="skip")
    assert [one.packed for one in await late.versions("skip-a")] == ["second", "first"]


async def test_only_the_owner_can_read_the_files(tmp_path: Path) -> None:
    root = tmp_path / "new" / "store"
    await records(root).append("plan-a", "one", kind="plan")
    assert [stat.S_IMODE(one.stat().st_mode) for one in files(root)] == [0o600]
    assert {stat.S_IMODE(one.stat().st_mode) for one in (root.parent, root, root / ROOT / "plan-a")} == {0o700}


@pytest.mark.parametrize("key", ["", "Plan", "../a", "a/b", "-a", "a" * 600])
async def test_a_key_that_leads_elsewhere_is_refused(tmp_path: Path, key: str) -> None:
    with pytest.raises(Refused, match="is no key of a record"):
        await records(tmp_path).append(key, "", kind="plan")
    assert files(tmp_path) == []


def changed(path: Path) -> None:
    said = json.loads(path.read_bytes()) | {"packed": "another"}
    path.write_text(json.dumps(said))


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def moved(path: Path) -> None:
    target = path.parents[1] / "plan-c"
    target.mkdir()
    path.rename(target / path.name)
    (path.parents[1] / "plan-b" / path.name).write_bytes((target / path.name).read_bytes())
    path = path.parents[1] / "plan-b" / path.name
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("change", [changed, emptied, moved])
async def test_a_damaged_record_is_named_and_the_others_are_read(tmp_path: Path, change: object) -> None:
    store = records(tmp_path)
    await store.append("plan-a", "one", kind="plan")
    await store.append("plan-b", "older", kind="plan")
    await store.append("plan-b", "two", kind="plan")
    assert callable(change)
    change(files(tmp_path / ROOT / "plan-b")[-1])
    again = records(tmp_path)
    with pytest.raises(Refused) as refused:
        await again.newest(["plan-b"])
    assert refused.value.code == DAMAGED
    assert "plan-b" in refused.value.message
    assert (await again.newest(["plan-a"]))["plan-a"] is not None
    assert not (await check(FolderBlobs(tmp_path))).sound


async def test_a_check_names_what_was_removed_changed_left_over_or_brought_in(tmp_path: Path) -> None:
    store = records(tmp_path)
    for key in ("plan-a", "verdict-a", "report-a"):
        await store.append(key, key, kind="plan")
    whole = await check(FolderBlobs(tmp_path))
    assert (whole.records, whole.keys, whole.last, whole.problems) == (3, 3, 1, ())
    verdict = files(tmp_path / ROOT / "verdict-a")[0]
    (tmp_path / "notes.txt").write_text("mine")
    (verdict.parent / f".{verdict.name}.abc").write_bytes(b"half")
    found = await check(FolderBlobs(tmp_path))
    assert found.sound
    assert found.state == whole.state
    assert [(one.kind, one.what.rpartition("/")[2]) for one in found.problems] == [
        ("foreign", "notes.txt"),
        ("unfinished", f".{verdict.name}.abc"),
    ]
    verdict.unlink()
    found = await check(FolderBlobs(tmp_path))
    assert not found.sound
    assert found.state != whole.state
    assert [one.kind for one in found.problems] == ["foreign", "missing", "unfinished"]
    assert "report-a" in found.problems[1].because


async def test_an_export_is_the_same_for_the_same_records_and_its_import_makes_the_same_store(tmp_path: Path) -> None:
    store = records(tmp_path / "here")
    for key in ("plan-a", "verdict-a", "plan-a"):
        await store.append(key, key, kind="plan")
    blobs, there = FolderBlobs(tmp_path / "here"), FolderBlobs(tmp_path / "there")
    assert await archive.export(blobs, tmp_path / "one.tar.gz") == 3
    assert await archive.export(blobs, tmp_path / "two.tar.gz") == 3
    assert (tmp_path / "one.tar.gz").read_bytes() == (tmp_path / "two.tar.gz").read_bytes()
    assert await archive.bring_in(there, tmp_path / "one.tar.gz") == imported(added=3)
    assert await archive.bring_in(there, tmp_path / "one.tar.gz") == imported(known=3)
    assert (await check(there)) == (await check(blobs))
    with pytest.raises(Refused, match="File exists"):
        await archive.export(blobs, tmp_path / "one.tar.gz")


async def test_a_damaged_file_is_not_imported_at_all_and_a_damaged_store_is_not_exported(tmp_path: Path) -> None:
    store = records(tmp_path / "here")
    for key in ("plan-a", "plan-b"):
        await store.append(key, key, kind="plan")
    blobs, there = FolderBlobs(tmp_path / "here"), FolderBlobs(tmp_path / "there")
    await archive.export(blobs, tmp_path / "one.tar.gz")
    raw = gzip.decompress((tmp_path / "one.tar.gz").read_bytes())
    (tmp_path / "bad.tar.gz").write_bytes(gzip.compress(raw.replace(b'"packed":"plan-b"', b'"packed":"plan-x"')))
    (tmp_path / "cut.tar.gz").write_bytes((tmp_path / "one.tar.gz").read_bytes()[:-200])
    for name in ("bad", "cut", "none"):
        with pytest.raises(Refused):
            await archive.bring_in(there, tmp_path / f"{name}.tar.gz")
    assert files(tmp_path / "there") == []
    changed(files(tmp_path / "here")[0])
    with pytest.raises(Refused, match="damaged"):
        await archive.export(blobs, tmp_path / "two.tar.gz")
    assert not (tmp_path / "two.tar.gz").exists()


@pytest.mark.parametrize("change", [changed, emptied])
async def test_an_import_replaces_what_is_damaged_and_adds_what_is_missing(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    store = records(tmp_path / "here")
    for key in ("plan-a", "plan-a", "verdict-a", "report-a"):
        await store.append(key, key, kind="plan")
    blobs = FolderBlobs(tmp_path / "here")
    whole = await check(blobs)
    await archive.export(blobs, tmp_path / "one.tar.gz")
    first, second = files(tmp_path / "here" / ROOT / "plan-a")
    change(first)
    second.unlink()
    change(files(tmp_path / "here" / ROOT / "verdict-a")[0])
    assert await archive.bring_in(blobs, tmp_path / "one.tar.gz") == imported(added=1, known=1, replaced=2)
    assert await check(blobs) == whole


async def test_a_record_of_another_version_is_named_so_and_not_called_damaged(tmp_path: Path) -> None:
    await records(tmp_path).append("plan-a", "one", kind="plan")
    (file,) = files(tmp_path / ROOT)
    content = file.read_bytes().replace(b'"version":1', b'"version":2')
    file.unlink()
    file.with_name(f"{file.name[:-64]}{hashlib.sha256(content).hexdigest()}").write_bytes(content)
    with pytest.raises(Refused, match="was stored by another version of aks-entra") as refused:
        await records(tmp_path).newest(["plan-a"])
    assert "install it here" in (refused.value.remedy or "")
    assert refused.value.code == DAMAGED  # for a program, its content is as unknown
    assert not (await check(FolderBlobs(tmp_path))).sound


async def test_an_empty_place_is_never_called_sound(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no store")
    for place in ("nothing", "file"):
        assert not (await check(FolderBlobs(tmp_path / place))).sound


async def test_folders_of_a_store_may_be_links_and_a_link_back_is_read_once(tmp_path: Path) -> None:
    store = records(tmp_path / "store")
    for key in ("plan-a", "verdict-a"):
        await store.append(key, key, kind="plan")
    blobs = FolderBlobs(tmp_path / "store")
    whole, newest = await check(blobs), await store.newest_under("")
    (tmp_path / "store" / ROOT / "plan-a").rename(tmp_path / "plans")
    (tmp_path / "store" / ROOT / "plan-a").symlink_to(tmp_path / "plans")
    (tmp_path / "store" / ROOT).rename(tmp_path / "larger")
    (tmp_path / "store" / ROOT.rstrip("/")).symlink_to(tmp_path / "larger")
    (tmp_path / "larger" / "back").symlink_to(tmp_path / "store")
    assert await check(blobs) == whole
    assert await store.newest_under("") == newest
    assert "plan-a" in await store.keys()


@contextmanager
def full_after(size: int) -> Iterator[None]:
    """Let no file of this process grow larger, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_a_full_disk_is_named_and_nothing_is_left_on_it(tmp_path: Path) -> None:
    store = records(tmp_path / "store")
    await store.append("plan-a", "x" * 5000, kind="plan")
    blobs = FolderBlobs(tmp_path / "store")
    with full_after(1000), pytest.raises(Refused, match=r"the store of records .* cannot be written: File too large"):
        await store.append("plan-b", "x" * 5000, kind="plan")
    assert [one for one in files(tmp_path) if one.name.startswith(".")] == []
    with full_after(20), pytest.raises(Refused, match=r"all.tar.gz cannot be written: File too large"):
        await archive.export(blobs, tmp_path / "all.tar.gz")
    assert [one for one in files(tmp_path) if "all.tar.gz" in one.name] == []


def imported(*, added: int = 0, known: int = 0, replaced: int = 0) -> archive.Imported:
    return archive.Imported(added=added, known=known, replaced=replaced)


def add_many(folder: str, writer: int, count: int) -> None:
    async def add() -> None:
        store = records(Path(folder))
        for number in range(count):
            await store.append("shared", f"{writer}-{number}", kind="note")
            await store.append(f"own-{writer}", str(number), kind="note")

    asyncio.run(add())


async def test_processes_that_write_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    writers = [spawn.Process(target=add_many, args=(str(tmp_path), one, 20)) for one in range(3)]
    for one in writers:
        one.start()
    for one in writers:
        await asyncio.to_thread(one.join)
    store = records(tmp_path)
    shared = {one.packed for one in await store.versions("shared")}
    assert shared == {f"{writer}-{number}" for writer in range(3) for number in range(20)}
    for writer in range(3):
        assert [one.packed for one in await store.versions(f"own-{writer}")] == [str(one) for one in range(19, -1, -1)]
    found = await check(FolderBlobs(tmp_path))
    assert (found.records, found.problems) == (120, ())


async def test_a_killed_writer_leaves_a_sound_store(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    for round_ in range(3):
        writer = spawn.Process(target=add_many, args=(str(tmp_path), round_, 100_000))
        writer.start()
        while len(await FolderBlobs(tmp_path).names(f"{ROOT}own-{round_}/")) < 5 + round_:
            await asyncio.to_thread(writer.join, 0.01)
        assert writer.pid is not None
        os.kill(writer.pid, signal.SIGKILL)
        await asyncio.to_thread(writer.join)
    found = await check(FolderBlobs(tmp_path))
    assert found.sound
    assert {one.kind for one in found.problems} <= {"unfinished"}
    added = await records(tmp_path).append("own-0", "after", kind="note")
    assert (await records(tmp_path).newest(["own-0"]))["own-0"] == added


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from("abc"), st.booleans()), max_size=25))
def test_any_history_of_writers_is_read_as_each_of_them_saw_it(history: list[tuple[int, str, bool]]) -> None:
    """Writers with their own clocks take turns. What one read before it wrote comes before what it wrote."""

    async def play(folder: Path) -> None:
        clocks = [datetime(2026, 11, day, tzinfo=UTC) for day in (1, 2, 3)]
        writers = [Records(FolderBlobs(folder), partial(at.replace, microsecond=0)) for at in clocks]
        expected: dict[str, list[str]] = {}
        for number, (writer, key, reads) in enumerate(history):
            if reads:
                await writers[writer].newest_under("")
            await writers[writer].append(key, str(number), kind="note")
            expected.setdefault(key, []).insert(0, str(number))
        fresh = records(folder)
        for key, texts in expected.items():
            assert [one.packed for one in await fresh.versions(key)] == texts
        found = await check(FolderBlobs(folder))
        assert found.problems == ()
        assert found.records == len(history)

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(play(Path(folder)))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("az://acc1/records", Container(host="acc1.blob.core.windows.net", name="records")),
        ("az://acc1/records/eu/prod/", Container(host="acc1.blob.core.windows.net", name="records", prefix="eu/prod/")),
        (
            "https://acc1.blob.core.chinacloudapi.cn/records",
            Container(host="acc1.blob.core.chinacloudapi.cn", name="records"),
        ),
        ("/var/lib/records", Path("/var/lib/records")),
    ],
)
def test_a_place_is_a_folder_or_a_container(text: str, place: object) -> None:
    assert place_of(text) == place


@pytest.mark.parametrize(
    "text",
    [
        "az://Acc/records",
        "az://acc1",
        "az://acc1/a",
        "az://acc1/records/../x",
        "az://acc1/records?sv=2024&sig=abc",
        "https://key@acc1.blob.core.windows.net/records",
        "https://example.com/records",
        "http://acc1.blob.core.windows.net/records",
        "s3://bucket/records",
    ],
)
def test_a_wrong_place_is_refused_with_the_variable_and_a_remedy(text: str) -> None:
    with pytest.raises(Refused, match="AKS_ENTRA_RECORDS") as refused:
        open_store(Settings(records=text))
    assert refused.value.remedy
    assert "sig=abc" not in str(refused.value)


async def test_a_folder_that_cannot_be_used_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Refused, match=r"the store of records .* cannot be written"):
        await records(tmp_path / "file").append("plan-a", "", kind="plan")


def test_no_store_is_opened_if_none_is_set() -> None:
    with pytest.raises(Refused, match="no store of records is set"):
        open_store(Settings(records=""))
