"""Prefect's server as the library sees it: deployments started and followed by name, artifacts as the archive.

The only package of the library that imports prefect; it never imports `flows` or `tasks`. Importing it costs about a
second, so that command lines import it inside functions.
"""

from aks_entra.core.planning.approval import Approval
from aks_entra.prefect_client import _entry  # noqa: F401 - first: Prefect's settings are read when it is imported
from aks_entra.prefect_client.approvals import Gate, decide, gate_named, gate_waiting, gates
from aks_entra.prefect_client.authentication import asks_for_authentication
from aks_entra.prefect_client.break_glass_records import (
    announce_opening,
    opening_of,
    opening_without_server,
    store_opening,
    store_opening_without_server,
)
from aks_entra.prefect_client.decisions import store_without_gates
from aks_entra.prefect_client.fleet_deployments import apply as apply_deployment
from aks_entra.prefect_client.fleet_deployments import deployed_fleets, require_no_runs_left, work_queues_without_worker
from aks_entra.prefect_client.fleet_deployments import found as found_deployments
from aks_entra.prefect_client.fleet_deployments import pages as deployment_pages
from aks_entra.prefect_client.fleet_deployments import switched_off as switched_off_deployments
from aks_entra.prefect_client.fleet_deployments import wanted as wanted_deployments
from aks_entra.prefect_client.fleet_deployments import without_worker as pools_without_worker
from aks_entra.prefect_client.fleet_runs import (
    await_run,
    request,
    request_with_content,
    requested_deployment,
    require_idle,
    runs_begun,
)
from aks_entra.prefect_client.following import RunView, Snapshot, StoredVerdicts, follow, look_at
from aks_entra.prefect_client.grant_records import announce as announce_grant
from aks_entra.prefect_client.last_plan import last_plan_of
from aks_entra.prefect_client.leases import hold_lease, hold_leases
from aks_entra.prefect_client.metrics import measure
from aks_entra.prefect_client.migration_records import (
    PrefectJournal,
    frozen_plan,
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
from aks_entra.prefect_client.names import (
    END_ACCESS,
    GRANT_ACCESS,
    PROVISION_CLUSTER,
    SWEEP_BREAK_GLASS,
    hexadecimal,
    short,
)
from aks_entra.prefect_client.names import run_page as page_of
from aks_entra.prefect_client.notifications import apply as apply_notification
from aks_entra.prefect_client.notifications import found as found_notifications
from aks_entra.prefect_client.notifications import pages as notification_pages
from aks_entra.prefect_client.notifications import switched_off as switched_off_notifications
from aks_entra.prefect_client.notifications import wanted as wanted_notifications
from aks_entra.prefect_client.overview import Waiting, waiting
from aks_entra.prefect_client.part_runs import plan_elsewhere
from aks_entra.prefect_client.progress import all_reached
from aks_entra.prefect_client.record_store import has_records_only_at_prefect, import_from_prefect
from aks_entra.prefect_client.retention import prunable
from aks_entra.prefect_client.run_end import await_end
from aks_entra.prefect_client.runs import (
    find_run,
    require_online,
    require_server,
    resume,
    start,
    start_fleet,
    start_migration,
)
from aks_entra.prefect_client.scheduled_sweeps import EndNotScheduled
from aks_entra.prefect_client.schedules import overdue_schedules
from aks_entra.prefect_client.signed_approvals import count_stored, requester_of, store_signed
from aks_entra.prefect_client.skips import is_cancelled, member_of, retry, skip, stop, stop_batches
from aks_entra.prefect_client.stored_calls import recorded_calls

__all__ = [
    "END_ACCESS",
    "GRANT_ACCESS",
    "PROVISION_CLUSTER",
    "SWEEP_BREAK_GLASS",
    "Approval",
    "EndNotScheduled",
    "Gate",
    "PrefectJournal",
    "RunView",
    "Snapshot",
    "StoredVerdicts",
    "Waiting",
    "all_reached",
    "announce_grant",
    "announce_opening",
    "apply_deployment",
    "apply_notification",
    "asks_for_authentication",
    "await_end",
    "await_run",
    "count_stored",
    "decide",
    "deployed_fleets",
    "deployment_pages",
    "find_run",
    "follow",
    "found_deployments",
    "found_notifications",
    "frozen_plan",
    "gate_named",
    "gate_waiting",
    "gates",
    "has_records_only_at_prefect",
    "hexadecimal",
    "hold_lease",
    "hold_leases",
    "import_from_prefect",
    "is_cancelled",
    "last_plan_of",
    "load_plan",
    "load_report",
    "look_at",
    "measure",
    "member_of",
    "noted_plan",
    "notification_pages",
    "opening_of",
    "opening_without_server",
    "overdue_schedules",
    "page_of",
    "plan_elsewhere",
    "pools_without_worker",
    "prunable",
    "recorded_calls",
    "records",
    "report_of",
    "request",
    "request_with_content",
    "requested_deployment",
    "requester_of",
    "require_idle",
    "require_no_runs_left",
    "require_online",
    "require_server",
    "resume",
    "retry",
    "runs_begun",
    "short",
    "skip",
    "start",
    "start_fleet",
    "start_migration",
    "stop",
    "stop_batches",
    "store_opening",
    "store_opening_without_server",
    "store_plan",
    "store_report",
    "store_signed",
    "store_verdict",
    "store_without_gates",
    "switched_off_deployments",
    "switched_off_notifications",
    "verdicts",
    "waiting",
    "wanted_deployments",
    "wanted_notifications",
    "work_queues_without_worker",
]
