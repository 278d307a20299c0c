"""Reads the serving certificate of an API server by a TLS handshake, through a proxy if one is configured.

It sends no credential, and it does not verify the certificate.
"""

from __future__ import annotations

import asyncio
import base64
import re
import ssl
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from cryptography import x509

from aks_entra.adapters.certificates import issuer_key
from aks_entra.adapters.http.network import proxy_for, proxy_refused, proxy_unreachable, trust, unreachable
from aks_entra.core.cluster import ServingCertificate
from aks_entra.core.durations import stamp
from aks_entra.errors import TryLater

if TYPE_CHECKING:
    from urllib.parse import SplitResult

_STATUS: Final = re.compile(rb"^HTTP/1\.\d (\d{3})")
_GRANTED: Final = 200


async def handshake(fqdn: str, *, timeout: float, port: int = 443) -> ServingCertificate:  # noqa: ASYNC109 - one budget for connect, proxy and TLS together
    """Return the serving certificate. `timeout` is in seconds.

    TryLater when nobody answers, Refused when the proxy refuses the host.
    """
    proxy = proxy_for(fqdn, port=port)
    try:
        async with asyncio.timeout(timeout):
            der = await _certificate(fqdn, port, proxy)
    except (OSError, ssl.SSLError, TimeoutError, asyncio.IncompleteReadError) as err:
        raise unreachable(err, fqdn) from err
    return describe(x509.load_der_x509_certificate(der))


def describe(certificate: x509.Certificate) -> ServingCertificate:
    """Return issuer, authority key identifier (hex; None without one) and validity of a certificate."""
    return ServingCertificate(
        issuer=certificate.issuer.rfc4514_string(),
        issuer_key=issuer_key(certificate) or None,
        not_before=stamp(certificate.not_valid_before_utc),
        not_after=stamp(certificate.not_valid_after_utc),
    )


async def _certificate(fqdn: str, port: int, proxy: SplitResult | None) -> bytes:
    looking = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    looking.check_hostname = False  # the certificate is only described, so it is not verified
    looking.verify_mode = ssl.CERT_NONE
    if proxy is None:
        _, writer = await asyncio.open_connection(fqdn, port, ssl=looking, server_hostname=fqdn)
    else:
        writer = await _through(proxy, fqdn, port)
        await writer.start_tls(looking, server_hostname=fqdn)
    try:
        tls: ssl.SSLObject = writer.get_extra_info("ssl_object")
        der = tls.getpeercert(binary_form=True)
    finally:
        writer.transport.abort()  # nothing was sent, and a clean shutdown of TLS takes time
    if der is None:
        raise TryLater(f"{fqdn} showed no certificate", code="TlsFailed")
    return der


async def _through(proxy: SplitResult, fqdn: str, port: int) -> asyncio.StreamWriter:
    secure = proxy.scheme == "https"
    try:
        reader, writer = await asyncio.open_connection(
            proxy.hostname or "", proxy.port or (443 if secure else 80), ssl=trust() if secure else None
        )
    except OSError as err:
        raise proxy_unreachable(proxy) from err
    try:
        lines = [f"CONNECT {fqdn}:{port} HTTP/1.1", f"Host: {fqdn}:{port}"]
        if proxy.username is not None:
            user = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
            lines.append(f"Proxy-Authorization: Basic {base64.b64encode(user.encode()).decode()}")
        writer.write("\r\n".join([*lines, "", ""]).encode("ascii"))
        answer = _STATUS.match(await reader.readuntil(b"\r\n\r\n"))
    except BaseException:
        writer.transport.abort()
        raise
    status = int(answer[1]) if answer else None
    if status != _GRANTED:
        writer.transport.abort()
        raise proxy_refused(fqdn, status)
    return writer
