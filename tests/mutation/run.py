"""The mutation test of the core: mutmut changes `src/aks_entra/core` thousands of times; each time a test must fail.

    make mutation                                    # all of it: an hour on two processors
    make mutation ARGS="aks_entra.core.planning.rollback*"    # one module
    make mutation ARGS="--survivors --workers 4"     # and print each change that nobody noticed

mutmut has a virtual environment of its own (requirements.lock beside this file, hashes checked) in the user's cache
folder, and works on a copy of the tree that is removed at the end. Exit code 1: fewer than 90 % were killed.
mutmut passes over decorated functions, which would leave out every preflight rule and every property: in the copy,
`@rule(…)` and `@property` are written as calls after the function, which is the same to Python.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import venv
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
ROOT: Final = HERE.parents[1]
CORE: Final = Path("src/aks_entra/core")
LOCK: Final = HERE / "requirements.lock"
WANTED: Final = 90.0
"""Per cent of the mutants that must be killed."""
COPIED: Final = ("src", "tests", "flows", "tasks", "deployments", "docs", "demo")
FILES: Final = ("README.md", "prefect.yaml", "pyproject.toml")
UNDONE: Final = frozenset({"rule", "property"})
"""Decorators that are written as calls, so that what they decorate is mutated too."""
KILLED: Final = frozenset({1, 3})
TIMED_OUT: Final = frozenset({-24, 24, 36, 152, 255})
UNTESTED: Final = frozenset({5, 33})
"""mutmut's exit codes. 0: survived, None: not asked for."""
OPTIONS: Final = """

[tool.mutmut]
source_paths = ["src/aks_entra/core"]
also_copy = ["src", "tests", "flows", "tasks", "deployments", "docs", "demo", "README.md", "prefect.yaml"]
pytest_add_cli_args_test_selection = ["tests/unit"]
pytest_add_cli_args = [
    "-p", "no:randomly", "-p", "no:cacheprovider", "-x",
    # They collect garbage at each end: half of what a mutant takes.
    "-p", "no:unraisableexception", "-p", "no:threadexception",
    # They run commands, which takes long.
    "--ignore=tests/unit/cli/test_files.py", "--ignore=tests/unit/cli/test_output.py",
    "--ignore=tests/unit/cli/test_reading.py", "--ignore=tests/unit/cli/break_glass/test_records.py",
    # They read pages and settings that the copy does not have.
    "--ignore=tests/unit/test_docs.py", "--ignore=tests/unit/test_security_page.py", "--ignore=tests/unit/test_tree.py",
    "--ignore=tests/unit/test_team_deployments.py",
    "--ignore=tests/unit/fleet_file/test_any_input.py",
    "--ignore=tests/unit/adapters/kubernetes/test_workloads.py",
    # These drive the whole executor, and see the core from afar. What only they see counts as not seen.
    "--ignore-glob=tests/unit/execution/test_executor*", "--ignore=tests/unit/verification/test_verifier.py",
    "--ignore=tests/unit/execution/test_provision.py", "--ignore=tests/unit/execution/test_operations.py",
]
"""
STEADY: Final = """

from hypothesis import Phase, settings

settings.register_profile(
    "mutation",
    settings.get_profile("quick"),
    max_examples=20,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
)
settings.load_profile("mutation")


def pytest_ignore_collect(collection_path):
    # A process that a test starts does not see the mutants.
    return (collection_path.suffix == ".py" and "sys.executable" in collection_path.read_text()) or None


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: (hasattr(item.obj, "hypothesis"), "golden" not in item.nodeid))
"""
"""Added to the copy's conftest.py: what is fast and sees much comes first; Hypothesis draws few examples, always the
same, and does not look for smaller ones."""


@dataclass(slots=True)
class Module:
    """What became of one module's mutants, by exit code; and the changes that nobody noticed."""

    name: str
    codes: Counter[int] = field(default_factory=Counter)
    survivors: list[str] = field(default_factory=list)
    untried: int = 0

    @property
    def total(self) -> int:
        """All that were tried."""
        return self.codes.total()

    @property
    def share(self) -> float:
        """Per cent that made a test fail, or run for ever."""
        return 100.0 * self._count(KILLED | TIMED_OUT) / self.total if self.total else 0.0

    @property
    def line(self) -> str:
        """One row of the table."""
        killed, slow, untested = self._count(KILLED), self._count(TIMED_OUT), self._count(UNTESTED)
        survived = self.total - killed - slow - untested
        return f"{self.name:<24}{self.total:>9}{killed:>8}{slow:>9}{untested:>9}{survived:>10}{self.share:>10.1f}"

    def _count(self, codes: frozenset[int]) -> int:
        return sum(self.codes[code] for code in codes)


def main() -> int:
    """Run it, print the table, and say whether it is enough."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("patterns", nargs="*", help="names of mutants, with *: aks_entra.core.planning.rollback*")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--survivors", action="store_true", help="print each change that no test noticed")
    arguments = parser.parse_args()
    os.nice(19)
    environment = made(cache_folder())
    with tempfile.TemporaryDirectory(prefix="aks-entra-mutation-") as folder:
        tree = Path(folder)
        copy(tree)
        say("mutmut is at work: it shows 🎉 killed, 🙁 survived")
        command = [str(environment / "bin" / "mutmut"), "run", "--max-children", str(arguments.workers)]
        ended = subprocess.run([*command, *arguments.patterns], cwd=tree, env=quiet_environment(), check=False)
        if ended.returncode:
            say(f"mutmut stopped with exit code {ended.returncode}")
            return 2
        modules = [*results(tree / "mutants" / CORE)]
    untried = sum(module.untried for module in modules)
    if untried and not arguments.patterns:
        say(f"{untried} mutants were not tried: mutmut was stopped")
        return 2
    return report(modules, survivors=arguments.survivors)


def cache_folder() -> Path:
    """Where mutmut's environment lies: a folder of its own for each lock and Python."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    digest = hashlib.sha256(LOCK.read_bytes() + sys.version.encode() + sys.prefix.encode()).hexdigest()[:12]
    return cache / "aks-entra" / f"mutation-{digest}"


