"""Says what a task saw, one line for each piece of evidence."""

from __future__ import annotations

from collections.abc import Iterable

from aks_entra.core.cluster import ClusterId
from aks_entra.core.evidence.observations import Evidence
from aks_entra.report.evidence_lines import line_of
from aks_entra.wiring import current_session


def say_evidence(cluster: ClusterId, seen: Iterable[Evidence]) -> None:
    """Write the evidence to the session's log, with Azure's correlation ids. Evidence never contains a secret."""
    for one in seen:
        current_session().ports.log.say(cluster, line_of(one).text)
