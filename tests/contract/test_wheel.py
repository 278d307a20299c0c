"""The wheel and the sdist: what is in them, that builds are reproducible, and that the wheel alone is enough to run."""

from __future__ import annotations

import email
import hashlib
import json
import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from aks_entra import __version__

ROOT = Path(__file__).parents[2]
RUNBOOKS = "aks_entra/_runbooks/"
CARRIED = ("prefect.yaml", "flows", "tasks", "deployments", "demo")
STARTS = "from aks_entra.cli import main; main()"


def build(tree: Path, folder: Path, target: str, **environment: str) -> Path:
    """Build one distribution of a tree without a network, as `make dist` does."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)]
    told = {name: value for name, value in os.environ.items() if name != "SOURCE_DATE_EPOCH"} | environment
    subprocess.run(command, cwd=tree, env=told, check=True, capture_output=True, timeout=60)
    (built,) = folder.glob("*.whl" if target == "wheel" else "*.tar.gz")
    return built


def digest(file: Path) -> str:
    """The SHA-256 of a file. pytest would take minutes to explain how two wheels differ."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def unpack(source: Path, folder: Path) -> Path:
    """Unpack an sdist; returns the tree."""
    with tarfile.open(source) as archive:
        archive.extractall(folder, filter="data")
    (tree,) = folder.iterdir()
    return tree


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT, tmp_path_factory.mktemp("dist"), "wheel")


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT, tmp_path_factory.mktemp("sdist"), "sdist")


@pytest.fixture(scope="module")
def unpacked(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)  # noqa: S202 - built above
    return folder


def aks_entra(unpacked: Path, cwd: Path, *arguments: str) -> str:
    """What a command of the unpacked wheel prints. `-P`: the present folder is not on the import path."""
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    ended = subprocess.run(
        [sys.executable, "-P", "-c", STARTS, *arguments],
        cwd=cwd,
        env={**environment, "PYTHONPATH": str(unpacked)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_it_carries_each_file_of_the_runbooks_and_no_test(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    wanted = {
        RUNBOOKS + file.relative_to(ROOT).as_posix()
        for name in CARRIED
        for file in ([ROOT / name] if (ROOT / name).is_file() else (ROOT / name).rglob("*"))
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert {name for name in names if name.startswith(RUNBOOKS)} == wanted
    assert {name.partition("/")[0] for name in names} == {
        "aks_entra",
        "azure_sandbox",
        f"aks_entra-{__version__}.dist-info",
    }
    assert [
        name for name in names if "tests/" in name or name.rpartition("/")[2].startswith(("test_", "conftest"))
    ] == []
    assert [name for name in names if name.endswith(".pyc")] == []


def test_it_has_the_commands_and_the_version(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        about = f"aks_entra-{__version__}.dist-info"
        assert email.message_from_bytes(archive.read(f"{about}/METADATA"))["Version"] == __version__
        entries = archive.read(f"{about}/entry_points.txt").decode()
    for name, target in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"].items():
        assert f"{name} = {target}" in entries


@pytest.mark.parametrize("target", ["wheel", "sdist"])
def test_two_builds_of_equal_files_have_equal_bytes(sdist: Path, tmp_path: Path, target: str) -> None:
    here, there = unpack(sdist, tmp_path / "here"), unpack(sdist, tmp_path / "there")
    for path in there.rglob("*"):
        if path.is_file():
            os.utime(path, (1, 1))
            path.chmod(path.stat().st_mode & 0o700)
    (there / "flows" / "__pycache__").mkdir()
    (there / "flows" / "__pycache__" / "stale.cpython-311.pyc").write_bytes(b"stale")
    first, second = (
        build(tree, tmp_path / f"dist-{number}", target, SOURCE_DATE_EPOCH="1764201600")
        for number, tree in enumerate((here, there))
    )
    assert first.name == second.name
    assert digest(first) == digest(second)


@pytest.mark.parametrize("target", ["wheel", "sdist"])
def test_a_build_after_a_demo_in_the_same_folder_is_complete(sdist: Path, tmp_path: Path, target: str) -> None:
    """`aks-entra demo` links to the runbooks from its own folder, which is below the present one."""
    before, after = unpack(sdist, tmp_path / "before"), unpack(sdist, tmp_path / "after")
    links = after / ".aks-entra" / "demo" / "runbooks"
    links.mkdir(parents=True)
    for name in ("flows", "tasks", "prefect.yaml"):
        (links / name).symlink_to(after / name)
    first, second = (
        build(tree, tmp_path / f"dist-{tree.parent.name}", target, SOURCE_DATE_EPOCH="1764201600")
        for tree in (before, after)
    )
    assert digest(first) == digest(second)


def test_the_sdist_builds_the_same_wheel_and_has_the_tests(wheel: Path, sdist: Path, tmp_path: Path) -> None:
    tree = unpack(sdist, tmp_path / "source")
    assert digest(build(tree, tmp_path / "again", "wheel")) == digest(wheel)
    assert (tree / "tests" / "contract" / "test_wheel.py").is_file()


def test_it_runs_from_any_folder_and_finds_its_runbooks(unpacked: Path, tmp_path: Path) -> None:
    assert aks_entra(unpacked, tmp_path, "--version").startswith(f"aks-entra {__version__} ")
    runbooks = Path(json.loads(aks_entra(unpacked, tmp_path, "version", "-o", "json"))["runbooks"])
    assert runbooks == unpacked / RUNBOOKS
    assert "Migrate a made-up fleet" in aks_entra(unpacked, tmp_path, "demo", "--help")
    assert list(tmp_path.iterdir()) == []


def test_every_deployment_can_be_imported_after_the_pull_step(unpacked: Path, tmp_path: Path) -> None:
    """As in a flow run: Prefect imports and calls the pull step, and then imports the entrypoint."""
    declared = YAML(typ="safe").load(unpacked / RUNBOOKS / "prefect.yaml")
    (step,) = declared["pull"]
    assert list(step.values()) == [{}]
    entrypoints = sorted({one["entrypoint"] for one in declared["deployments"]})
    program = (
        "import sys\n"
        "from prefect.flows import load_flow_from_entrypoint\n"
        "from prefect.utilities.importtools import import_object\n"
        "import_object(sys.argv[1])()\n"
        "for one in sys.argv[2:]:\n"
        "    print(one, load_flow_from_entrypoint(one, use_placeholder_flow=False).fn.__code__.co_filename)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-P", "-c", program, *step, *entrypoints],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(unpacked), "PREFECT_HOME": str(tmp_path / "prefect")},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr
    imported = dict(line.split() for line in ended.stdout.splitlines() if line.startswith("flows."))
    assert sorted(imported) == entrypoints
    assert all(Path(file).is_relative_to(unpacked / RUNBOOKS / "flows") for file in imported.values())
