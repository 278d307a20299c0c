"""Input that several commands share: settings, fleet files and saved plans; and files that they write."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from aks_entra.cli.deferred import file_parsing, fleet_model
from aks_entra.core.preflight import Skip, skip_refused
from aks_entra.documents import load_plan
from aks_entra.errors import AksEntraError, Refused
from aks_entra.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from aks_entra.core.planning.fleet import Fleet
    from aks_entra.core.planning.plan import FleetPlan

_DIGEST = re.compile(r"(sha256:)?[0-9a-f]{6,64}", re.IGNORECASE)
LARGEST_KUBECONFIG = 1_048_576  # bytes
LARGEST = 256 * 1024 * 1024  # bytes; a plan of five thousand clusters needs a tenth of that


@contextmanager
def located(file: Path | None) -> Iterator[None]:
    """Say where in the fleet file, or in which option, the error's field was written.

    The engine names the field. It never saw the file or the options.
    """
    try:
        yield
    except AksEntraError as error:
        locate(error, file)
        raise


def locate(error: AksEntraError, file: Path | None) -> AksEntraError:
    """Replace the error's field by its line or option, and return it. Without a field it stays as it is."""
    if error.field:
        field = f"target.{error.field}" if error.field.startswith("admin_groups") else error.field
        error.message, error.field = f"{_place(file, field)}: {error.message}", ""
    return error


def _place(file: Path | None, field: str) -> str:
    if file is None:
        name = field.rpartition(".")[2].removesuffix("s")  # the option is --tag, the key is tags
        return f"--{name.replace('_', '-')}"
    line = file_parsing.line_of(file, field)
    return f"{file}:{line}: {field}" if line else f"{file}: {field}"


def writable(path: Path, *, replace: bool) -> None:
    """Raise Refused if a file cannot be written, before the work that fills it."""
    if path.is_dir():
        raise Refused(f"{path}: is a folder", remedy="name a file in it")
    if not path.absolute().parent.is_dir():
        raise Refused(f"{path}: there is no folder {path.parent}", remedy="create it, or name another file")
    if path.exists() and not path.is_file():
        raise Refused(f"{path}: is not a file, and would be replaced by one", remedy="name a file in a folder")
    if path.exists() and not replace:
        raise Refused(f"{path}: exists already, and evidence is never replaced", remedy="name another file")


def read_settings() -> Settings:
    """Return the settings from `AKS_ENTRA_*`. Raises Refused that names each wrong variable."""
    try:
        return Settings()
    except ValidationError as error:
        wrong = [f"AKS_ENTRA_{str(one['loc'][0]).upper()}: {one['msg']}" for one in error.errors()]
        raise Refused("; ".join(wrong), remedy="correct the environment variable, or unset it") from None


def read_fleet(path: Path) -> Fleet:
    """Return the fleet of a fleet file. Raises Refused that names line, field and remedy."""
    return fleet_model.load_fleet_file(path).to_fleet()


def with_skips(fleet: Fleet, given: list[str]) -> Fleet:
    """Return the fleet with the rules to skip (`ID=REASON`) added to its own. Raises Refused for a wrong one."""
    skips = []
    for text in given:
        name, _, reason = text.partition("=")
        skip = Skip(rule=name.strip().upper(), reason=reason.strip())
        if why := skip_refused(skip):
            raise Refused(f"--skip-rule {text}: {why}", remedy="write ID=REASON; see docs/reference/preflight.md")
        skips.append(skip)
    mine = {skip.rule for skip in skips}
    return replace(fleet, skip_rules=(*(skip for skip in fleet.skip_rules if skip.rule not in mine), *skips))


def read_plan(path: Path) -> FleetPlan:
    """Return a plan that `plan --out` saved. Raises Refused if the file is not a plan, or was changed."""
    try:
        if path.stat().st_size > LARGEST:
            raise Refused(f"{path}: too large to be a plan", remedy="name a file that `aks-entra plan --out` wrote")
        return load_plan(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise Refused(f"{path}: not UTF-8 text", remedy="name a file that `aks-entra plan --out` wrote") from None
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}", remedy="name a file that `aks-entra plan --out` wrote") from None
    except AksEntraError as error:
        raise Refused(f"{path}: {error.message}", remedy=error.remedy) from error


def is_plan(path: Path) -> bool:
    """Whether a file's name says that it is a saved plan. Every other file is read as a fleet file."""
    return path.suffix == ".json"


def is_digest(text: str) -> bool:
    """Whether a word is the digest of a plan, or its beginning. A file of that name counts before it."""
    return bool(_DIGEST.fullmatch(text)) and not Path(text).exists()


def write_new(path: Path, text: str, *, replace: bool) -> None:
    """Write a whole file or nothing. Raises Refused if that fails, or if the file exists and must not be replaced."""
    writable(path, replace=replace)
    draft = path.with_name(f".{path.name}.part")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise Refused(f"{path}: cannot be written: {error.strerror}", remedy="name another file") from None


def teller(tell: Callable[[str], None]) -> Callable[[int, int, str], None]:
    """Return a function that shows the progress of a survey on one line."""
    return lambda done, total, what: tell(f"{done} of {total} · {what}")
