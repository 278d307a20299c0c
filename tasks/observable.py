"""What every task here has in common: a name that says step and cluster, retries for `TryLater` alone, a timeout.

Results are neither cached nor persisted: a step looks before it acts, and what must survive a death is stored by name.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Final, ParamSpec, TypeVar

from prefect import Task, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun

from aks_entra.errors import TryLater
from aks_entra.wiring import current_session

P = ParamSpec("P")
R = TypeVar("R")

MANY: Final = 10_000
"""Retries: the executor's own patience (`Limits`) ends the waiting, never this number."""
HOURS: Final = 3 * 3600.0
"""Seconds: longer than any step may take (`Limits.step`); the last resort against a hang."""


def observable(
    name: str, *, of: str | None = "job.plan.cluster"
) -> Callable[[Callable[P, Coroutine[Any, Any, R]]], Task[P, Coroutine[Any, Any, R]]]:
    """A task called `<name> · <cluster>`; `of` is the parameter that names the cluster. None: by its name alone."""
    return task(
        name=name,
        task_run_name=f"{name} · {{{of}}}" if of else None,
        retries=MANY,
        retry_condition_fn=try_later,
        timeout_seconds=HOURS,
        cache_policy=NO_CACHE,
        persist_result=False,
    )


async def try_later(_task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
    """Whether a failed task is tried again: only after `TryLater`, when its `after` seconds have passed.

    Not for longer than one step may take altogether (`Limits.step`).
    """
    error = await state.aresult(raise_on_failure=False)
    session = current_session()
    now = session.ports.clock.now()
    if not isinstance(error, TryLater) or (now - (run.start_time or now)).total_seconds() > session.limits.step:
        return False
    await session.ports.clock.sleep(error.after)
    return True
