"""Gives every client the same trusted certificates, the same proxy, and the same check of the host.

Libraries disagree: some read SSL_CERT_FILE, some REQUESTS_CA_BUNDLE, and aiohttp only what was set before its import.
Here, all of them count at the time of a connection; Azure's clients look for a proxy once for each host. It must not
know what is sent over the connection.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Final, Self, cast
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from aiohttp.helpers import get_env_proxy_for_url
from azure.core.pipeline import PipelineRequest
from azure.core.pipeline.policies import SansIOHTTPPolicy
from azure.core.pipeline.transport import AioHttpTransport
from yarl import URL

from aks_entra.adapters.http.retry_after import bounded, say, tidy
from aks_entra.errors import AksEntraError, Refused, TryLater

BUNDLES: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""The variables that users of `az` set for a proxy that inspects TLS. OpenSSL itself reads SSL_CERT_*."""

_LOGIN: Final = "login.microsoftonline.com"
_TRUST: Final = "set SSL_CERT_FILE (or REQUESTS_CA_BUNDLE) to a bundle with the certificate of the proxy on the way"
_ENCODED: Final = re.compile(r"^(?:[!$&-;=?-Z_a-z~]|%[0-9A-Fa-f]{2})+$")
_NO_NAME: Final = re.compile(
    r"Name or service not known|name resolution|getaddrinfo|No address associated|Domain name not"
)
_HOST: Final = re.compile(r"[Cc]annot connect to host ([^\s:]+)")


def trust() -> ssl.SSLContext:
    """Return a new TLS client context with the system's certificates (or SSL_CERT_FILE, SSL_CERT_DIR) and `BUNDLES`."""
    context = ssl.create_default_context()
    for variable in BUNDLES:
        named = os.environ.get(variable, "")
        if named and Path(named).is_dir():
            context.load_verify_locations(capath=named)
        elif named and Path(named).is_file():
            context.load_verify_locations(cafile=named)
    return context


def proxy_for(host: str, *, port: int = 443) -> SplitResult | None:
    """Return the proxy in HTTPS_PROXY (or ALL_PROXY) for a host. None without one, or if NO_PROXY names the host."""
    proxies = getproxies()
    named = proxies.get("https") or proxies.get("all")
    if not named or proxy_bypass(f"{host}:{port}") or proxy_bypass(host):
        return None
    return urlsplit(named if "://" in named else f"http://{named}")


class _Pool:
    """The part of a client session that Azure's transport uses. It sends a URL verbatim.

    aiohttp would encode the URL again with other escapes. The URL of an operation is signed, so it must not change. It
    would also read the environment and ~/.netrc for each request, in a thread, and give a host a password from there.
    """

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._proxies: dict[tuple[str, str | None], dict[str, Any]] = {}
        self.auto_decompress = session.auto_decompress

    async def __aenter__(self) -> Self:
        return self

    def request(self, method: str, url: str, **options: Any) -> Awaitable[aiohttp.ClientResponse]:
        target = URL(url, encoded=_ENCODED.match(url) is not None)
        return self._session.request(method, target, **{**options, **self._proxy_of(target)})

    def _proxy_of(self, target: URL) -> dict[str, Any]:
        """Return the options that name the environment's proxy for a host, with its password. Empty without one."""
        origin = (target.scheme, target.host)
        if origin not in self._proxies:
            try:
                proxy, password = get_env_proxy_for_url(target)
            except LookupError:
                self._proxies[origin] = {}
            else:
                headers = {"proxy_headers": {"Proxy-Authorization": password.encode()}} if password else {}
                self._proxies[origin] = {"proxy": proxy, **headers}
        return self._proxies[origin]

    async def close(self) -> None:
        await self._session.close()


def leads_to(url: str, *hosts: str) -> bool:
    """Whether a URL leads to one of these hosts by https on port 443, without a user name in it."""
    try:
        target = urlsplit(url)
        own = target.port in {None, 443} and target.username is None
    except ValueError:
        return False
    return own and target.scheme == "https" and (target.hostname or "").lower() in hosts


def foreign(url: str, host: str) -> Refused:
    """Return the error for a response that points to another host. It shows the other URL up to its host."""
    target = urlsplit(url)
    place = f"{target.scheme}://{target.netloc.rpartition('@')[2]}"[:200]
    return Refused(
        f"a response of {host} leads to {place}: a token for {host} is sent to no other host",
        remedy=f"something between this machine and {host} answers instead of it: check HTTPS_PROXY",
        code="ForeignUrl",
    )


class OwnHostOnly(SansIOHTTPPolicy[Any, Any]):
    """A policy for Azure's SDKs that refuses every request to another host, with or without a token."""

    def __init__(self, host: str) -> None:
        self._host = host

    def on_request(self, request: PipelineRequest[Any]) -> None:
        """Check a request before it gets its token. Raises Refused (code ForeignUrl) for another host."""
        if not leads_to(request.http_request.url, self._host):
            raise foreign(request.http_request.url, self._host)


