"""Which files are believed, and how files are kept from the machine's other users."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from aks_entra.errors import Refused
from aks_entra.host.file_trust import open_private, private_folder, read_private, reason_to_distrust, write_private

STRANGER = 54321
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_of_ours_is_believed(tmp_path: Path) -> None:
    file = tmp_path / "prefect.yaml"
    file.write_text("name: ours")
    assert reason_to_distrust(file) == ""


@pytest.mark.parametrize("depth", ["the file", "its folder"])
def test_what_everybody_can_write_is_not_believed(tmp_path: Path, depth: str) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    file = folder / "prefect.yaml"
    file.write_text("name: whose")
    loose = file if depth == "the file" else folder
    loose.chmod(loose.stat().st_mode | stat.S_IWOTH)
    assert reason_to_distrust(file) == f"{loose} can be written by everybody"


def test_a_folder_like_tmp_is_believed_for_others_cannot_exchange_what_is_in_it(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    (shared / "ours").write_text("")
    assert reason_to_distrust(shared / "ours") == ""


@as_root
def test_a_file_of_another_owner_is_not_believed(tmp_path: Path) -> None:
    file = tmp_path / "flows.py"
    file.write_text("")
    os.chown(file, STRANGER, -1)
    assert reason_to_distrust(file) == f"{file} belongs to user {STRANGER}"


@as_root
def test_a_file_that_a_shared_group_can_write_is_not_believed(tmp_path: Path) -> None:
    file = tmp_path / "flows.py"
    file.write_text("")
    file.chmod(0o664)
    assert reason_to_distrust(file) == ""  # root's own group
    os.chown(file, -1, 1)  # daemon: somebody else is in it
    assert reason_to_distrust(file) == f"{file} can be written by group 1"


@as_root
def test_a_link_is_believed_by_what_it_leads_to(tmp_path: Path) -> None:
    target, folder = tmp_path / "theirs", tmp_path / "checkout"
    target.write_text("")
    folder.mkdir()
    (folder / "prefect.yaml").symlink_to(target)
    assert reason_to_distrust(folder / "prefect.yaml") == ""
    os.chown(target, STRANGER, -1)
    assert f"belongs to user {STRANGER}" in reason_to_distrust(folder / "prefect.yaml")


def test_what_is_missing_is_not_believed(tmp_path: Path) -> None:
    assert "cannot be looked at" in reason_to_distrust(tmp_path / "nowhere")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    assert "cannot be looked at" in reason_to_distrust(tmp_path / "dangling")


def test_a_private_folder_is_closed_to_others_also_when_it_was_open_before(tmp_path: Path) -> None:
    home = tmp_path / "new" / "home"
    assert mode(private_folder(home)) == 0o700
    home.chmod(0o755)
    assert mode(private_folder(home)) == 0o700


@as_root
def test_a_private_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    os.chown(home, STRANGER, -1)
    with pytest.raises(Refused, match=f"belongs to user {STRANGER}") as caught:
        private_folder(home)
    assert "AKS_ENTRA_HOME" in caught.value.remedy


def test_a_file_in_place_of_the_private_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    with pytest.raises(Refused, match="is no folder"):
        private_folder(tmp_path / "home")
    with pytest.raises(Refused, match="cannot be made"):
        private_folder(tmp_path / "home" / "below" / "it")


def test_a_log_is_readable_to_its_owner_alone_also_when_it_was_open_before(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    log.write_text("yesterday\n")
    log.chmod(0o644)
    with os.fdopen(open_private(log, append=True), "a") as file:
        file.write("today\n")
    assert (mode(log), log.read_text()) == (0o600, "yesterday\ntoday\n")


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    victim, log = tmp_path / "victim", tmp_path / "server.log"
    victim.write_text("precious")
    log.symlink_to(victim)
    with pytest.raises(Refused, match="cannot be written"):
        open_private(log)
    write_private(log, "secret")  # takes the link away instead of following it
    assert (victim.read_text(), log.read_text(), mode(log)) == ("precious", "secret", 0o600)


def test_a_secret_that_others_could_read_is_not_taken(tmp_path: Path) -> None:
    file = tmp_path / "auth"
    write_private(file, "a:b")
    assert read_private(file) == "a:b"
    file.chmod(0o640)
    assert read_private(file) is None
    assert read_private(tmp_path / "missing") is None
    assert read_private(tmp_path) is None


@as_root
def test_a_secret_of_another_owner_is_not_taken(tmp_path: Path) -> None:
    file = tmp_path / "auth"
    write_private(file, "their:string")
    os.chown(file, STRANGER, -1)
    assert read_private(file) is None


def test_a_pipe_in_place_of_a_secret_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "auth", 0o600)
    assert read_private(tmp_path / "auth") is None
