"""The common options of all tasks: a name with step and cluster, retries for `TryLater` alone, and a timeout.

Results are neither cached nor persisted. A step looks before it acts, and what a later run needs is stored by name.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from inspect import signature
from typing import Any, Final, ParamSpec, TypeVar

from prefect import Task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.task_engine import run_task_async
from prefect.utilities.annotations import quote

from aks_entra.errors import TryLater
from aks_entra.prefect_client.names import SEPARATOR, RunName
from aks_entra.prefect_client.run_log import tell
from aks_entra.wiring import current_session

P = ParamSpec("P")
R = TypeVar("R")

MANY: Final = 10_000
"""Number of retries. The executor's own timeouts (`Timeouts`) end the waiting, never this number."""
HOURS: Final = 3 * 3600.0
"""Timeout in seconds, longer than any step may take (`Timeouts.step`): the last resort against a hang."""


class ObservableTask(Task[P, R]):
    """A task that is called with values only, in a flow, and begins at once.

    Prefect takes the values as they are. Otherwise it searches all of a plan, twice for each task run, for results of
    other tasks to wait for. The server is told that the task runs and how it ended, not that it is about to run.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return the coroutine that runs the task. Its function and its name get the values themselves."""
        values = {name: quote(value) for name, value in signature(self.fn).bind(*args, **kwargs).arguments.items()}
        return self._run(values)

    async def _run(self, values: dict[str, Any]) -> Any:
        run = await self.create_local_run(parameters=values)
        return await run_task_async(self, task_run=run, parameters=values)


def observable(
    name: str, *, of: str | None = "job.plan.cluster"
) -> Callable[[Callable[P, Coroutine[Any, Any, R]]], Task[P, Coroutine[Any, Any, R]]]:
    """Make a task named `<name> · <cluster>`. `of` is the parameter with the cluster; None: only `<name>`."""

    def task(work: Callable[P, Coroutine[Any, Any, R]]) -> Task[P, Coroutine[Any, Any, R]]:
        return ObservableTask(
            work,
            name=name,
            task_run_name=RunName(f"{name}{SEPARATOR}{{{of}}}" if of else name),
            retries=MANY,
            retry_condition_fn=try_later,
            timeout_seconds=HOURS,
            cache_policy=NO_CACHE,
            persist_result=False,
        )

    return task


async def try_later(_task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
    """Wait `after` seconds after a `TryLater`, and return whether the task is tried again. The logs say why.

    Any other error ends the task, and so does `Timeouts.step`, the longest time for one step.
    """
    error = await state.aresult(raise_on_failure=False)
    session = current_session()
    now = session.ports.clock.now()
    if not isinstance(error, TryLater) or (now - (run.start_time or now)).total_seconds() > session.timeouts.step:
        return False
    attempt = f"attempt {run.run_count + 1} begins in {error.after:.0f} s"
    step, separator, cluster = run.name.partition(SEPARATOR)
    tell(f"{cluster}{separator}{step}: not yet: {error.message}; {attempt}")
    await session.ports.clock.sleep(error.after)
    return True
