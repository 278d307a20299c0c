"""What `plan` and `verify` have in common: from a fleet file, or a saved plan, to a plan."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from aks_entra.errors import AksEntraError, Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from aks_entra.core.fleet import Fleet
    from aks_entra.core.plan import FleetPlan
    from aks_entra.settings import Settings

_FIELD = re.compile(r"`(?P<name>(?P<group>admin_groups)?[a-z_0-9.\[\]]+)`:? ")

LARGEST = 256 * 1024 * 1024  # bytes; a plan of five thousand clusters takes a tenth of it


@contextmanager
def located(file: Path | None) -> Iterator[None]:
    """Say where in the fleet file, or in which option, what Azure did not know was named.

    The engine names the field in backticks at a message's beginning; it never saw the file or the options.
    """
    try:
        yield
    except Refused as error:
        field = _FIELD.match(error.message)
        if field is not None:
            where = _place(file, f"{'target.' if field['group'] else ''}{field['name']}")
            error.message = f"{where}: {error.message[field.end() :]}"
        raise


def _place(file: Path | None, field: str) -> str:
    if file is None:
        name = field.rpartition(".")[2].removesuffix("s")  # the option is --tag, the key is tags
        return f"--{name.replace('_', '-')}"
    from aks_entra.fleet_file import line_of  # noqa: PLC0415 - startup is quick without it

    line = line_of(file, field)
    return f"{file}:{line}: {field}" if line else f"{file}: {field}"


def writable(path: Path, *, replace: bool) -> None:
    """Refuse a file that could not be written, before the work that fills it. Raises Refused."""
    if path.is_dir():
        raise Refused(f"{path}: is a folder", remedy="name a file in it")
    if not path.absolute().parent.is_dir():
        raise Refused(f"{path}: there is no folder {path.parent}", remedy="create it, or name another file")
    if path.exists() and not replace:
        raise Refused(f"{path}: is there already, and evidence is never replaced", remedy="name another file")


def read_settings() -> Settings:
    """What `AKS_ENTRA_*` says. Raises Refused that names each variable that is not usable."""
    from pydantic import ValidationError  # noqa: PLC0415 - startup is quick without it

    from aks_entra.settings import Settings  # noqa: PLC0415 - as above

    try:
        return Settings()
    except ValidationError as error:
        wrong = [f"AKS_ENTRA_{str(one['loc'][0]).upper()}: {one['msg']}" for one in error.errors()]
        raise Refused("; ".join(wrong), remedy="correct the environment variable, or unset it") from None


def read_fleet(path: Path) -> Fleet:
    """A fleet file's fleet. Raises Refused that names line, field and remedy."""
    from aks_entra.fleet_file import load_fleet_file  # noqa: PLC0415 - startup is quick without it

    return load_fleet_file(path).to_fleet()


def with_skips(fleet: Fleet, given: list[str]) -> Fleet:
    """The fleet with the rules that are skipped by `ID=REASON`, beside the file's own. Raises Refused."""
    from aks_entra.core.preflight import Skip, skip_refused  # noqa: PLC0415 - startup is quick without it

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
    """A plan saved with `plan --out`. Raises Refused when it is no such file, or was changed since."""
    from aks_entra.documents import load_plan  # noqa: PLC0415 - startup is quick without it

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
    """Whether a file's name says that it is a saved plan; everything else is read as a fleet file."""
    return path.suffix == ".json"


def write_new(path: Path, text: str, *, replace: bool) -> None:
    """Write a whole file or nothing. Raises Refused when it cannot be written, or is there and must not be replaced."""
    writable(path, replace=replace)
    draft = path.with_name(f".{path.name}.part")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise Refused(f"{path}: cannot be written: {error.strerror}", remedy="name another file") from None


def teller(tell: Callable[[str], None]) -> Callable[[int, int, str], None]:
    """Progress of a survey as one line."""
    return lambda done, total, what: tell(f"{done} of {total} · {what}")
