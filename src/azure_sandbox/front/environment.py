"""The environment variables that send clients to a sandbox, for each language that has its own way to say it."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from azure_sandbox.front.pki import Authority

LOOPBACK = "127.0.0.1,localhost,::1"
BUNDLE, TRUST_STORE = "ca.pem", "ca.p12"
TRUST_STORE_PASSWORD = "changeit"  # noqa: S105  # Java's own default: the store holds a public certificate


def write_trust(authority: Authority, folder: Path) -> None:
    """Write the certificate of the authority for clients: as a PEM bundle, and as a PKCS #12 trust store for Java."""
    (folder / BUNDLE).write_bytes(authority.pem)
    (folder / TRUST_STORE).write_bytes(authority.java_trust_store(TRUST_STORE_PASSWORD))


def network_variables(proxy: str, folder: Path) -> dict[str, str]:
    """Return the variables by which clients use the proxy with this URL, and trust what `write_trust` wrote.

    Go, Python and curl read the first ones. Node.js reads HTTPS_PROXY only with NODE_USE_ENV_PROXY (from 22.21 and
    24.5 on). Every Java virtual machine reads JAVA_TOOL_OPTIONS.
    """
    bundle = str(folder / BUNDLE)
    return {
        **dict.fromkeys(("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"), proxy),
        **dict.fromkeys(("NO_PROXY", "no_proxy"), LOOPBACK),
        **dict.fromkeys(("ALL_PROXY", "all_proxy"), ""),
        **dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"), bundle),
        "SSL_CERT_DIR": "",
        "NODE_USE_ENV_PROXY": "1",
        "JAVA_TOOL_OPTIONS": _java_options(proxy, folder),
    }


def _java_options(proxy: str, folder: Path) -> str:
    address = urlsplit(proxy)
    properties = {
        "https.proxyHost": address.hostname,
        "https.proxyPort": address.port,
        "javax.net.ssl.trustStore": folder / TRUST_STORE,
        "javax.net.ssl.trustStoreType": "PKCS12",
        "javax.net.ssl.trustStorePassword": TRUST_STORE_PASSWORD,
    }
    return " ".join(f'"-D{name}={value}"' for name, value in properties.items())
