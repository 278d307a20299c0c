"""The shape of the source tree: no circle between modules, no long module, few files outside of a room."""

from __future__ import annotations

from graphlib import TopologicalSorter
from pathlib import Path
from statistics import median

import grimp
import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("src/aks_entra", "src/azure_sandbox", "flows", "tasks", "tests", "demo", "bench", "deployments")
LONGEST = 400
MEDIAN = 150
AT_THE_ROOT = 8


def lengths(folder: str) -> dict[str, int]:
    files = (ROOT / folder).rglob("*.py")
    return {str(file.relative_to(ROOT)): len(file.read_text(encoding="utf-8").splitlines()) for file in files}


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_module_is_long(folder: str) -> None:
    found = lengths(folder)
    assert found
    assert {name: lines for name, lines in found.items() if lines > LONGEST} == {}


def test_most_modules_are_short() -> None:
    assert median(lengths("src").values()) <= MEDIAN


def test_few_files_of_the_library_are_in_no_room() -> None:
    files = [one.name for one in (ROOT / "src" / "aks_entra").iterdir() if one.is_file()]
    assert 0 < len(files) <= AT_THE_ROOT, files


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = grimp.build_graph("aks_entra", "azure_sandbox", "flows", "tasks", cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    assert "aks_entra.core.cluster" in imports["aks_entra.ports.migration"]
    TopologicalSorter(imports).prepare()  # raises CycleError, which names the modules
