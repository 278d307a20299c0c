"""The API authentication string of a Prefect server that `aks-entra up` started: where it is kept, who finds it.

What AKS_ENTRA_RECORDS was for `up` is kept in a file beside it, so that commands use the store of records of its runs.

A file under the home of `up` keeps it, readable to its user alone. A link under the user's own state folder leads a
command in another folder to it. It is found for that server's own address on this machine alone.
"""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from aks_entra.errors import Refused
from aks_entra.host.file_trust import private_folder, read_private, write_private
from aks_entra.settings import Settings

SET_BY_HAND: Final = "PREFECT_SERVER_API_AUTH_STRING"
"""Prefect's name for what the server asks for; PREFECT_API_AUTH_STRING is what clients send."""
_LOOPBACK: Final = ("127.0.0.1", "localhost")


def home() -> Path:
    """Return the folder in which state of this machine is kept."""
    return Path(os.environ.get("AKS_ENTRA_HOME") or ".aks-entra").absolute()


def new_string() -> str:
    """Return the string that was set by hand, or a new random one ("user:password", as Prefect has it).

    Raises Refused for a string that Prefect cannot compare.
    """
    given = os.environ.get(SET_BY_HAND, "")
    if not given.isascii() or not given.isprintable():
        raise Refused(
            f"{SET_BY_HAND} has characters that Prefect cannot compare",
            remedy="use printable ASCII characters, or unset it: then a random string is made",
        )
    return given or f"aks-entra:{secrets.token_urlsafe(32)}"


def header(string: str) -> dict[str, str]:
    """Return the HTTP header that carries it."""
    return {"Authorization": f"Basic {base64.b64encode(string.encode()).decode()}"}


def file_of(api: str, folder: Path) -> Path:
    """Return the file under `folder` that keeps the string of the server at `api`."""
    return folder / "auth" / _name(api)


@contextmanager
def stored(api: str, string: str, folder: Path, *, records: str = "") -> Iterator[Path]:
    """Keep the string of a running server where its user's commands find it; afterwards it is gone.

    Yields the file. `folder`: the home of `up`. `records`: its store of records, as AKS_ENTRA_RECORDS names one.
    """
    file = file_of(api, folder)
    private_folder(file.parent)
    write_private(_beside(file), records)
    write_private(file, string)
    link = _link(api)
    try:
        if link is not None:
            with suppress(OSError, Refused):  # no home folder to write to: then the file under `folder` must do
                private_folder(link.parent)
                link.unlink(missing_ok=True)
                link.symlink_to(file)
        yield file
    finally:
        file.unlink(missing_ok=True)
        _beside(file).unlink(missing_ok=True)
        with suppress(OSError):
            if link is not None and link.is_symlink() and not link.exists():
                link.unlink()


def stored_string(api: str) -> str | None:
    """Return the string of the server at `api`, if this user's `up` started it on this machine. None if not."""
    for file in _files(api):
        if string := read_private(file):
            return string
    return None


def records_place(settings: Settings, api: str) -> str:
    """Return what AKS_ENTRA_RECORDS says, or else the store of the server that this user's `aks-entra up` started."""
    return settings.records or stored_records(api)


def stored_records(api: str) -> str:
    """Return the store of records of the server at `api`, if this user's `up` started it on this machine.

    Empty: it did not, or its runs use none.
    """
    for file in _files(api):
        if read_private(file):
            return read_private(_beside(file.resolve())) or ""
    return ""


def on_this_machine(api: str) -> bool:
    """Whether a URL is that of a Prefect server on this machine."""
    try:
        parts = urlsplit(api)
        ours = parts.scheme == "http" and parts.hostname in _LOOPBACK and parts.path.rstrip("/") == "/api"
        _ = parts.port
    except ValueError:  # no URL at all
        return False
    return ours


def _files(api: str) -> list[Path]:
    """Return the files that may keep the string of the server at `api`. Empty unless it is on this machine."""
    return [file for file in (file_of(api, home()), _link(api)) if file is not None] if on_this_machine(api) else []


def _beside(file: Path) -> Path:
    return file.with_name(f"{file.name}.records")


def _link(api: str) -> Path | None:
    """Where the user's commands look from any folder; None for a user without a home folder."""
    state, user = os.environ.get("XDG_STATE_HOME"), os.environ.get("HOME")
    base = Path(state) if state else Path(user) / ".local" / "state" if user else None
    return base / "aks-entra" / _name(api) if base else None


def _name(api: str) -> str:
    """The server's address in a file name; every name of the loopback interface is one."""
    return f"127.0.0.1-{urlsplit(api).port or 80}"