def made(folder: Path) -> Path:
    """The environment with mutmut in it, which also sees what the project's own has."""
    ready = folder / ".ready"
    if ready.exists():
        return folder
    say(f"making {folder} from {LOCK.relative_to(ROOT)}")
    venv.create(folder, clear=True, with_pip=True)
    options = ["--quiet", "--no-input", "--disable-pip-version-check", "--require-hashes", "--no-deps"]
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", *options, "--requirement", str(LOCK)]
    subprocess.run(pip, check=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    project = folder / "lib" / version / "site-packages" / "project.pth"
    project.write_text(sysconfig.get_paths()["purelib"] + "\n", encoding="utf-8")
    ready.touch()
    return folder


def quiet_environment() -> dict[str, str]:
    """The environment without what would lead tests to a real Azure or Prefect, or to other sources."""
    left_out = ("AZURE_", "AKS_ENTRA_", "PREFECT_", "PYTHONPATH", "PYTEST_")
    return {key: value for key, value in os.environ.items() if not key.startswith(left_out)}


def copy(tree: Path) -> None:
    """The tree as mutmut works on it: its options added, the core's decorators written as calls."""
    for folder in COPIED:
        shutil.copytree(ROOT / folder, tree / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, tree / name)
    with (tree / "pyproject.toml").open("a", encoding="utf-8") as options:
        options.write(OPTIONS)
    conftest = tree / "tests" / "conftest.py"
    conftest.write_text(conftest.read_text(encoding="utf-8") + STEADY, encoding="utf-8")
    for path in sorted((tree / CORE).rglob("*.py")):
        path.write_text(without_decorators(path.read_text(encoding="utf-8")), encoding="utf-8")


def without_decorators(source: str) -> str:
    """The same module with `@rule(…) def f` written as `def f` and `f = rule(…)(f)`."""
    lines = source.splitlines(keepends=True)
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
    for function in sorted(functions, key=lambda node: node.lineno, reverse=True):
        names = {_name(decorator) for decorator in function.decorator_list}
        if len(function.decorator_list) != 1 or not names <= UNDONE:
            continue
        (decorator,) = function.decorator_list
        text = ast.get_source_segment(source, decorator)
        after = f"\n{' ' * function.col_offset}{function.name} = {text}({function.name})\n"
        first, last, end = decorator.lineno, decorator.end_lineno, function.end_lineno
        lines[end or 0 : end or 0] = [after]
        del lines[first - 1 : last]
    return "".join(lines)


def _name(decorator: ast.expr) -> str:
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return called.id if isinstance(called, ast.Name) else ""


def results(core: Path) -> Iterator[Module]:
    """What became of each module's mutants."""
    for path in sorted(core.rglob("*.py.meta")):
        codes: dict[str, int | None] = json.loads(path.read_text(encoding="utf-8"))["exit_code_by_key"]
        module = Module(str(path.relative_to(core)).removesuffix(".py.meta").replace("/", "."))
        module.codes.update(code for code in codes.values() if code is not None)
        module.untried = len(codes) - module.total
        left = [name.rpartition(".")[2] for name, code in codes.items() if code not in KILLED | TIMED_OUT | {None}]
        module.survivors.extend(changes(path.with_suffix(""), left))
        yield module


def changes(path: Path, names: list[str]) -> Iterator[str]:
    """Mutants as a person reads them: where, the line as it is and as it was changed."""
    source = path.read_text(encoding="utf-8")
    lines = source.splitlines()
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
    bodies = {node.name: lines[node.lineno : node.end_lineno] for node in functions if "__mutmut_" in node.name}
    for name in names:
        stem = name.rpartition("__mutmut_")[0]
        pairs = difflib.ndiff(bodies[f"{stem}__mutmut_orig"], bodies[name])
        changed = [f"{line[0]} {line[2:].strip()}" for line in pairs if line[0] in "+-"]
        where = stem.removeprefix("x_").removeprefix("xǁ").replace("ǁ", ".")
        yield "\n      ".join([f"{where} ({name.rpartition('_')[2]})", *(changed or ["a default of its signature"])])


def say(text: str) -> None:
    """A line for whoever waits."""
    print(text, flush=True)  # noqa: T201 - a command speaks to its terminal


def report(modules: list[Module], *, survivors: bool) -> int:
    """Print the table; 0 when enough were killed."""
    say(f"\n{'module':<24}{'mutants':>9}{'killed':>8}{'timeout':>9}{'no test':>9}{'survived':>10}{'killed %':>10}")
    whole = Module("all of the core")
    for module in (one for one in modules if one.total):
        say(module.line)
        whole.codes.update(module.codes)
    say(f"{'-' * 79}\n{whole.line}")
    if survivors:
        for module in modules:
            for one in module.survivors:
                say(f"\n  {module.name}.{one}")
    enough = whole.share >= WANTED
    say(f"\n{'enough' if enough else 'NOT ENOUGH'}: {WANTED:.0f} % must be killed")
    return 0 if enough else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
