"""Waiting for a time without a process: the run is scheduled anew at Prefect's server, and its process ends.

Whatever dies meanwhile (this machine, the worker, the server) loses nothing: whichever worker is there when the time
has come carries the run on, from the top.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, NoReturn

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.client.schemas.responses import SetStateStatus
from prefect.exceptions import Pause
from prefect.states import AwaitingRetry

from aks_entra.core.durations import stamp
from aks_entra.errors import TryLater
from aks_entra.prefect_client import store
from aks_entra.prefect_client.life import sign_off

WAITING = "AwaitingRetry"
"""The state's name, which automations on missing heartbeats know as one without a process."""


async def postpone(until: datetime, because: str) -> NoReturn:
    """End this process; the flow runs from the top again at `until`. `because` is what people read meanwhile.

    Raises Prefect's `Pause`, which nothing may catch; TryLater when the server does not take it.
    """
    await sign_off()
    state: State[Any] = AwaitingRetry(scheduled_time=until, message=f"waits until {stamp(until)}: {because}")
    async with get_client() as client:
        answer = await client.set_flow_run_state(store.own_flow_run(), state)
    if answer.status is not SetStateStatus.ACCEPT:
        raise TryLater(f"Prefect's server did not put the run off: {answer.details}", after=10)
    raise Pause(state=state)
