"""Waiting for a time without a process: Prefect's server reschedules the run, and its process ends.

If the machine, the worker or the server dies meanwhile, nothing is lost: when the time comes, any worker starts the run
again from the top.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final, NoReturn

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.client.schemas.responses import SetStateStatus
from prefect.exceptions import Pause
from prefect.states import AwaitingRetry

from aks_entra.core.durations import stamp
from aks_entra.errors import TryLater
from aks_entra.prefect_client import artifacts
from aks_entra.prefect_client.liveness import unregister
from aks_entra.prefect_client.run_log import tell
from aks_entra.text.safe import for_log

WAITING: Final = "AwaitingRetry"
"""The name of the state. Automations on missing heartbeats know that a run in this state has no process."""
NO_ERROR: Final = "the process ends until then, and Prefect's line `Finished in state …` is no error"
"""Prefect's engine logs the end of a process whose run waits with the level ERROR."""
REASON: Final = "aks-entra.waits-for"
"""Label of a flow run: what it waits for."""
_ROUNDED: Final = timedelta(seconds=0.5)
"""Prefect's server rounds what is left of a wait to whole seconds, and starts a run by so much too early (3.8.8)."""


def awaiting(until: datetime, because: str) -> State[Any]:
    """Return the state in which Prefect's server starts a run again at `until`, and never before it."""
    message = f"waits until {stamp(until)}: {for_log(because)}"
    return AwaitingRetry(scheduled_time=until + _ROUNDED, message=message)


async def postpone(until: datetime, because: str) -> NoReturn:
    """End this process; the flow starts again from the top at `until`. People read `because` meanwhile.

    Raises:
        Pause: always; Prefect's engine handles it, and no other code may catch it.
        TryLater: Prefect's server did not accept the new state.
    """
    await unregister({REASON: for_log(because)})
    state = awaiting(until, because)
    async with get_client() as client:
        answer = await client.set_flow_run_state(artifacts.own_flow_run(), state)
    if answer.status is not SetStateStatus.ACCEPT:
        raise TryLater(f"Prefect's server did not reschedule the run: {answer.details}", after=10)
    tell(f"{state.message}; {NO_ERROR}")
    raise Pause(state=state)
