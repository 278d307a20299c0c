"""The pull step of each deployment: it enters the runbooks of the machine on which a flow runs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from prefect.utilities.importtools import import_object
from ruamel.yaml import YAML

from aks_entra.host.runbooks import CHECKOUT, INSTALLATION, enter

PULL = YAML(typ="safe").load(INSTALLATION / "prefect.yaml")["pull"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The step changes the present folder and the import path of its process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delenv(CHECKOUT, raising=False)


def pull() -> str:
    """Do as Prefect does in a flow run; returns the folder that it changes to."""
    (step,) = PULL
    ((name, inputs),) = step.items()
    return str(import_object(name)(**inputs)["directory"])


def test_a_worker_without_a_setting_uses_the_installed_runbooks() -> None:
    assert pull() == str(INSTALLATION)
    assert Path.cwd() == INSTALLATION


def test_a_worker_uses_the_runbooks_that_its_own_environment_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine" / "flows").mkdir(parents=True)
    monkeypatch.setenv(CHECKOUT, "mine")
    assert pull() == str(tmp_path / "mine")
    assert sys.path[0] == str(tmp_path / "mine") == str(Path.cwd())


def test_no_path_of_the_machine_that_deploys_gets_into_a_deployment() -> None:
    assert PULL == [{"aks_entra.host.runbooks.enter": {}}]


def test_a_folder_without_runbooks_is_refused_with_the_setting_to_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CHECKOUT, str(tmp_path))
    with pytest.raises(FileNotFoundError, match=f"unset {CHECKOUT}"):
        enter()
    assert str(tmp_path) not in sys.path
