"""A person's part of a device-code sign-in, from a terminal: what the page at microsoft.com/devicelogin does.

It goes through the sandbox's own door, so that it works for the sandbox that `up` keeps and for the one around `exec`.
"""

from __future__ import annotations

import json
import os
import shlex
import ssl
import urllib.error
import urllib.request
from urllib.parse import urlencode, urlsplit

from azure_sandbox.entra.service import DEVICE_FORM
from azure_sandbox.http import MARK


class NoSandbox(Exception):
    """No sandbox answers there."""


class NotSignedIn(Exception):
    """Entra's refusal, in its own words."""


def environment_of(port: int) -> str:
    """The export lines of the sandbox on a port; raises NoSandbox."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{port}/environment", timeout=5) as answer:
            if MARK.items() <= {name.lower(): value for name, value in answer.headers.items()}.items():
                return str(answer.read().decode())
    except (urllib.error.URLError, OSError) as error:
        raise NoSandbox(str(error)) from error
    raise NoSandbox("something else answers there")


def port_around() -> int | None:
    """The port of the sandbox that this process is in, if HTTPS_PROXY names one on loopback."""
    parts = urlsplit(os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy") or "")
    return parts.port if parts.hostname in {"127.0.0.1", "localhost"} else None


def sign_in(code: str, name: str, port: int) -> str:
    """Enter a device code as somebody; returns their upn. Raises NoSandbox or NotSignedIn."""
    exports = dict(line.removeprefix("export ").partition("=")[::2] for line in environment_of(port).splitlines())
    (bundle,) = shlex.split(exports["SSL_CERT_FILE"])
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({"https": f"http://127.0.0.1:{port}"}),
        urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=bundle)),
    )
    form = urlencode({"user_code": code, "username": name}).encode()
    try:
        with opener.open(DEVICE_FORM, form, timeout=30) as answer:
            return str(json.load(answer)["by"])
    except urllib.error.HTTPError as error:
        raise NotSignedIn(str(json.load(error).get("error_description", error))) from error
    except (urllib.error.URLError, OSError) as error:
        raise NoSandbox(str(error)) from error
