"""The way out of this machine, the same for every client: which certificates are trusted, and through which proxy.

Libraries disagree: some read SSL_CERT_FILE, some REQUESTS_CA_BUNDLE, aiohttp only what was set before its import. Here
all are honoured, when a connection is made. It must not know what is spoken over the connection.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import ssl
from collections.abc import Awaitable, Iterator
from pathlib import Path
from typing import Any, Final, Self, cast
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from azure.core.pipeline.transport import AioHttpTransport
from yarl import URL

from aks_entra.errors import AksEntraError, Refused, TryLater

BUNDLES: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""What users of `az` set when a proxy opens their TLS; SSL_CERT_FILE and SSL_CERT_DIR are OpenSSL's own."""

_TRUST: Final = "set SSL_CERT_FILE (or REQUESTS_CA_BUNDLE) to a bundle with the certificate of the proxy in between"
_ENCODED: Final = re.compile(r"^(?:[!$&-;=?-Z_a-z~]|%[0-9A-Fa-f]{2})+$")
_NO_NAME: Final = re.compile(
    r"Name or service not known|name resolution|getaddrinfo|No address associated|Domain name not"
)
_HOST: Final = re.compile(r"[Cc]annot connect to host ([^\s:]+)")


def trust() -> ssl.SSLContext:
    """A new TLS client context: the system's certificates (or SSL_CERT_FILE, SSL_CERT_DIR) and the bundles named."""
    context = ssl.create_default_context()
    for variable in BUNDLES:
        named = os.environ.get(variable, "")
        if named and Path(named).is_dir():
            context.load_verify_locations(capath=named)
        elif named and Path(named).is_file():
            context.load_verify_locations(cafile=named)
    return context


def proxy_for(host: str, *, port: int = 443) -> SplitResult | None:
    """The proxy that HTTPS_PROXY (or ALL_PROXY) names for a host, unless NO_PROXY leaves the host out."""
    proxies = getproxies()
    named = proxies.get("https") or proxies.get("all")
    if not named or proxy_bypass(f"{host}:{port}") or proxy_bypass(host):
        return None
    return urlsplit(named if "://" in named else f"http://{named}")


class _Pool:
    """As much of a client session as Azure's transport uses. It sends an encoded URL as it was given.

    aiohttp would write it anew, with other escapes; an operation's URL is signed, and goes out verbatim.
    """

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self.auto_decompress = session.auto_decompress

    async def __aenter__(self) -> Self:
        return self

    def request(self, method: str, url: str, **options: Any) -> Awaitable[aiohttp.ClientResponse]:
        return self._session.request(method, URL(url, encoded=_ENCODED.match(url) is not None), **options)

    async def close(self) -> None:
        await self._session.close()


class Web:
    """One connection pool for all of Azure's SDKs: proxies from the environment, `trust()` as of now, no cookies.

    `connect` and `read` are timeouts in seconds.
    """

    def __init__(self, *, connect: float, read: float) -> None:
        self._timeouts = {"connection_timeout": connect, "read_timeout": read}
        self._pool = _Pool(
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=trust()),
                trust_env=True,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,  # azure-core decompresses by itself
            )
        )

    def transport(self) -> AioHttpTransport:
        """A transport for one of Azure's clients; the pool stays open when the client is closed."""
        session = cast("aiohttp.ClientSession", self._pool)
        return AioHttpTransport(session=session, session_owner=False, **self._timeouts)

    async def close(self) -> None:
        """Close the connection pool."""
        await self._pool.close()


def causes(err: BaseException) -> Iterator[BaseException]:
    """An exception and everything behind it, each once: causes, contexts and the inner ones that clients keep."""
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
    """Why nothing came back from a host, in words: certificate not trusted (Refused); no name, no answer (TryLater)."""
    chain = tuple(causes(err))
    text = " ".join(str(one) for one in chain)
    named = next((found[1] for found in _HOST.finditer(text)), host)
    if (proxy := proxy_for(host)) is not None and named == proxy.hostname:
        return proxy_unreachable(proxy)
    host = named
    if any(isinstance(one, ssl.SSLCertVerificationError) for one in chain) or "CERTIFICATE_VERIFY_FAILED" in text:
        return Refused(f"the certificate of {host} is not trusted here", remedy=_TRUST, code="CertificateNotTrusted")
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
    """The proxy itself does not answer. What stands before the @ in its URL is not shown."""
    return TryLater(
        f"the proxy {proxy.hostname}{f':{proxy.port}' if proxy.port else ''} cannot be reached",
        remedy="check HTTPS_PROXY",
        code="ProxyUnreachable",
    )


def proxy_refused(host: str, status: int | None) -> AksEntraError:
    """The proxy's own refusal to connect to a host: lasting (403, 407: Refused), or not (TryLater)."""
    said = f" (HTTP {status})" if status else ""
    if status in {403, 405, 407}:
        return Refused(
            f"the proxy refuses connections to {host}{said}",
            remedy="have the host allowed at the proxy, or name it in NO_PROXY; a user goes into HTTPS_PROXY",
            code="ProxyRefused",
        )
    return TryLater(f"the proxy cannot reach {host}{said}", code="Unreachable", remedy=_NETWORK)


_NETWORK: Final = "check network, firewall and HTTPS_PROXY; authorized IP ranges may exclude this machine"
