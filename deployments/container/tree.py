"""Make the tree of the image: a virtual environment, its Python, the libraries that both load, and certificates.

`python tree.py ENVIRONMENT TREE`, with the Python of that environment, on Debian. The paths stay as they are, so that
the environment works there without a change. The shell, the package manager and everything else is left behind.
"""

from __future__ import annotations

import compileall
import py_compile
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

USER = 10001
WITHOUT = re.compile(
    r"""/(__pycache__|test|tests|idlelib|tkinter|turtledemo|lib2to3|ensurepip   # in the standard library
          |site-packages|dist-packages)$   # of the base's Python: pip, and what else is installed there
    |/(azure_sandbox|_runbooks/demo)$
    |/bin/(aks-entra-sandbox|[Aa]ctivate.*|pip.*)$
    """,
    re.VERBOSE,
)
"""Never copied: what production does not need, and above all the sandbox."""
FOUND_BY_NAME = ("libgcc_s.so.1", "libnss_dns.so.2", "libnss_files.so.2")  # loaded without being named in a header
CERTIFICATES = ("/etc/ssl", "/usr/share/ca-certificates", "/usr/lib/ssl")


def left_out(path: Path, environment: Path) -> bool:
    """Whether a file or folder stays out of the image. Packages keep what they call `test`: some import it."""
    found = WITHOUT.search(path.as_posix())
    if found is None:
        return False
    of_a_package = path.is_relative_to(environment) and "site-packages" in path.parts
    return not of_a_package or found[1] in {None, "__pycache__"}


def copy(source: Path, tree: Path, environment: Path) -> None:
    """Copy a folder to the same path under the tree, links as links."""

    def ignored(folder: str, names: list[str]) -> set[str]:
        return {name for name in names if left_out(Path(folder, name), environment)}

    target = tree / source.relative_to("/")
    shutil.copytree(source, target, symlinks=True, ignore=ignored, dirs_exist_ok=True)


def libraries(files: Iterable[Path]) -> Iterator[Path]:
    """The shared libraries that programs and extension modules load, as the loader of this machine finds them."""
    seen = set[str]()
    for file in files:
        listed = subprocess.run(["/usr/bin/ldd", file], capture_output=True, text=True, check=False).stdout
        for path in re.findall(r"(?:=> |^\s+)(/\S+) \(", listed, re.MULTILINE):
            if path not in seen:
                seen.add(path)
                yield Path(path)


def main(environment: Path, tree: Path) -> None:
    """Make the tree."""
    interpreter = (environment / "bin" / "python").resolve()
    standard = {Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib")}
    home = Path(sys.base_prefix) / "lib" / f"python{sysconfig.get_python_version()}"
    for folder in {environment, *(one for one in standard if not one.is_relative_to(environment)), home}:
        copy(folder, tree, environment)
    for name in CERTIFICATES:
        if Path(name).is_dir():
            copy(Path(name), tree, environment)

    program = tree / interpreter.relative_to("/")
    program.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(interpreter, program)
    for link in (environment / "bin").glob("python*"):
        place = tree / link.relative_to("/")
        place.unlink(missing_ok=True)
        place.symlink_to(interpreter)

    extensions = [file for file in tree.rglob("*.so*") if file.is_file()]
    named = [
        Path(folder, name) for folder in ("/lib/x86_64-linux-gnu", "/lib/aarch64-linux-gnu") for name in FOUND_BY_NAME
    ]
    for library in [*libraries([interpreter, *extensions]), *(one for one in named if one.is_file())]:
        place = tree / library.relative_to("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(library.resolve(), place)
    cache = tree / "etc" / "ld.so.cache"
    cache.parent.mkdir(exist_ok=True)
    shutil.copy2("/etc/ld.so.cache", cache)

    (tree / "etc" / "passwd").write_text(f"root:x:0:0::/:/none\naks-entra:x:{USER}:{USER}::/tmp:/none\n")
    (tree / "etc" / "group").write_text(f"root:x:0:\naks-entra:x:{USER}:\n")
    (tree / "etc" / "nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files dns\n")
    (tree / "tmp").mkdir(mode=0o1777)
    (tree / "tmp").chmod(0o1777)
    unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH  # times of files differ between builds
    for folder in (environment, home):
        inside = tree / folder.relative_to("/")
        compileall.compile_dir(inside, stripdir=str(tree), quiet=2, workers=0, invalidation_mode=unchecked)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
