"""Facts that clusters share, read once for those that ask within a minute.

Twenty clusters that close in the same minute ask the same of the directory.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from aks_entra.core.cluster import ClusterId
from aks_entra.planning.reader import Reading
from aks_entra.ports.migration import Ports

SHARED: Final = timedelta(seconds=60)
"""How long after its begin a reading is given to further clusters."""


class SharedReadings:
    """Gives clusters the reading of the last minute, or begins a new one."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._reading: Reading | None = None
        self._began: datetime | None = None
        self._given: set[str] = set()

    def of(self, cluster: ClusterId) -> Reading:
        """Return a reading that this cluster did not get yet, so that no write rests on what was known before it."""
        if cluster.key in self._given:
            self.forget()
        reading = self.present()
        self._given.add(cluster.key)
        return reading

    def present(self) -> Reading:
        """Return the reading of the last minute."""
        now = self._ports.clock.now()
        if self._reading is None or self._began is None or now - self._began >= SHARED:
            self._reading, self._began, self._given = Reading(self._ports, at_once=True), now, set()
        return self._reading

    def forget(self) -> None:
        """Read anew for everybody, because this process changed what is shared."""
        self._reading = None
