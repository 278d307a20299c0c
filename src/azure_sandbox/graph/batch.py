"""Answer `$batch`: up to 20 requests in one, each as if it had come alone, in the order that `dependsOn` requires.

Source: Graph's json-batching page. If a dependency fails, the request gets 424. A 429 inside leaves the batch at 200.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

from multidict import CIMultiDict

from azure_sandbox.front.http import Problem, Reply, Request, split_path
from azure_sandbox.graph import errors

MAX_REQUESTS = 20
_FAILED = 400
_INHERITED = ("Authorization", "client-request-id", "User-Agent")


async def answer(request: Request, handle: Callable[[Request], Awaitable[Reply]]) -> Reply:
    """POST /$batch. Raises 400 for a malformed batch."""
    entries = _entries(request)
    done: dict[str, Reply] = {}
    for entry in entries:
        identity = str(entry["id"])
        needs = [str(it) for it in entry.get("dependsOn") or ()]
        if any(it not in done for it in needs):
            raise _bad("dependsOn must name a request that comes before.")
        if any(done[it].status >= _FAILED for it in needs):
            failed = {"code": "FailedDependency", "message": "A request that this one depends on failed."}
            done[identity] = Reply(424, {"error": failed})
        else:
            done[identity] = await handle(_single(request, entry))
    return Reply(body={"responses": [_shown(identity, reply) for identity, reply in done.items()]})


def _entries(request: Request) -> list[dict[str, Any]]:
    try:
        entries = request.json()["requests"]
    except (Problem, KeyError) as error:
        raise _bad("Invalid batch payload format.") from error
    if not isinstance(entries, list) or not entries or len(entries) > MAX_REQUESTS:
        raise _bad(f"Number of batch request steps must be between 1 and {MAX_REQUESTS}.")
    for entry in entries:
        whole = isinstance(entry, dict) and all(isinstance(entry.get(it), str) for it in ("id", "method", "url"))
        if not whole:
            raise _bad("Invalid batch payload format: id, method and url are required.")
    if len({it["id"] for it in entries}) != len(entries):
        raise _bad("Request Ids must be unique.")
    return entries


def _single(request: Request, entry: dict[str, Any]) -> Request:
    path, _, query = entry["url"].partition("?")
    version = request.path.split("/")[1]
    headers = CIMultiDict((it, request.headers[it]) for it in _INHERITED if it in request.headers)
    headers.update({str(name): str(value) for name, value in (entry.get("headers") or {}).items()})
    whole = f"/{version}/{path.lstrip('/')}"
    body = entry.get("body")
    return replace(
        request,
        method=entry["method"].upper(),
        path=split_path(whole),
        raw_path=f"{whole}?{query}" if query else whole,
        query=dict(parse_qsl(query, keep_blank_values=True)),
        headers=headers,
        body=b"" if body is None else json.dumps(body).encode(),
    )


def _shown(identity: str, reply: Reply) -> dict[str, Any]:
    headers = {name: value for name, value in reply.headers.items() if name.lower() in {"location", "retry-after"}}
    if isinstance(reply.body, dict):
        headers["Content-Type"] = "application/json"
    shown: dict[str, Any] = {"id": identity, "status": reply.status, "headers": headers}
    return shown if reply.body is None else {**shown, "body": reply.body}


def _bad(message: str) -> Exception:
    return errors.problem(400, "BadRequest", message)
