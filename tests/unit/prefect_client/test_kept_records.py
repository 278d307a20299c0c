"""Which keys outlive Prefect's server, and how their records are read from the store."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from aks_entra import prefect_client
from aks_entra.documents import pack
from aks_entra.errors import Refused
from aks_entra.prefect_client.kept_records import KEPT, LIVE, WITHOUT_VIEW, has_view, is_kept
from aks_entra.prefect_client.record_store import KeptRecords
from tests.support.memory_records import MemoryRecords

ROOM = Path(prefect_client.__file__).parent


@pytest.mark.parametrize(
    ("key", "kept"),
    [
        ("plan-5d41", True),
        ("plan-of-5d41", True),
        ("plan-part-5d41", False),
        ("plan", True),
        ("opening-", True),
        ("opened-", True),
        ("grant-", True),
        ("granted-5d41", False),
        ("reports-5d41", False),
        ("work-of-5d41", False),
        ("record-store", False),
        ("", False),
    ],
)
def test_the_beginning_of_a_key_says_whether_the_store_keeps_it(key: str, kept: bool) -> None:
    assert is_kept(key) is kept


def test_prefect_shows_each_record_but_those_without_a_page() -> None:
    assert not any(map(has_view, ("baseline-5d41-a", "evidence-5d41-a-rotate-certificates")))
    assert all(map(has_view, ("verdict-5d41-a", "plan-5d41", "opening-a", "batch-progress-5d41")))
    assert KEPT.keys() >= WITHOUT_VIEW, "without a store, an artifact is all that there is of them"


def test_every_key_of_this_room_is_either_kept_or_live() -> None:
    begun = {
        word
        for module in ROOM.glob("*.py")
        for word in re.findall(
            r"""\bkey\(\s*"([a-z-]+)"|_name\("([a-z-]+)"|show\(\s*"([a-z-]+)\"""", module.read_text()
        )
    }
    words = {word for several in begun for word in several if word} - {"gate"}  # the key of a question, of no artifact
    assert words
    assert words - {*KEPT, *LIVE} == set()
    assert not {*KEPT} & LIVE


async def test_texts_that_are_asked_for_together_are_read_together_from_the_store() -> None:
    store = MemoryRecords()
    await store.append("plan-a", pack("first"), kind="plan")
    await store.append("plan-a", pack("second"), kind="plan")
    kept = KeptRecords(store, whole=True)
    found, missing = await asyncio.gather(kept.newest("plan-a"), kept.newest("plan-b"))
    assert found is not None
    assert (found.text, found.kind, found.at) == ("second", "plan", "2026-11-28T00:00:00+00:00")
    assert missing is None
    assert store.reads == [("plan-a", "plan-b")]
    assert [one.text for one in await kept.versions_of("plan-a")] == ["second", "first"]


async def test_a_damaged_record_is_named_and_the_others_are_read() -> None:
    store = MemoryRecords()
    for name in ("verdict-1-a", "verdict-1-b"):
        await store.append(name, pack(name), kind="verdict")
    store.damaged.add("verdict-1-a")
    kept = KeptRecords(store, whole=True)
    for lost, read in (
        await asyncio.gather(kept.newest("verdict-1-a"), kept.newest("verdict-1-b")),
        await kept.newest_under("verdict-1-"),
    ):
        assert read is not None
        assert read.text == "verdict-1-b"
        assert lost is not None
        with pytest.raises(Refused, match="verdict-1-a: the record verdict-1-a was changed") as refused:
            assert lost.text
        assert refused.value.code == "RecordDamaged"


async def test_every_version_below_a_prefix_is_read_and_a_damaged_key_is_named() -> None:
    store = MemoryRecords()
    for name, text in (("approval-1-a", "one"), ("approval-1-a", "two"), ("approval-1-b", "x"), ("approval-2", "y")):
        await store.append(name, pack(text), kind="approval")
    store.damaged.add("approval-1-b")
    second, first, lost = await KeptRecords(store, whole=True).versions_under("approval-1")
    assert (second.text, first.text) == ("two", "one")
    with pytest.raises(Refused, match="approval-1-b: the record approval-1-b was changed"):
        assert lost.text


async def test_a_store_that_cannot_be_reached_is_an_error_and_not_an_empty_one() -> None:
    store = MemoryRecords()
    store.unreachable = True
    kept = KeptRecords(store, whole=True)
    for read in (kept.newest("opening-a"), kept.newest_under("opening-"), kept.versions_under("opening-")):
        with pytest.raises(Refused, match="cannot be reached"):
            await read
