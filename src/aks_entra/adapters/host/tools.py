"""Reads the command line tools of this machine, whether Azure's hosts answer it, and how far its clock is off.

It runs `az version`, `kubectl version --client`, `kubelogin --version` and `helm version --short`, each with a timeout
and without additional environment variables.
"""

from __future__ import annotations

import json
import os
import shutil
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final

import aiohttp

from aks_entra.adapters.host.run_tool import run_tool
from aks_entra.adapters.http.network import trust, unreachable
from aks_entra.core.doctor import Reach, Tool

QUESTIONS: Final[dict[str, tuple[str, ...]]] = {
    "az": ("version", "-o", "json"),
    "kubectl": ("version", "--client", "-o", "json"),
    "kubelogin": ("--version",),
    "helm": ("version", "--short"),
}
HOSTS: Final = ("login.microsoftonline.com", "management.azure.com", "graph.microsoft.com")
BESIDE: Final = ("~/.azure-kubelogin", "~/.azure-kubectl", "/usr/local/bin", "~/.local/bin", "~/go/bin", "~/bin")
"""The directories into which `az aks install-cli` and others install tools, on PATH or not."""


async def tool(name: str, path: str, *, seconds: float) -> Tool:
    """Return a tool of `QUESTIONS`, found in the folders of `path` or not."""
    program = shutil.which(name, path=path)
    if program is None:
        return Tool(name=name, beside=_next_to_this_program(name))
    printed = await run_tool(program, *QUESTIONS[name], seconds=seconds)
    return Tool(name=name, path=program, version=_version(name, printed or ""))


async def reach(now: datetime, *, seconds: float) -> tuple[Reach, ...]:
    """Return whether each of Azure's hosts answers HTTPS, with any status, and how far its clock is from `now`."""
    timeout = aiohttp.ClientTimeout(total=seconds)
    connector = aiohttp.TCPConnector(ssl=trust())
    async with aiohttp.ClientSession(connector=connector, trust_env=True, timeout=timeout) as session:
        return tuple([await _reach(session, host, now) for host in HOSTS])


def _next_to_this_program(name: str) -> str:
    places = (Path(place).expanduser() / name for place in BESIDE)
    return next((str(place) for place in places if os.access(place, os.X_OK)), "")


def _version(name: str, said: str) -> str:
    """Return the version in a tool's output. Empty if it prints none."""
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