class _Transport(AioHttpTransport):  # type: ignore[misc]  # azure-core loads it lazily, so that its type is not known
    """Azure's transport, which sends tokens only to its own hosts, and never sleeps longer than `retry_after.LONGEST`.

    Every request uses it, also for the next page of a list and after a redirect. So a response decides neither who
    gets a token nor how long we wait.
    """

    def __init__(self, hosts: tuple[str, ...], sleep: Callable[[float], Awaitable[None]], **options: Any) -> None:
        super().__init__(**options)
        self._hosts = hosts
        self._wait = sleep

    async def send(self, request: Any, **config: Any) -> Any:
        """Send a request. Raises Refused (code ForeignUrl) if another host would get a token."""
        sent = str(request.headers.get("Authorization") or "")
        if sent and (self._hosts or sent.startswith("Bearer ")) and not leads_to(request.url, *self._hosts):
            raise foreign(request.url, next(iter(self._hosts), _LOGIN))
        response = await super().send(request, **config)
        tidy(response.headers)
        return response

    async def sleep(self, duration: float) -> None:
        """Wait before a request is repeated."""
        seconds = bounded(duration)
        say(f"{next(iter(self._hosts), _LOGIN)} asks to wait", seconds)
        await self._wait(seconds)


class Web:
    """One connection pool for all of Azure's SDKs, with the environment's proxies, `trust()`, and no cookies.

    `connect` and `read` are timeouts in seconds; `sleep` waits before a request is repeated.
    """

    def __init__(
        self, *, connect: float, read: float, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._sleep = sleep
        self._timeouts = {"connection_timeout": connect, "read_timeout": read}
        self._pool = _Pool(
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=trust()),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,  # azure-core decompresses by itself
            )
        )

    def transport(self, *hosts: str) -> AioHttpTransport:
        """Return a transport for one of Azure's clients. The pool stays open when the client is closed.

        Only `hosts` get a token. Without hosts, no token is sent: a credential uses the transport to get one.
        """
        session = cast("aiohttp.ClientSession", self._pool)
        return _Transport(hosts, self._sleep, session=session, session_owner=False, **self._timeouts)

    async def close(self) -> None:
        """Close the connection pool."""
        await self._pool.close()


def causes(err: BaseException) -> Iterator[BaseException]:
    """Return an exception and all exceptions behind it, each once: causes, contexts and inner exceptions."""
    seen: set[int] = set()
    queue: list[Any] = [err]
    while queue:
        one = queue.pop(0)
        if isinstance(one, BaseException) and id(one) not in seen:
            seen.add(id(one))
            yield one
            queue += [
                one.__cause__,
                one.__context__,
                *(getattr(one, name, None) for name in ("os_error", "certificate_error", "inner_exception")),
                *(argument for argument in one.args if isinstance(argument, BaseException)),
            ]


def unreachable(err: BaseException, host: str) -> AksEntraError:
    """Return the error for a host that sent no response.

    Refused if its certificate is not trusted. TryLater if its name does not resolve or it cannot be reached.
    """
    chain = tuple(causes(err))
    text = " ".join(str(one) for one in chain)
    named = next((found[1] for found in _HOST.finditer(text)), host)
    if (proxy := proxy_for(host)) is not None and named == proxy.hostname:
        return proxy_unreachable(proxy)
    host = named
    if any(isinstance(one, ssl.SSLCertVerificationError) for one in chain) or "CERTIFICATE_VERIFY_FAILED" in text:
        return Refused(
            f"this machine does not trust the certificate of {host}", remedy=_TRUST, code="CertificateNotTrusted"
        )
    refusal = next((one for one in chain if type(one).__name__ in {"ClientHttpProxyError", "ProxyError"}), None)
    if refusal is not None:
        return proxy_refused(host, getattr(refusal, "status", None))
    return _no_answer(chain, text, host)


def _no_answer(chain: tuple[BaseException, ...], text: str, host: str) -> TryLater:
    if any(isinstance(one, socket.gaierror) for one in chain) or _NO_NAME.search(text):
        return TryLater(
            f"the name {host} cannot be resolved from here",
            remedy="check DNS and the network; a private API server is only resolved inside its network",
            code="NameNotResolved",
        )
    if any(isinstance(one, ssl.SSLError) for one in chain):
        return TryLater(f"no TLS connection with {host} could be made", code="TlsFailed", remedy=_NETWORK)
    late = any(isinstance(one, TimeoutError | asyncio.TimeoutError) for one in chain) or "imeout" in text
    said = f"{host} did not answer in time" if late else f"{host} cannot be reached from here"
    return TryLater(said, code="Unreachable", remedy=_NETWORK)


def proxy_unreachable(proxy: SplitResult) -> TryLater:
    """Return the error for a proxy that does not answer. It shows no user name and password of the proxy."""
    return TryLater(
        f"the proxy {proxy.hostname}{f':{proxy.port}' if proxy.port else ''} cannot be reached",
        remedy="check HTTPS_PROXY",
        code="ProxyUnreachable",
    )


def proxy_refused(host: str, status: int | None) -> AksEntraError:
    """Return the error for a proxy that refuses a host: Refused for 403, 405 and 407, and TryLater for the rest."""
    said = f" (HTTP {status})" if status else ""
    if status in {403, 405, 407}:
        return Refused(
            f"the proxy refuses connections to {host}{said}",
            remedy="allow the host at the proxy, or name it in NO_PROXY; put a user name into HTTPS_PROXY",
            code="ProxyRefused",
        )
    return TryLater(f"the proxy cannot reach {host}{said}", code="Unreachable", remedy=_NETWORK)


_NETWORK: Final = "check network, firewall and HTTPS_PROXY; authorized IP ranges may exclude this machine"
