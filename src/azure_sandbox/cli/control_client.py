"""How a command reaches a running sandbox: by its proxy, as any other client does.

This works for the sandbox that `up` runs and for the one that `exec` runs a command in.
"""

from __future__ import annotations

import json
import os
import shlex
import ssl
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlsplit

from azure_sandbox.front.control import CONTROL_HOST
from azure_sandbox.front.http import MARK

CREDENTIALS = ("AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "ARM_CLIENT_ID", "ARM_CLIENT_SECRET")
"""Variables that `--person` leaves out: with them, kubelogin signs in as the operator and not with its own client."""


class NoSandbox(Exception):
    """No sandbox answers on the port."""


class Refused(Exception):
    """The sandbox refused the request. The message is the sandbox's."""


def reason(error: OSError) -> str:
    """Return why a connection failed, without urllib's own words around it."""
    return str(getattr(error, "reason", error))


def environment_of(port: int, network: str = "") -> str:
    """Return the export lines of the sandbox on a port, for a client in a network. Raises NoSandbox without one."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{port}/environment/{network}".rstrip("/"), timeout=5) as answer:
            if MARK.items() <= {name.lower(): value for name, value in answer.headers.items()}.items():
                return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        raise NoSandbox(f"its world has no network {network}" if network else reason(error)) from error
    except OSError as error:  # URLError too
        raise NoSandbox(reason(error)) from error
    raise NoSandbox("another program answers there")


def port_around() -> int | None:
    """Return the port of the sandbox that this process runs in. Returns None if HTTPS_PROXY names no loopback port."""
    parts = urlsplit(os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy") or "")
    return parts.port if parts.hostname in {"127.0.0.1", "localhost"} else None


def opener_through(port: int, *handlers: urllib.request.BaseHandler) -> urllib.request.OpenerDirector:
    """Return an opener that trusts the CA of the sandbox on a port, and uses its proxy. Raises NoSandbox.

    `handlers` replace urllib's own of the same kind.
    """
    exports = dict(line.removeprefix("export ").partition("=")[::2] for line in environment_of(port).splitlines())
    (bundle,) = shlex.split(exports["SSL_CERT_FILE"])
    return urllib.request.build_opener(
        urllib.request.ProxyHandler({"https": f"http://127.0.0.1:{port}"}),
        urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=bundle)),
        *handlers,
    )


def ask(port: int, method: str, path: str, body: object = None) -> Any:
    """Send a request to the control host of the sandbox on a port, and return its answer; JSON is returned parsed.

    Raises:
        NoSandbox: No sandbox answers on the port.
        Refused: The sandbox answered with an error.
    """
    opener = opener_through(port)
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"https://{CONTROL_HOST}{path}", data=data, method=method)  # https
    try:
        with opener.open(request, timeout=30) as answer:
            text = answer.read().decode()
            return json.loads(text) if "json" in answer.headers["content-type"] else text
    except urllib.error.HTTPError as error:
        raise Refused(str(json.load(error)["error"]["message"])) from error
    except OSError as error:  # URLError too
        raise NoSandbox(reason(error)) from error
