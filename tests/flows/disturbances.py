"""What happens around a runbook in its tests: a killed process, a change in the portal, a refusal by Azure."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

from prefect.client.orchestration import get_client

from aks_entra.core.steps import Guarded
from aks_entra.prefect_client.liveness import PROCESS, Process
from aks_entra.settings import Settings
from aks_entra.wiring import open_session
from azure_sandbox.front.http import Reply

if TYPE_CHECKING:
    from aks_entra.core.cluster import ClusterId

FORBIDDEN = Reply(
    403,
    {"error": {"code": "RequestDisallowedByPolicy", "message": "Resource 'bad' was disallowed by policy."}},
    {},
)


async def kill(run: Any) -> None:
    """Kill the process of a flow run without a chance to clean up."""

    async with get_client() as client:
        label = (await client.read_flow_run(run)).labels[PROCESS]
    os.kill(Process.parse(str(label)).pid, signal.SIGKILL)


async def switch_azure_rbac_on(cluster: ClusterId) -> None:
    """Switch Azure RBAC on, as somebody in the portal can."""
    async with open_session(Settings()) as session:
        posture = await session.ports.arm.cluster(cluster)
        write = session.ports.arm.update_entra(cluster, Guarded.of(posture), posture.admin_group_ids, azure_rbac=True)
        await session.watch.settled(await write)


async def enable_local_accounts(cluster: ClusterId) -> None:
    """Switch local accounts on, as somebody in the portal can."""
    async with open_session(Settings()) as session:
        posture = await session.ports.arm.cluster(cluster)
        write = session.ports.arm.set_local_accounts(cluster, Guarded.of(posture), enabled=True)
        await session.watch.settled(await write)
