"""Shares Azure's request buckets with the other processes that use this Prefect server.

A process that sends requests to Azure writes every `RENEWED_EVERY` seconds what it uses, and reads what the others use:
two small requests to the server, whatever the number of requests to Azure. What is written is a variable of Prefect
for each process. `adapters.http.shares` says how the buckets are divided.

The server never stops the work: if it does not answer, the process goes on with the part that it has.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

import httpx
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import VariableCreate, VariableUpdate
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from aks_entra.adapters.http.pacing import Buckets
from aks_entra.adapters.http.retry_after import bounded
from aks_entra.adapters.http.shares import LEASE, RENEWED_EVERY, Statement, Use

PREFIX: Final = "aks-entra-requests-"
"""The names of the variables. `aks-entra-requests-PROCESS-PAGE`."""
AGAIN: Final = 1.0
"""Seconds until the next statement while the parts change."""
RETRIED_AFTER: Final = 5.0
"""Seconds until the next statement after one that failed."""
PATIENCE: Final = 10.0
"""Seconds that the server has for an answer."""
RETRIES_AT_THE_END: Final = 2
"""No statement follows the last one. SQLite refuses a write while it is busy with others."""
FORGOTTEN: Final = 1200.0
"""Seconds after which a statement is deleted: by then every bucket is full again."""
PAGE: Final = 150
"""Buckets in a variable, which may have 5,000 characters."""
_MOST: Final = 200

_shared: dict[tuple[asyncio.AbstractEventLoop, float], RequestShares] = {}


class RequestShares:
    """The part that this process has of each bucket, for all its sessions."""

    def __init__(self, scale: float) -> None:
        self.buckets = Buckets(scale, shared=True)
        self._name = f"{PREFIX}{uuid.uuid4().hex[:12]}"
        self._place: dict[str, int] = {}  # of each bucket, in the order of their first use
        self._written: set[str] = set()
        self._heard_at = self.buckets.clock()  # when the server last answered
        self._sessions = 0
        self._keeping: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def used(self) -> AsyncIterator[Buckets]:
        """Share the buckets while a session is open. Afterwards the others may use this process's part."""
        self._sessions += 1
        if self._keeping is None:
            self._heard_at = self.buckets.clock()
            self._keeping = asyncio.create_task(self._keep())
        try:
            yield self.buckets
        finally:
            self._sessions -= 1
            if not self._sessions and (keeping := self._keeping) is not None:
                self._keeping = None
                keeping.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await keeping
                await self._leave()

    async def _keep(self) -> None:
        while True:
            with contextlib.suppress(Exception), temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):
                async with get_client(httpx_settings={"timeout": PATIENCE}) as client:
                    while True:
                        await self._until_due(await self.renew(client))
            await self._until_due(self._without_server())  # no error of Prefect's may stop the requests

    async def _until_due(self, pause: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if math.isinf(pause) else pause):
                await self.buckets.touched.wait()

    async def renew(self, client: PrefectClient) -> float:
        """State what this process uses, and hear what the others use. Returns the seconds until the next time."""
        self.buckets.touched.clear()
        uses = self.buckets.state()
        if not uses and not self._written:
            return math.inf
        try:
            await self._write(client, uses, left=False)
            soon = self.buckets.hear(uses, await self._read(client))
        except httpx.HTTPError:  # the server is unwell; the next statement may reach it
            return self._without_server()
        self._heard_at = self.buckets.clock()
        return AGAIN if soon else RENEWED_EVERY

    def _without_server(self) -> float:
        """Go on although the server does not answer. Returns the seconds until it is asked again."""
        self.buckets.touched.clear()
        self.buckets.go_on(alone=self.buckets.clock() - self._heard_at > LEASE)
        return RETRIED_AFTER

    async def _leave(self) -> None:
        with contextlib.suppress(Exception), temporary_settings({PREFECT_CLIENT_MAX_RETRIES: RETRIES_AT_THE_END}):
            async with asyncio.timeout(PATIENCE), get_client() as client:
                await self.leave(client)

    async def leave(self, client: PrefectClient) -> None:
        """State that this process uses nothing any more, and what is still missing from its buckets."""
        if self._sessions:  # another session was opened meanwhile
            return
        uses = self.buckets.leave()
        if self._written:
            await self._write(client, uses, left=True)

    async def _write(self, client: PrefectClient, uses: Mapping[str, Use], *, left: bool) -> None:
        """Write a variable for each page of buckets, and delete those that are empty now."""
        for key in uses:
            self._place.setdefault(key, len(self._place))
        pages: dict[str, dict[str, Use]] = {name: {} for name in self._written}
        for key, use in uses.items():
            pages.setdefault(f"{self._name}-{self._place[key] // PAGE}", {})[key] = use
        for name, page in pages.items():
            if not page:
                self._written.discard(name)
                with contextlib.suppress(ObjectNotFound):
                    await client.delete_variable_by_name(name)
                continue
            await self._put(client, name, as_value(page, left=left))

    async def _put(self, client: PrefectClient, name: str, value: dict[str, Any]) -> None:
        if name in self._written:
            try:
                await client.update_variable(VariableUpdate(name=name, value=value))
            except httpx.HTTPStatusError as error:
                if error.response.status_code != httpx.codes.NOT_FOUND:
                    raise
            else:
                return
        await client.create_variable(VariableCreate(name=name, value=value))
        self._written.add(name)

    async def _read(self, client: PrefectClient) -> list[Statement]:
        """Return the statements of the others. One that nobody needs any more is deleted."""
        found: list[Statement] = []
        offset, more = 0, True
        while more:
            wanted = {"variables": {"name": {"like_": f"{PREFIX}%"}}, "limit": _MOST, "offset": offset}
            answer = await client.request("POST", "/variables/filter", json=wanted)
            sent = answer.headers.get("date")
            now = parsedate_to_datetime(sent) if sent else datetime.now(UTC)
            page = answer.json()
            offset, more = offset + len(page), len(page) == _MOST
            for one in page:
                name, age = str(one["name"]), (now - datetime.fromisoformat(one["updated"])).total_seconds()
                if not name.startswith(self._name):
                    found.append(as_statement(name, max(0.0, age), one["value"]))
        for old in [one for one in found if one.age > FORGOTTEN]:
            with contextlib.suppress(ObjectNotFound):
                await client.delete_variable_by_name(old.process)
        return found


