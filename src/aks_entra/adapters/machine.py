"""The machine that one works on: its command line tools, and which of Azure's hosts answer, with what clock.

It runs `az version`, `kubectl version --client`, `kubelogin --version` and `helm version --short`, each for a few
seconds at most, and never with more of the environment than they have anyway.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final

import aiohttp

from aks_entra.adapters.network import trust, unreachable
from aks_entra.core.doctor import Reach, Tool

QUESTIONS: Final[dict[str, tuple[str, ...]]] = {
    "az": ("version", "-o", "json"),
    "kubectl": ("version", "--client", "-o", "json"),
    "kubelogin": ("--version",),
    "helm": ("version", "--short"),
}
HOSTS: Final = ("login.microsoftonline.com", "management.azure.com", "graph.microsoft.com")
BESIDE: Final = ("~/.azure-kubelogin", "~/.azure-kubectl", "/usr/local/bin", "~/.local/bin", "~/go/bin", "~/bin")
"""Where `az aks install-cli` and others put tools, whether or not PATH reaches there."""


class ThisMachine:
    """Tools and hosts as seen from here. `patience` in seconds, per question."""

    def __init__(self, *, patience: float) -> None:
        self._patience = patience

    async def tools(self) -> tuple[Tool, ...]:
        """Each tool of the document, found or not."""
        return tuple(await asyncio.gather(*(self._tool(name) for name in QUESTIONS)))

    async def reach(self, now: datetime) -> tuple[Reach, ...]:
        """Whether each of Azure's hosts answers HTTPS, with any status at all, and how far its clock is from `now`."""
        timeout = aiohttp.ClientTimeout(total=self._patience)
        connector = aiohttp.TCPConnector(ssl=trust())
        async with aiohttp.ClientSession(connector=connector, trust_env=True, timeout=timeout) as session:
            return tuple([await _reach(session, host, now) for host in HOSTS])

    async def _tool(self, name: str) -> Tool:
        path = shutil.which(name)
        if path is None:
            return Tool(name=name, beside=_beside(name))
        return Tool(name=name, path=path, version=_version(name, await self._ask(path, *QUESTIONS[name])))

    async def _ask(self, path: str, *words: str) -> str:
        try:
            process = await asyncio.create_subprocess_exec(
                path,
                *words,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
            )
        except OSError:
            return ""
        try:
            async with asyncio.timeout(self._patience):
                out, _ = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
            return ""
        return out.decode("utf-8", "replace")


def _beside(name: str) -> str:
    places = (Path(place).expanduser() / name for place in BESIDE)
    return next((str(place) for place in places if os.access(place, os.X_OK)), "")


def _version(name: str, said: str) -> str:
    """The version in a tool's own answer."""
    if name == "kubelogin":
        return next((line.partition("git hash:")[2].strip() for line in said.splitlines() if "git hash" in line), said)
    if name == "helm":
        return said.strip()
    try:
        answer = json.loads(said)
        return str(answer["azure-cli"] if name == "az" else answer["clientVersion"]["gitVersion"])
    except (ValueError, KeyError, TypeError):
        return ""


async def _reach(session: aiohttp.ClientSession, host: str, now: datetime) -> Reach:
    try:
        async with session.get(f"https://{host}/", allow_redirects=False) as answer:
            date = answer.headers.get("Date")
    except (aiohttp.ClientError, TimeoutError) as err:
        error = unreachable(err, host)
        return Reach(host=host, error=error.message, remedy=error.remedy)
    try:
        skew = (parsedate_to_datetime(date) - now).total_seconds() if date else None
    except (TypeError, ValueError):
        skew = None
    return Reach(host=host, skew=skew)
