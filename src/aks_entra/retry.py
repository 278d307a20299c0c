"""Wait out `TryLater`, the only error that is retried: as long as the service asked, up to a limit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type

from aks_entra.errors import TryLater
from aks_entra.ports.migration import Clock

_T = TypeVar("_T")

REACH: Final = 20.0
"""Seconds for which an API server that does not answer, or refuses a new token, is asked again."""


async def persist(clock: Clock, limit: float, call: Callable[[], Awaitable[_T]]) -> _T:
    """Call until no TryLater is raised. After `limit` seconds since the first call, raise the last one."""
    began = clock.now()

    def spent(_: RetryCallState) -> bool:
        return (clock.now() - began).total_seconds() >= limit

    async def once() -> _T:  # tenacity awaits coroutine functions only, and what is called here may be a lambda
        return await call()

    return await AsyncRetrying(
        retry=retry_if_exception_type(TryLater), stop=spent, wait=_as_asked, sleep=clock.sleep, reraise=True
    )(once)


def _as_asked(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    return error.after if isinstance(error, TryLater) else 0.0
