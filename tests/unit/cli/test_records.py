"""`aks-entra records prune` lists, archives, removes and says what it could not."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from aks_entra.adapters.records.folder import FolderBlobs
from aks_entra.adapters.records.prune import Pruned
from aks_entra.adapters.records.store import Records
from aks_entra.cli import app
from aks_entra.cli.records import say_pruned
from aks_entra.documents import pack
from aks_entra.errors import Refused
from aks_entra.ports.records import StoredRecord

GRANT = json.dumps({"subscription": "s", "name": "n", "until": "2024-06-01T00:00:00Z"})


@pytest.fixture
def store(tmp_path: Path) -> str:
    """A store with an old grant that ended, on which an old report rests."""

    async def fill() -> None:
        old = Records(FolderBlobs(tmp_path / "store"), lambda: datetime(2024, 7, 1, tzinfo=UTC))
        await old.append(f"grant-{'1' * 64}", pack(GRANT), kind="grant")
        await old.append(f"report-{'2' * 64}", pack("{}"), kind="report")

    asyncio.run(fill())
    return str(tmp_path / "store")


def records(*words: str) -> Result:
    return CliRunner().invoke(app, ["records", *words])


def test_a_dry_run_lists_what_would_go_and_removes_nothing(store: str) -> None:
    found = records("prune", "--before", "2025-01-01", "--dry-run", "--store", store)
    assert found.exit_code == 0, found.output
    assert "grant-1111" in found.stdout
    assert "1 of 2 records would be removed" in found.stderr
    assert json.loads(records("check", "--store", store, "-o", "json").stdout)["records"] == 2
    assert (
        "none of 2 records can be removed"
        in records("prune", "--before", "2024-06-01", "--archive", f"{store}.tar.gz", "--store", store).stderr
    )
    assert not Path(f"{store}.tar.gz").exists()


def test_what_was_removed_is_said_and_can_be_brought_back(store: str) -> None:
    file = f"{store}.tar.gz"
    words = ("prune", "--before", "2025-01-01", "--archive", file, "--by", "dana", "--store", store)
    pruned = records(*words)
    assert pruned.exit_code == 0, pruned.output
    assert "1 of 2 records were removed; all of them are in" in pruned.stderr
    checked = json.loads(records("check", "--store", store, "-o", "json").stdout)
    assert (checked["sound"], checked["pruned"], checked["prunings"][0]["by"]) == (True, 1, "dana")
    shown = records("check", "--store", store)
    assert "1 records from before 2025-01-01T00:00:00Z were removed by dana, a claim; archive sha256:" in shown.stdout
    assert "1 records were added" in records("import", file, "--store", store).stderr


def test_a_record_that_cannot_be_removed_is_named_with_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    kept = StoredRecord(key="plan-1", kind="plan", packed="", at=datetime(2024, 7, 1, tzinfo=UTC), digest="")
    why = Refused("the container's immutability policy keeps it", remedy="wait until it ends")
    with pytest.raises(typer.Exit) as ended:
        say_pruned(Pruned(removed=4, left=((kept, why, 2), (kept, why, 0))), 9, Path("all.tar.gz"))
    assert ended.value.exit_code == 1
    said = capsys.readouterr().err
    first = "plan-1 of 2024-07-01T00:00:00Z is left: the container's immutability policy keeps it"
    assert f"{first}; 2 more of the same work stay with it\n  → wait until it ends\n{first}\n" in said
    assert "4 of 9 records were removed" in said
    assert "run the command again later, with another --archive" in said


@pytest.mark.parametrize("place", ["nothing", "store.tar.gz"])
def test_a_place_without_records_is_never_called_fine(store: str, place: str, tmp_path: Path) -> None:
    (tmp_path / "store.tar.gz").write_bytes(b"no folder")
    checked = records("check", "--store", str(tmp_path / place))
    assert checked.exit_code == 1, checked.output
    assert f"no record is in {tmp_path / place}" in checked.stderr
    assert json.loads(records("check", "--store", str(tmp_path / place), "-o", "json").stdout)["sound"] is False
    assert records("check", "--store", store).exit_code == 0


def test_an_import_says_what_was_damaged(store: str) -> None:
    assert records("export", f"{store}.tar.gz", "--store", store).exit_code == 0
    next(Path(store).rglob("report-*/*")).write_bytes(b"")
    said = records("import", f"{store}.tar.gz", "--store", store).stderr
    assert "0 records were added; 1 were there already; 1 were damaged and were replaced" in said
    assert records("check", "--store", store).exit_code == 0


def test_a_wrong_store_names_the_option() -> None:
    ended = records("list", "--store", "ftp://files/records")
    assert ended.exit_code == 2
    assert "--store: ftp:// is not supported" in ended.stderr
