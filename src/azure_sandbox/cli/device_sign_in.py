"""The user's part of a device-code sign-in, from a terminal: what the page at microsoft.com/devicelogin does."""

from __future__ import annotations

import json
import urllib.error
from urllib.parse import urlencode

from azure_sandbox.cli.control_client import NoSandbox, opener_through, reason
from azure_sandbox.entra.devices import DEVICE_FORM


class NotSignedIn(Exception):
    """Entra ID refused the sign-in. The message is Entra ID's."""


def sign_in(code: str, name: str, port: int) -> str:
    """Enter a device code as a user, and return that user's UPN.

    Raises:
        NoSandbox: No sandbox answers on the port.
        NotSignedIn: Entra ID refused, for example because the code is unknown or used.
    """
    form = urlencode({"user_code": code, "username": name}).encode()
    opener = opener_through(port)
    try:
        with opener.open(DEVICE_FORM, form, timeout=30) as answer:
            return str(json.load(answer)["by"])
    except urllib.error.HTTPError as error:
        raise NotSignedIn(str(json.load(error).get("error_description", error))) from error
    except OSError as error:  # URLError too
        raise NoSandbox(reason(error)) from error
