"""Reads where this process runs: in a pod or not, and the hosts of its Prefect server and proxies."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from aks_entra.adapters.vault import describe_authority
from aks_entra.core.preflight import Endpoint, Home
from aks_entra.errors import AksEntraError

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""The directory in which a pod finds its token and its cluster's CA."""

DEPENDS_ON: Final = ("PREFECT_API_URL", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")


async def home(environment: Mapping[str, str], service_account: Path) -> Home:
    """Return whether this is a pod, the CA of its cluster, and the addresses of the services that it depends on."""
    in_cluster = bool(environment.get("KUBERNETES_SERVICE_HOST"))
    hosts: dict[str, str] = {}
    for variable in DEPENDS_ON:
        host = _host(environment.get(variable, ""))
        if host and not _here(host):
            hosts.setdefault(host, variable)
    endpoints = [
        Endpoint(variable=variable, host=host, addresses=await addresses(host)) for host, variable in hosts.items()
    ]
    ca = _ca(service_account) if in_cluster else None
    return Home(in_cluster=in_cluster, ca=ca, endpoints=tuple(endpoints))


async def addresses(host: str) -> tuple[str, ...]:
    """Return the addresses of a host name, as this machine resolves it. Empty if it does not resolve."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return ()
    return tuple(sorted({str(one[4][0]) for one in found}))


def _ca(service_account: Path) -> str | None:
    try:
        return describe_authority((service_account / "ca.crt").read_text(encoding="ascii")).fingerprint
    except (OSError, UnicodeDecodeError, AksEntraError):
        return None


def _host(url: str) -> str:
    try:
        return urlsplit(url if "://" in url else f"//{url}").hostname or ""
    except ValueError:
        return ""


def _here(host: str) -> bool:
    """Whether a host name or address is this machine's own."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
