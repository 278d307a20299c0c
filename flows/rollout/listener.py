"""Reads the audit logs of a batch's clusters again before they begin: a caller that comes back shuts the gate."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Final

from aks_entra.core.cluster import ClusterId
from aks_entra.core.planning.gates import Gate
from aks_entra.core.rollout.quiet import Heard, Listened, listen
from aks_entra.prefect_client import progress
from tasks.planning import read_logs

FRESH: Final = timedelta(minutes=5)
"""How long what was read counts for the next clusters: Azure shows requests minutes after they were made."""


class Listener:
    """What the audit logs show of the clusters that have not begun. Clusters that begin together share a reading."""

    def __init__(self, gate: Gate | None, clusters: tuple[ClusterId, ...]) -> None:
        self._quiet = gate.quiet if gate else 0
        self._left = list(clusters)
        self._heard: dict[str, Heard] = {}
        self._at: datetime | None = None
        self._reading = asyncio.Lock()

    async def listened(self) -> tuple[Listened, ...]:
        """Return what the logs of all clusters that have not begun show now. Empty if the gate does not ask for it."""
        if not self._quiet:
            return ()
        async with self._reading:
            now = progress.now()
            if self._at is None or now - self._at >= FRESH:
                self._heard = await read_logs(tuple(self._left), self._quiet)
                self._at = now
        return tuple(listen(one, self._heard.get(one.key), self._quiet, now) for one in self._left)

    def begun(self, cluster: ClusterId) -> None:
        """Note that a cluster begins: its callers no longer count for the others."""
        self._left = [one for one in self._left if one.key != cluster.key]
