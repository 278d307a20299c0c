"""Prefect's server as the library sees it: deployments started and followed by name, artifacts as the archive.

The only package of the library that imports prefect; it never imports `flows` or `tasks`. Importing it costs about a
second, so that command lines import it inside functions.
"""

from aks_entra.prefect_client.approvals import Gate, decide, gates
from aks_entra.prefect_client.archive import (
    Approval,
    PrefectJournal,
    load_plan,
    load_report,
    noted_plan,
    records,
    report_of,
    store_plan,
    store_report,
    store_verdict,
    verdicts,
)
from aks_entra.prefect_client.claims import claim, claim_all
from aks_entra.prefect_client.lookup import last_plan_of
from aks_entra.prefect_client.members import member_of, retry, skip, stop, stop_batches
from aks_entra.prefect_client.names import GRANT_ACCESS, PROVISION_CLUSTER, short
from aks_entra.prefect_client.names import run_page as page_of
from aks_entra.prefect_client.overview import Waiting, waiting
from aks_entra.prefect_client.runs import (
    RunView,
    Snapshot,
    StepView,
    await_end,
    find_run,
    follow,
    look_at,
    require_online,
    require_server,
    resume,
    start,
    start_fleet,
    start_migration,
)

__all__ = [
    "GRANT_ACCESS",
    "PROVISION_CLUSTER",
    "Approval",
    "Gate",
    "PrefectJournal",
    "RunView",
    "Snapshot",
    "StepView",
    "Waiting",
    "await_end",
    "claim",
    "claim_all",
    "decide",
    "find_run",
    "follow",
    "gates",
    "last_plan_of",
    "load_plan",
    "load_report",
    "look_at",
    "member_of",
    "noted_plan",
    "page_of",
    "records",
    "report_of",
    "require_online",
    "require_server",
    "resume",
    "retry",
    "short",
    "skip",
    "start",
    "start_fleet",
    "start_migration",
    "stop",
    "stop_batches",
    "store_plan",
    "store_report",
    "store_verdict",
    "verdicts",
    "waiting",
]
