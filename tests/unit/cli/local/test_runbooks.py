"""Where the runbooks are found, and what the folder contains in which Prefect's processes start."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from aks_entra.cli.local.runbooks import find_checkout, run_folder
from aks_entra.errors import Refused
from aks_entra.host.runbooks import INSTALLATION


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    return made_in(tmp_path / "installed")


def made_in(folder: Path) -> Path:
    for name in ("flows", "tasks", "deployments/work-pools"):
        (folder / name).mkdir(parents=True)
    (folder / "flows" / "migrate.py").write_text("")
    (folder / "prefect.yaml").write_text("name: aks-entra")
    (folder / "deployments" / "work-pools" / "process.json").write_text("{}")
    return folder


def test_the_runbooks_of_the_installation_are_used(installed: Path) -> None:
    assert find_checkout(installed) == installed
    assert find_checkout() == INSTALLATION


def test_runbooks_of_the_present_folder_are_never_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(made_in(tmp_path / "planted") / "flows")
    assert find_checkout() == INSTALLATION
    with pytest.raises(Refused):
        find_checkout(tmp_path / "nothing")


@pytest.mark.parametrize("name", ["prefect.yaml", "flows", "tasks", "deployments"])
def test_an_installation_without_all_runbooks_is_refused(installed: Path, name: str) -> None:
    shutil.rmtree(installed / name) if (installed / name).is_dir() else (installed / name).unlink()
    with pytest.raises(Refused, match=f"lacks {name}") as caught:
        find_checkout(installed)
    assert "install aks-entra again" in caught.value.remedy


def test_processes_start_where_there_is_nothing_but_the_runbooks(installed: Path, tmp_path: Path) -> None:
    for name in (".env", "prefect.toml", "pyproject.toml"):
        (installed / name).write_text("PREFECT_API_URL=http://evil.example/api")
    folder = run_folder(tmp_path / "home", installed)
    assert {path.name for path in folder.iterdir()} == {"prefect.yaml", "flows", "tasks"}
    assert (folder / "flows" / "migrate.py").is_file()
    assert folder.stat().st_mode & 0o777 == 0o700
    other = made_in(tmp_path / "other")
    assert (run_folder(tmp_path / "home", other) / "flows").resolve() == other / "flows"


@pytest.mark.parametrize("name", [".env", "prefect.toml", "pyproject.toml", "sitecustomize.py"])
def test_a_file_beside_the_runbooks_is_refused(installed: Path, tmp_path: Path, name: str) -> None:
    (run_folder(tmp_path / "home", installed) / name).write_text("")
    with pytest.raises(Refused, match="holds more than the runbooks"):
        run_folder(tmp_path / "home", installed)
