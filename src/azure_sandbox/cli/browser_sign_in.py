"""The user's part of a sign-in in a browser, from a terminal: choose a user, and give the application its answer."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from html.parser import HTMLParser
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from azure_sandbox.cli.control_client import NoSandbox, opener_through, reason
from azure_sandbox.cli.device_sign_in import NotSignedIn
from azure_sandbox.entra.authorize import LOOPBACK


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: the application waits at its end."""

    def redirect_request(self, *_: Any) -> None:
        """Return nothing, so that the redirect is the answer."""


class _Form(HTMLParser):
    """Reads the hidden fields of a page, and where its form is sent."""

    def __init__(self) -> None:
        super().__init__()
        self.action = ""
        self.fields: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Read one element."""
        found = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.action = found["action"]
        elif tag == "input":
            self.fields[found["name"]] = found["value"]


def sign_in_at(url: str, name: str, port: int) -> str:
    """Sign in as a user at the address that an application opens in a browser.

    Returns the address that the browser ends at. For `response_mode=form_post` the answer was sent to the application.

    Raises:
        NoSandbox: No sandbox answers on the port.
        NotSignedIn: Entra ID refused, or the application does not wait on loopback.
    """
    opener = opener_through(port, _Stay())
    page, _, query = url.partition("?")
    form = urlencode({**dict(parse_qsl(query)), "username": name}).encode()
    try:
        with opener.open(page, form, timeout=30) as answer:
            posted = _Form()
            posted.feed(answer.read().decode())
    except urllib.error.HTTPError as error:
        if error.code == HTTPStatus.FOUND:
            return str(error.headers["Location"])
        raise NotSignedIn(str(json.load(error).get("error_description", error))) from error
    except OSError as error:  # URLError too
        raise NoSandbox(reason(error)) from error
    if urlsplit(posted.action).hostname not in LOOPBACK:
        raise NotSignedIn("Conditional Access refused the sign-in, or the application does not wait on loopback")
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(posted.action, urlencode(posted.fields).encode(), timeout=30):
        return posted.action
