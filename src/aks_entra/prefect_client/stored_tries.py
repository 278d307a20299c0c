"""This program's own tries of held credentials, as the stored verdicts and reports have them."""

from __future__ import annotations

from collections.abc import Collection

from aks_entra import documents
from aks_entra.core.cluster import ClusterId
from aks_entra.core.evidence.observations import CredentialTried
from aks_entra.prefect_client import artifacts
from aks_entra.prefect_client.stored_documents import read
from aks_entra.prefect_client.stored_evidence import all_reports


async def recorded_tries(clusters: Collection[ClusterId]) -> dict[str, tuple[CredentialTried, ...]]:
    """Return the tries of each cluster, by `ClusterId.key`. A document that cannot be read records none."""
    reports = await all_reports()
    alone = read(await artifacts.newest("verdict-"), documents.load_verdict)
    verdicts = [*(one for _, report in reports.read for one in report.verdicts), *(one for _, one in alone.read)]
    found: dict[str, dict[CredentialTried, None]] = {cluster.key: {} for cluster in clusters}
    for verdict in verdicts:
        tries = (one for one in verdict.evidence if isinstance(one, CredentialTried))
        if verdict.cluster.key in found:
            found[verdict.cluster.key].update(dict.fromkeys(tries))
    return {key: tuple(tries) for key, tries in found.items()}
