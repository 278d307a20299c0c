"""The machine that this process runs on: a pod or not, where its server and proxies are, which tools are there."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import socket
from collections.abc import Mapping
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from aks_entra.adapters.vault import describe_authority
from aks_entra.core.preflight import Endpoint, Home, Tools
from aks_entra.errors import AksEntraError

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where Kubernetes gives a pod its token and its cluster's CA."""

DEPENDS_ON: Final = ("PREFECT_API_URL", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
TOOL_TIME: Final = 10.0  # seconds
_VERSION: Final = re.compile(r"v?(\d+\.\d+\.\d+)")


class Machine:
    """The `Surroundings` port, of this process unless told otherwise. `tool_time`: seconds that a tool may take."""

    def __init__(
        self,
        environment: Mapping[str, str] | None = None,
        service_account: Path = SERVICE_ACCOUNT,
        *,
        tool_time: float = TOOL_TIME,
    ) -> None:
        self._environment = os.environ if environment is None else environment
        self._service_account = service_account
        self._tool_time = tool_time

    async def home(self) -> Home:
        """Whether this is a pod, of which cluster, and where the services lead to that it depends on."""
        in_cluster = bool(self._environment.get("KUBERNETES_SERVICE_HOST"))
        hosts: dict[str, str] = {}
        for variable in DEPENDS_ON:
            host = _host(self._environment.get(variable, ""))
            if host and not _here(host):
                hosts.setdefault(host, variable)
        endpoints = [
            Endpoint(variable=variable, host=host, addresses=await self.addresses(host))
            for host, variable in hosts.items()
        ]
        return Home(in_cluster=in_cluster, ca=self._ca() if in_cluster else None, endpoints=tuple(endpoints))

    async def tools(self) -> Tools | None:
        """The versions of kubectl and kubelogin on PATH."""
        kubectl, kubelogin = await asyncio.gather(
            self._version("kubectl", "version", "--client", "-o", "json"), self._version("kubelogin", "--version")
        )
        return Tools(kubectl=kubectl, kubelogin=kubelogin)

    async def addresses(self, host: str) -> tuple[str, ...]:
        """The addresses behind a name; none when it has none from here."""
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            return ()
        return tuple(sorted({str(one[4][0]) for one in found}))

    def _ca(self) -> str | None:
        try:
            return describe_authority((self._service_account / "ca.crt").read_text(encoding="ascii")).fingerprint
        except (OSError, UnicodeDecodeError, AksEntraError):
            return None

    async def _version(self, name: str, *arguments: str) -> str | None:
        """A program's version; empty when it is not on PATH, None when it does not say."""
        program = shutil.which(name, path=self._environment.get("PATH", ""))
        if program is None:
            return ""
        try:
            process = await asyncio.create_subprocess_exec(
                program,
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
            )
        except OSError:
            return None
        try:
            async with asyncio.timeout(self._tool_time):
                said, _ = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
            return None
        return version_in(said.decode("utf-8", "replace"))


def version_in(said: str) -> str | None:
    """The version in what `kubectl version -o json` or `kubelogin --version` prints."""
    with suppress(ValueError, KeyError, TypeError):
        said = str(json.loads(said)["clientVersion"]["gitVersion"])
    found = _VERSION.search(said)
    return found[1] if found else None


def _host(url: str) -> str:
    try:
        return urlsplit(url if "://" in url else f"//{url}").hostname or ""
    except ValueError:
        return ""


def _here(host: str) -> bool:
    """Whether a name stands for this machine itself."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
