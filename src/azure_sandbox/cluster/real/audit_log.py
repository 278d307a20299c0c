"""The audit log of one kube-apiserver: its policy, and the events that it has written since the last look."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata"}],
}


class AuditLogFile:
    """A file with one event on each line. `take` returns each event once, also after the file was removed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._left: list[dict[str, Any]] = []

    def catch_up(self) -> None:
        """Read what was appended. A line that is not complete yet is read the next time."""
        with contextlib.suppress(FileNotFoundError), self._path.open("rb") as file:
            file.seek(self._offset)
            whole, end, _ = file.read().rpartition(b"\n")
            self._offset += len(whole) + len(end)
            self._left += [json.loads(line) for line in whole.splitlines()]

    def take(self) -> list[dict[str, Any]]:
        """Return the events since the last call."""
        self.catch_up()
        taken, self._left = self._left, []
        return taken
