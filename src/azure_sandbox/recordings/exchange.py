"""One exchange with Azure, as a recording holds it: scrubbed, with the headers that clients act on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from azure_sandbox.front.http import Reply, Request
from azure_sandbox.recordings.scrub import Scrubber

HEADERS = (
    *("azure-asyncoperation", "location", "content-type", "retry-after", "etag", "x-ms-failure-cause"),
    *("x-ms-ratelimit-remaining-subscription-reads", "x-ms-ratelimit-remaining-subscription-writes"),
)
FORM = "application/x-www-form-urlencoded"


def scrubbed(request: Request, reply: Reply, scrubber: Scrubber) -> dict[str, Any]:
    """Return an exchange as a recording holds it: method, url, request, status, headers, response."""
    sent = {name.lower(): value for name, value in request.headers.items()}
    answered = {name.lower(): value for name, value in reply.headers.items()}
    return {
        "method": request.method,
        "url": scrubber.text(f"https://{request.host}{request.raw_path}"),
        "request": _body(request.body, sent, scrubber),
        "status": reply.status,
        "headers": {name: scrubber.text(answered[name], name) for name in HEADERS if name in answered},
        "response": _body(reply.encoded()[0], answered, scrubber),
    }


def _body(body: bytes, headers: Mapping[str, str], scrubber: Scrubber) -> Any:
    if not body:
        return None
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return f"<{len(body)} bytes>"
    if headers.get("content-type", "").startswith(FORM):
        fields = dict(parse_qsl(text, keep_blank_values=True))
        # `code` is an authorization code here, and an error's code in JSON.
        return {name: scrubber.document(it, "token" if name == "code" else name) for name, it in fields.items()}
    try:
        return scrubber.document(json.loads(text))
    except ValueError:
        return scrubber.text(text)
