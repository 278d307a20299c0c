"""Which files of this machine may be believed, and how files are kept from its other users.

A file is believed when nobody but its user, or root, could have written it: the file itself, and every folder above it
(OpenSSH's StrictModes asks the same of `authorized_keys`). Windows has no such modes: there nothing is refused.
"""

from __future__ import annotations

import functools
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from aks_entra.errors import Refused

POSIX: Final = os.name == "posix"
_ROOT: Final = 0


def reason_to_distrust(path: Path) -> str:
    """Say why a file or folder cannot be believed, by its own owner and mode and those of the folders above it.

    Empty when it can be. Links are followed: what they lead to counts, and so does the folder that holds the link.
    """
    if not POSIX:
        return ""
    absolute = Path(os.path.abspath(path))  # noqa: PTH100 - `resolve` would skip the folders that hold links
    for one in (absolute, *absolute.parents, *_behind_links(absolute)):
        try:
            found = one.stat()
        except OSError as error:
            return f"{one} cannot be looked at: {error.strerror}"
        if reason := _reason(found):
            return f"{one} {reason}"
    return ""


def private_folder(path: Path) -> Path:
    """Make a folder that only this user can enter (0700), or make the one that is there so.

    Raises Refused when it belongs to somebody else, or cannot be made. The folders above it are not asked: see
    `reason_to_distrust`.
    """
    remedy = f"name another folder with AKS_ENTRA_HOME, or take {path} away"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o700)
    except FileExistsError:
        pass  # looked at below
    except OSError as error:
        raise Refused(f"{path}: cannot be made: {error.strerror}", remedy=remedy) from None
    if not path.is_dir():
        raise Refused(f"{path}: is no folder", remedy=remedy)
    if POSIX:
        if path.stat().st_uid != os.geteuid():
            raise Refused(f"{path}: belongs to user {path.stat().st_uid}", remedy=remedy)
        path.chmod(0o700)
    return path


def open_private(path: Path, *, append: bool = False) -> int:
    """Open a file for writing that only its owner can read (0600), never through a link. Returns the descriptor.

    Raises Refused when it cannot be opened.
    """
    flags = os.O_WRONLY | os.O_CREAT | (os.O_APPEND if append else os.O_TRUNC) | getattr(os, "O_NOFOLLOW", 0)
    try:
        descriptor = os.open(path, flags, 0o600)
    except OSError as error:
        raise Refused(f"{path}: cannot be written: {error.strerror}", remedy="take it away, and try again") from None
    if POSIX:
        os.fchmod(descriptor, 0o600)
    return descriptor


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, in place of what was there. Raises Refused when it cannot be."""
    with suppress(FileNotFoundError):
        path.unlink()  # a reader who has the old one open does not see the new one
    with os.fdopen(open_private(path), "w", encoding="utf-8") as file:
        file.write(text)


def read_private(path: Path) -> str | None:
    """Return what a file of this user holds. None when it is missing, somebody else's, or readable to others."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        return None
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or readable_to_others(found):
        os.close(descriptor)
        return None
    with os.fdopen(descriptor, encoding="utf-8", errors="replace") as file:
        return file.read()


def readable_to_others(found: os.stat_result) -> bool:
    """Whether a file, by what `stat` says of it, is somebody else's or others may read or write it."""
    return POSIX and (found.st_uid != os.geteuid() or bool(stat.S_IMODE(found.st_mode) & 0o077))


def _behind_links(path: Path) -> tuple[Path, ...]:
    real = path.resolve()
    return () if real == path else (real, *real.parents)


def _reason(found: os.stat_result) -> str:
    """Why one file or folder cannot be believed, by what `stat` says of it."""
    if found.st_uid not in {os.geteuid(), _ROOT}:
        return f"belongs to user {found.st_uid}"
    if stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX:
        return ""  # as /tmp: everybody may add a file, nobody may exchange another's
    if found.st_mode & stat.S_IWOTH:
        return "can be written by everybody"
    if found.st_mode & stat.S_IWGRP and not _alone(found.st_gid):
        return f"can be written by group {found.st_gid}"
    return ""


@functools.cache
def _alone(group: int) -> bool:
    """Whether nobody but this user, and root, is in a group: many systems give each user a group of their own."""
    import grp  # noqa: PLC0415 - POSIX only
    import pwd  # noqa: PLC0415 - as above

    if group == _ROOT:
        return True
    try:
        named = set(grp.getgrgid(group).gr_mem)
    except KeyError:
        named = set()
    primary = {user.pw_name for user in pwd.getpwall() if user.pw_gid == group}
    try:
        ours = {pwd.getpwuid(os.geteuid()).pw_name, "root"}
    except KeyError:
        return False
    return named | primary <= ours
