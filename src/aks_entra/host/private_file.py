"""The one place that break-glass hands a kubeconfig to: a new file that only its owner can read."""

from __future__ import annotations

import os
from pathlib import Path

from aks_entra.errors import Refused


class PrivateFile:
    """A file that did not exist before (0600, never through a link), reserved before anything is opened."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor: int | None = descriptor
        self._filled = False

    @classmethod
    def reserve(cls, path: Path) -> PrivateFile:
        """Make the file, empty. Raises Refused when something is there, or it cannot be made."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)
        try:
            descriptor = os.open(path, flags, 0o600)
        except FileExistsError:
            raise Refused(
                f"{path}: is there already, and is not replaced", remedy="name another file with --out"
            ) from None
        except OSError as error:
            raise Refused(f"{path}: cannot be made: {error.strerror}", remedy="name another file with --out") from None
        os.fchmod(descriptor, 0o600)
        return cls(path, descriptor)

    def put(self, content: bytes) -> None:
        """Write the content, once."""
        if self._descriptor is None or self._filled:
            raise Refused(f"{self.path}: was handed out already", remedy="ask for another one in another file")
        with os.fdopen(self._descriptor, "wb") as file:
            self._descriptor, self._filled = None, True
            file.write(content)

    def give_up(self) -> None:
        """Remove the file when nothing was put into it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
            self.path.unlink(missing_ok=True)
