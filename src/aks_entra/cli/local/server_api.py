"""The few requests that `up` sends to the Prefect server it has just started, before anything imports prefect."""

from __future__ import annotations

from typing import Any, Final
from uuid import uuid4

import httpx

from aks_entra.errors import Refused

_CLIENT: Final = uuid4().hex
"""The name under which this process asks for CSRF tokens."""


class LocalApi:
    """Prefect's API on this machine, with authentication and CSRF protection on."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def healthy(self) -> bool:
        """Whether the server answers."""
        try:
            return (await self._http.get("/health")).is_success
        except httpx.HTTPError:
            return False

    async def online(self, pool: str) -> bool:
        """Whether a worker of the pool is online. False if the server has no time to answer, so ask again."""
        try:
            answer = await self._write("POST", f"/work_pools/{pool}/workers/filter", {})
        except (httpx.HTTPError, Refused):
            return False
        return answer.is_success and any(worker.get("status") == "ONLINE" for worker in answer.json())

    async def set_pool(self, pool: str, template: dict[str, Any]) -> bool:
        """Create the work pool with this base job template, or give the template to the existing pool.

        Returns whether another template was replaced. Raises Refused if the server refuses the request.
        """
        there = await self._http.get(f"/work_pools/{pool}")
        if there.status_code == httpx.codes.NOT_FOUND:
            new = {"name": pool, "type": "process", "base_job_template": template}
            _require(await self._write("POST", "/work_pools/", new), f"work pool {pool} could not be created")
            return False
        _require(there, f"work pool {pool} could not be read")
        if there.json()["base_job_template"] == template:
            return False
        change = {"base_job_template": template}
        _require(await self._write("PATCH", f"/work_pools/{pool}", change), f"work pool {pool} could not be changed")
        return True

    async def _write(self, method: str, path: str, body: dict[str, Any]) -> httpx.Response:
        token = _require(await self._http.get("/csrf-token", params={"client": _CLIENT}), "no CSRF token was given")
        headers = {"Prefect-Csrf-Token": token.json()["token"], "Prefect-Csrf-Client": _CLIENT}
        return await self._http.request(method, path, json=body, headers=headers)


def _require(answer: httpx.Response, trouble: str) -> httpx.Response:
    if not answer.is_success:
        raise Refused(
            f"{trouble}: Prefect's server answered {answer.status_code}",
            remedy="read logs/server.log under AKS_ENTRA_HOME (.aks-entra)",
        )
    return answer
