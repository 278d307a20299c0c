"""How a command reaches a sandbox that runs: through its own door, by the control host."""

from __future__ import annotations

import json
import shlex
import ssl
import urllib.error
import urllib.request
from typing import Any

from azure_sandbox.control import CONTROL_HOST
from azure_sandbox.sign_in import NoSandbox, environment_of


class Refused(Exception):
    """The sandbox's refusal, in its own words."""


def ask(port: int, method: str, path: str, body: object = None) -> Any:
    """Ask the control host of the sandbox on a port; JSON comes back parsed. Raises NoSandbox or Refused."""
    exports = dict(line.removeprefix("export ").partition("=")[::2] for line in environment_of(port).splitlines())
    (bundle,) = shlex.split(exports["SSL_CERT_FILE"])
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({"https": f"http://127.0.0.1:{port}"}),
        urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=bundle)),
    )
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"https://{CONTROL_HOST}{path}", data=data, method=method)  # https
    try:
        with opener.open(request, timeout=30) as answer:
            text = answer.read().decode()
            return json.loads(text) if "json" in answer.headers["content-type"] else text
    except urllib.error.HTTPError as error:
        raise Refused(str(json.load(error)["error"]["message"])) from error
    except (urllib.error.URLError, OSError) as error:
        raise NoSandbox(str(error)) from error
