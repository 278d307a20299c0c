"""Record what a command says to the real Azure: a proxy that asks the real hosts, and keeps scrubbed exchanges.

The proxy terminates TLS for ARM, Entra ID, Graph and Log Analytics with a certificate authority of its own. It asks the
real host over a connection whose certificate it verifies, by way of HTTPS_PROXY if that is set. A connection to a
cluster's API server passes through unread: it is encrypted for the cluster's own certificate authority.
"""

from __future__ import annotations

import os
import ssl
import urllib.request
from base64 import b64encode
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote, urlsplit
from weakref import WeakSet

import aiohttp
from yarl import URL

from azure_sandbox.clock import Clock
from azure_sandbox.front.environment import LOOPBACK
from azure_sandbox.front.home import HomeFolder
from azure_sandbox.front.http import Reply, Request
from azure_sandbox.front.pki import Authority
from azure_sandbox.front.proxy import Proxy, Target, Unreachable
from azure_sandbox.front.traffic_report import Exchange
from azure_sandbox.front.tunnel import Passage
from azure_sandbox.recordings.exchange import scrubbed
from azure_sandbox.recordings.scrub import Scrubber

HOSTS = ("management.azure.com", "login.microsoftonline.com", "graph.microsoft.com", "api.loganalytics.io")
API_SERVERS = ".azmk8s.io"
HTTPS = 443
NAME = "aks-entra-sandbox recorder CA (trust it nowhere else)"
BUNDLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
BY_HOP = {
    *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding"),
    *("upgrade", "host", "content-length", "content-encoding", "accept-encoding"),
}
TIMEOUT = aiohttp.ClientTimeout(total=300)


class Recorder:
    """A proxy on loopback, and the scrubbed exchanges that went through it, in memory.

    async with Recorder() as recorder:
        ...  # run a client with recorder.environment
    """

    def __init__(self) -> None:
        self.exchanges: list[dict[str, Any]] = []
        self.passed: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.unanswered = 0
        self.unreadable = 0
        self._scrubber = Scrubber()
        clock = Clock(pace=1)
        self._authority = Authority(clock.now(), NAME)
        self._front = self._authority.server_context(HOSTS)
        self._proxy = Proxy(self, clock, observe=self._observe, mark={})
        self._tunnels: WeakSet[Any] = WeakSet()
        self._folder = HomeFolder()
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        bundle = _bundle()
        trust = ssl.create_default_context(cafile=str(bundle) if bundle else None)
        trusted = bundle or Path(ssl.get_default_verify_paths().cafile or "/nonexistent")
        known = trusted.read_bytes() if trusted.is_file() else b""
        self._bundle = self._folder.path / "ca.pem"
        self._bundle.write_bytes(self._authority.pem + known)
        connector = aiohttp.TCPConnector(ssl=trust)
        self._session = aiohttp.ClientSession(connector=connector, trust_env=True, timeout=TIMEOUT)
        await self._proxy.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._proxy.stop()
        if self._session is not None:
            await self._session.close()
        self._folder.close()

    @property
    def spare(self) -> frozenset[int]:
        """Return the process IDs that must outlive the command."""
        return frozenset() if self._folder.watcher is None else frozenset({self._folder.watcher})

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables that send a client through this proxy. Everything else of the environment stays."""
        direct = ",".join(filter(None, (os.environ.get("NO_PROXY") or os.environ.get("no_proxy"), LOOPBACK)))
        return {
            **os.environ,
            **dict.fromkeys(("HTTPS_PROXY", "https_proxy"), self._proxy.url),
            **dict.fromkeys(("NO_PROXY", "no_proxy"), direct),
            **dict.fromkeys((*BUNDLES, "NODE_EXTRA_CA_CERTS"), str(self._bundle)),
        }

    def target(self, host: str, port: int, _network: str = "") -> Target | Passage:
        """Return the recorded front of a host, or a passage to an API server. Raises Unreachable for other hosts."""
        if port == HTTPS and host in HOSTS:
            return Target(context=self._front, handle=self._ask)
        if port == HTTPS and host.endswith(API_SERVERS):
            return self._passage(host)
        self.refused[host] += 1
        raise Unreachable(403, f"{host}:{port} is not recorded. Put the host into NO_PROXY to reach it directly")

    def greeting(self, _: str) -> str | None:
        """Return None: this proxy answers nothing itself."""
        return None

    def _observe(self, exchange: Exchange) -> None:
        if exchange.method == "CONNECT":
            self.passed["*" + API_SERVERS] += 1

    def _passage(self, host: str) -> Passage:
        proxy = urlsplit("" if urllib.request.proxy_bypass(host) else urllib.request.getproxies().get("https", ""))
        if proxy.hostname is None:
            return Passage(host=host, port=HTTPS, connections=self._tunnels)
        opening = f"CONNECT {host}:{HTTPS} HTTP/1.1\r\nHost: {host}:{HTTPS}\r\n"
        if proxy.username is not None:
            pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
            opening += f"Proxy-Authorization: Basic {b64encode(pair.encode()).decode()}\r\n"
        return Passage(
            host=proxy.hostname, port=proxy.port or 80, connections=self._tunnels, opening=f"{opening}\r\n".encode()
        )

    async def _ask(self, request: Request) -> Reply:
        assert self._session is not None  # noqa: S101  # the proxy has started
        url = URL(f"https://{request.host}{request.raw_path}", encoded=True)
        headers = {name: value for name, value in request.headers.items() if name.lower() not in BY_HOP}
        try:
            async with self._session.request(
                request.method, url, headers=headers, data=request.body or None, allow_redirects=False
            ) as answer:
                kept = {name: value for name, value in answer.headers.items() if name.lower() not in BY_HOP}
                reply = Reply(answer.status, await answer.read(), kept)
        except (aiohttp.ClientError, TimeoutError) as error:
            self.unanswered += 1
            words = f"The recorder got no answer from {request.host}: {error}"
            return Reply(502, {"error": {"code": "RecorderGotNoAnswer", "message": words}})
        try:
            self.exchanges.append(scrubbed(request, reply, self._scrubber))
        except Exception:  # noqa: BLE001  # Azure has acted: the client must get its answer
            self.unreadable += 1
        return reply


def missing_bundle() -> str:
    """Return the variable that names a CA bundle which is no file, as `NAME=PATH`. Empty if there is none."""
    return next(
        (f"{it}={os.environ[it]}" for it in BUNDLES if os.environ.get(it) and not Path(os.environ[it]).is_file()), ""
    )


def _bundle() -> Path | None:
    """Return the CA bundle that the environment names for all clients. Returns None if it names none."""
    return next((Path(os.environ[name]) for name in BUNDLES if os.environ.get(name)), None)