def as_value(uses: Mapping[str, Use], *, left: bool) -> dict[str, Any]:
    """Return what a variable holds: whether the process has left, and of each bucket claim, missing and blocked."""
    return {
        "left": left,
        "buckets": {key: [round(one.claim, 4), round(one.missing), round(one.blocked)] for key, one in uses.items()},
    }


def as_statement(name: str, age: float, value: object) -> Statement:
    """Return what a variable says. Anybody may write variables: one that says nothing is of a process that left."""
    try:
        buckets: Mapping[str, list[float]] = value["buckets"]  # type: ignore[index]
        uses = {
            str(key): Use(min(1.0, _number(claim)), _number(missing), bounded(_number(blocked)))
            for key, (claim, missing, blocked) in buckets.items()
        }
        return Statement(process=name, age=age, left=value["left"] is not False, uses=uses)  # type: ignore[index]
    except (TypeError, KeyError, ValueError, AttributeError):
        return Statement(process=name, age=age, left=True, uses={})


def _number(said: object) -> float:
    """Return a number that is not negative; 0 for `nan`. Raises TypeError for anything else."""
    if isinstance(said, bool) or not isinstance(said, int | float):
        raise TypeError
    return max(0.0, said)


def request_shares(scale: float) -> RequestShares:
    """Return the shares of this process. `scale` multiplies Azure's published rates."""
    key = (asyncio.get_running_loop(), scale)
    return _shared.setdefault(key, RequestShares(scale))
