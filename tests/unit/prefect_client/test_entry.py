"""Which settings Prefect takes when a command is typed in a folder that may be anybody's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from aks_entra.host import server_auth

ASK = """
import os
from aks_entra import prefect_client
from prefect.settings import get_current_settings
api = get_current_settings().api
string = api.auth_string and api.auth_string.get_secret_value()
print(api.url, string, os.environ.get("PREFECT_API_AUTH_STRING"), os.getcwd())
"""
PLANTED = "http://planted.example/api"
FILES = {
    ".env": f"PREFECT_API_URL={PLANTED}\n",
    "prefect.toml": f'[api]\nurl = "{PLANTED}"\n',
    "pyproject.toml": f'[tool.prefect.api]\nurl = "{PLANTED}"\n',
}


def settings_in(folder: Path, **variables: str) -> list[str]:
    """What a command in a folder takes for the API's address and string, what it hands on, and where it still is."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT", "AKS_ENTRA"))}
    environment = {**clean, "HOME": str(folder / "user"), "PYTHONPATH": os.pathsep.join(sys.path), **variables}
    environment.pop("XDG_STATE_HOME", None)
    told = subprocess.run(
        [sys.executable, "-c", ASK], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    return told.stdout.split()


@pytest.mark.parametrize("name", FILES)
def test_prefect_s_files_in_the_present_folder_are_not_read(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(FILES[name])
    assert settings_in(tmp_path) == ["None", "None", "None", str(tmp_path)]


def test_a_profiles_file_that_the_present_folder_names_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "profiles.toml").write_text(f'active = "x"\n[profiles.x]\nPREFECT_API_URL = "{PLANTED}"\n')
    (tmp_path / ".env").write_text("PREFECT_PROFILES_PATH=profiles.toml\n")
    assert settings_in(tmp_path)[0] == "None"


def test_the_user_s_own_profile_is_read(tmp_path: Path) -> None:
    home = tmp_path / "prefect"
    home.mkdir()
    (home / "profiles.toml").write_text('active = "x"\n[profiles.x]\nPREFECT_API_URL = "http://team.example/api"\n')
    assert settings_in(tmp_path, PREFECT_HOME=str(home))[0] == "http://team.example/api"


def test_the_string_of_a_server_that_up_started_is_found_by_its_address_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "user").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    api = "http://127.0.0.1:4299/api"
    with server_auth.stored(api, "user:secret", tmp_path / "home"):
        assert settings_in(tmp_path, PREFECT_API_URL=api) == [api, "user:secret", "None", str(tmp_path)]
        mine = settings_in(tmp_path, PREFECT_API_URL=api, PREFECT_API_AUTH_STRING="my:own")
        assert mine[:2] == [api, "my:own"]
        assert settings_in(tmp_path, PREFECT_API_URL="http://team.example/api")[1] == "None"
