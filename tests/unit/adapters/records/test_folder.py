"""A folder keeps records, whoever writes at the same time and whatever is damaged."""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import uuid4

import pytest

from aks_entra.adapters.records import open_store
from aks_entra.errors import Refused
from aks_entra.settings import Settings


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "kept"


def open_to_others(place: Path) -> list[Path]:
    return [file for file in (place, *place.rglob("*")) if file.stat().st_mode & 0o077]


def unmount(place: Path) -> None:
    place.rename(place.with_name("unmounted"))


async def test_the_newest_record_counts_and_names_those_before_it(place: Path) -> None:
    store, run = open_store(Settings(records=str(place))), uuid4()
    first = await store.append("plan-1a", "first", kind="plan")
    second = await store.append("plan-1a", "second", kind="plan", flow_run=run)
    await store.append("plan-2b", "other", kind="plan")
    again = open_store(Settings(records=str(place)))
    assert await again.versions("plan-1a") == (second, first)
    assert (second.before, second.flow_run, second.kind) == ((first.digest,), run, "plan")
    assert await again.newest(("plan-1a", "plan-3c")) == {"plan-1a": second, "plan-3c": None}
    assert [one.packed for one in await again.newest_under("plan-")] == ["second", "other"]
    assert await again.keys("plan-2") == ("plan-2b",)
    assert open_to_others(place) == []


async def test_writers_at_the_same_time_lose_nothing_and_the_next_record_is_the_newest(place: Path) -> None:
    stores = [open_store(Settings(records=str(place))) for _ in range(8)]
    written = await asyncio.gather(*(one.append("skip-1", str(n), kind="skip") for n, one in enumerate(stores)))
    last = await stores[0].append("skip-1", "last", kind="skip")
    found = await stores[1].versions("skip-1")
    assert found[0] == last
    assert {one.digest for one in found[1:]} == {one.digest for one in written}
    assert last.before
    assert {*last.before} <= {one.digest for one in written}


async def test_a_record_that_was_changed_is_refused_and_the_others_are_read(place: Path) -> None:
    store = open_store(Settings(records=str(place)))
    await store.append("verdict-1", "sound", kind="verdict")
    await store.append("verdict-2", "changed", kind="verdict")
    [file] = (place / "records" / "verdict-2").iterdir()
    file.write_bytes(file.read_bytes().replace(b"changed", b"forged!"))
    with pytest.raises(Refused, match="was changed") as refused:
        await store.newest_under("verdict-")
    assert refused.value.code == "RecordDamaged"
    assert await store.keys("verdict-") == ("verdict-1", "verdict-2")
    assert (await store.newest(("verdict-1",)))["verdict-1"] is not None


async def test_a_record_under_the_key_of_another_one_is_refused(place: Path) -> None:
    store = open_store(Settings(records=str(place)))
    await store.append("opening-1", "closed", kind="opening")
    (place / "records" / "opening-1").rename(place / "records" / "opening-2")
    with pytest.raises(Refused, match="belongs to opening-1, not to opening-2"):
        await store.newest(("opening-2",))


async def test_a_file_that_is_not_whole_is_not_read(place: Path) -> None:
    store = open_store(Settings(records=str(place)))
    record = await store.append("grant-1", "given", kind="grant")
    (place / "records" / "grant-1" / f".{uuid4().hex}").write_bytes(b'{"packed":')
    assert await store.versions("grant-1") == (record,)


async def test_a_folder_that_is_gone_is_an_error_and_not_an_empty_store(place: Path) -> None:
    store = open_store(Settings(records=str(place)))
    unmount(place)
    for ask in (store.newest(("plan-1",)), store.newest_under("plan-"), store.append("plan-1", "", kind="plan")):
        with pytest.raises(Refused, match="cannot be used: No such file") as refused:
            await ask
        assert "mounted" in refused.value.remedy


@pytest.mark.parametrize("key", ["", "../plan", "Plan-1", "plan/1", "plan--1"])
async def test_a_key_is_no_path(place: Path, key: str) -> None:
    with pytest.raises(Refused, match="is no key of a record"):
        await open_store(Settings(records=str(place))).append(key, "", kind="plan")


def test_a_place_that_is_no_folder_is_refused() -> None:
    with pytest.raises(Refused, match="AKS_ENTRA_RECORDS is s3://bucket"):
        open_store(Settings(records="s3://bucket"))
