"""The API authentication string of `aks-entra up`: who finds it, and who does not."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from aks_entra.errors import Refused
from aks_entra.host import server_auth

API = "http://127.0.0.1:4200/api"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("PREFECT_SERVER_API_AUTH_STRING", "AKS_ENTRA_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "user").mkdir()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path


def test_a_random_string_is_made_each_time() -> None:
    first, second = server_auth.new_string(), server_auth.new_string()
    assert first != second
    assert len(first) > 40
    user, _, password = first.partition(":")
    assert user
    assert password
    assert base64.b64decode(server_auth.header(first)["Authorization"].removeprefix("Basic ")).decode() == first


def test_a_string_that_was_set_by_hand_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_SERVER_API_AUTH_STRING", "ops:by-hand")
    assert server_auth.new_string() == "ops:by-hand"


@pytest.mark.parametrize("given", ["ops:pässword", "ops:one\ntwo"])
def test_a_string_that_prefect_cannot_compare_is_refused_without_showing_it(
    monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    monkeypatch.setenv("PREFECT_SERVER_API_AUTH_STRING", given)
    with pytest.raises(Refused) as caught:
        server_auth.new_string()
    assert "PREFECT_SERVER_API_AUTH_STRING" in str(caught.value)
    assert given not in str(caught.value)


@pytest.mark.parametrize("url", [API, f"{API}/", "http://localhost:4200/api"])
def test_it_is_found_from_any_folder_while_the_server_runs_and_not_after(place: Path, url: str) -> None:
    with server_auth.stored(API, "user:secret", place / "home") as file:
        assert file.stat().st_mode & 0o777 == 0o600
        assert file.parent.stat().st_mode & 0o777 == 0o700
        assert server_auth.stored_string(url) == "user:secret"
    assert server_auth.stored_string(url) is None
    assert not file.exists()
    assert not [path for path in (place / "user").rglob("*") if path.is_symlink()]


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:4201/api",
        "https://127.0.0.1:4200/api",
        "http://prefect.example:4200/api",
        "http://127.0.0.1.example:4200/api",
        "http://127.0.0.1:4200/other",
        "http://127.0.0.1:port/api",
        "http://[::1/api",
        "",
    ],
)
def test_it_is_given_to_no_other_address(place: Path, url: str) -> None:
    with server_auth.stored(API, "user:secret", place / "home"):
        assert server_auth.stored_string(url) is None


def test_without_a_home_folder_it_is_found_under_the_home_of_up(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME")
    with server_auth.stored(API, "user:secret", place / "home"):
        assert server_auth.stored_string(API) is None
        monkeypatch.setenv("AKS_ENTRA_HOME", str(place / "home"))
        assert server_auth.stored_string(API) == "user:secret"


def test_a_file_in_the_present_folder_that_others_can_read_is_not_believed(place: Path) -> None:
    planted = server_auth.file_of(API, place / "elsewhere" / ".aks-entra")
    planted.parent.mkdir(parents=True)
    planted.write_text("planted:string")
    planted.chmod(0o644)
    assert server_auth.stored_string(API) is None


def test_two_servers_of_one_home_keep_their_own(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = "http://127.0.0.1:4300/api"
    monkeypatch.setenv("XDG_STATE_HOME", str(place / "state"))
    with server_auth.stored(API, "one:1", place / "home"), server_auth.stored(other, "two:2", place / "home"):
        assert (server_auth.stored_string(API), server_auth.stored_string(other)) == ("one:1", "two:2")
    assert server_auth.stored_string(API) is None


def test_the_record_store_of_a_running_server_is_found_as_its_string_is(place: Path) -> None:
    assert server_auth.stored_records(API) == ""
    with server_auth.stored(API, "user:secret", place / "home", records="/home/dana/records"):
        assert server_auth.stored_records(API) == "/home/dana/records"
        assert server_auth.stored_records("http://127.0.0.1:4201/api") == ""
    assert server_auth.stored_records(API) == ""
    assert [one for one in (place / "home").rglob("*") if one.is_file()] == []
    with server_auth.stored(API, "user:secret", place / "home"):
        assert server_auth.stored_records(API) == ""
