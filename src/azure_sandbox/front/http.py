"""Requests, replies, errors and routes of the sandbox's services, independent of any HTTP server.

A request that matches no route gets a 501 that says so, never an empty success.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from urllib.parse import unquote

Body = dict[str, Any] | list[Any] | bytes | str | None
DEEPEST = 200  # levels of a JSON document
TOO_DEEP = "exceeded max depth"
MARK = {"x-azure-sandbox": "true"}


class Problem(Exception):
    """An error that a handler raises and that is answered as JSON."""

    def __init__(self, status: int, body: dict[str, Any], headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{status} {body}")
        self.status = status
        self.body = body
        self.headers = dict(headers or {})


def on_one_line(text: str) -> str:
    """Return a text with its control characters escaped, so that none of them acts on a terminal."""
    return "".join(it if it.isprintable() else repr(it)[1:-1] for it in text)


def parsed(text: bytes | str) -> Any:
    """Return the value of a JSON text. Raises ValueError for any other text, and for one that nests too deeply."""
    try:
        value = json.loads(text)
    except RecursionError as error:
        raise ValueError(TOO_DEEP) from error
    level, inner = 0, [value]
    while inner:
        level += 1
        if level > DEEPEST:
            raise ValueError(TOO_DEEP)
        lists = (it.values() if isinstance(it, dict) else it for it in inner if isinstance(it, dict | list))
        inner = [one for it in lists for one in it if isinstance(one, dict | list)]
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One HTTP request. `path` is decoded (an encoded slash stays `%2F`) and has no repeated slashes.

    `query` keeps the last value of each name, `headers` ignore case, `peer_certificate` is DER, `now` is UTC.
    """

    method: str
    host: str
    path: str
    raw_path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""
    peer_certificate: bytes | None = None
    now: datetime

    def json(self) -> dict[str, Any]:
        """Return the body as a JSON object. Raises a 400 Problem for any other body."""
        try:
            document = parsed(self.body)
        except ValueError as error:
            raise Problem(400, _error("InvalidRequestContent", f"The request content was invalid: {error}")) from error
        if not isinstance(document, dict):
            raise Problem(400, _error("InvalidRequestContent", "The request content is not a JSON object."))
        return document


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer. A dict or list is sent as JSON, a str as plain text, bytes unchanged, None as an empty body.

    A `stream` is sent instead of the body, piece by piece, until it ends or the client disconnects.
    """

    status: int = 200
    body: Body = None
    headers: Mapping[str, str] = field(default_factory=dict)
    stream: AsyncIterator[bytes] | None = None

    def encoded(self) -> tuple[bytes, str | None]:
        """Return the bytes to send and their content type. The type is None for bytes and for an empty body."""
        match self.body:
            case None:
                return b"", None
            case bytes() as raw:
                return raw, "application/octet-stream"
            case str() as text:
                return text.encode(), "text/plain; charset=utf-8"
            case document:
                return json.dumps(document).encode(), "application/json; charset=utf-8"


Handler = Callable[..., Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class _Route:
    method: str
    template: str
    pattern: re.Pattern[str]
    handler: Handler


class Router:
    """Case-insensitive path templates. `{name}` matches within one segment; `{name:path}` may contain slashes.

    If several templates match, the one that was added first is used. With `decodes_slashes` an encoded slash separates
    segments like a plain one, as in ARM, where clients send whole scopes encoded.
    """

    def __init__(self, service: str, *, decodes_slashes: bool = False) -> None:
        self.service = service
        self._decodes_slashes = decodes_slashes
        self._routes: list[_Route] = []

    def add(self, method: str, template: str, handler: Handler) -> None:
        """Serve a template with `async handler(request, **parts) -> Reply`. The parts are decoded."""
        self._routes.append(_Route(method.upper(), template, _compile(template), handler))

    async def dispatch(self, request: Request) -> Reply:
        """Answer a request. A Problem becomes its reply; a request without a route gets a 501."""
        if self._decodes_slashes:
            request = replace(request, path=_collapsed(request.path.replace("%2F", "/")))
        path = request.path.rstrip("/") or "/"
        others: set[str] = set()
        for route in self._routes:
            match = route.pattern.fullmatch(path)
            if match is None:
                continue
            if route.method != request.method:
                others.add(route.method)
                continue
            parts = {name: part.replace("%2F", "/") for name, part in match.groupdict().items()}
            try:
                return await route.handler(request, **parts)
            except Problem as problem:
                return Reply(problem.status, problem.body, problem.headers)
        return self._not_modelled(request, others)

    def _not_modelled(self, request: Request, others: set[str]) -> Reply:
        hint = f" That path is modelled for {', '.join(sorted(others))}." if others else ""
        message = (
            f"The sandbox's {self.service} does not model {request.method} https://{request.host}{request.path}.{hint} "
            f"To model it: router.add({request.method!r}, {request.path!r}, handler) in azure_sandbox."
        )
        return Reply(501, _error("SandboxRouteNotModelled", message))


def split_path(raw_path: str) -> str:
    """Decode a raw path as in `Request.path`: repeated slashes collapsed, encoded slashes kept."""
    kept = re.sub("%2f", "%252F", raw_path, flags=re.IGNORECASE)
    return _collapsed(unquote(kept))


def _collapsed(path: str) -> str:
    return re.sub("/{2,}", "/", path)


def _compile(template: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)(:path)?\}", template)
    pattern = re.escape(parts[0])
    for name, deep, literal in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        pattern += f"(?P<{name}>{'.+' if deep else '[^/]+?'})" + re.escape(literal)
    return re.compile(pattern, re.IGNORECASE)


def _error(code: str, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message}}
