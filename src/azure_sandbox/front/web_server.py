"""The HTTP server of one connection: aiohttp's, whose own refusals carry the sandbox's headers and no traceback."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

LARGEST_BODY = 4 * 1024 * 1024  # bytes; the limit of ARM and of Graph
LONGEST_LINE, LONGEST_FIELD = 16 * 1024, 32 * 1024  # bytes; a token with 200 groups has more than 10,000
UNREADABLE = b"\xff"  # no service parses it: a document and a form are UTF-8
FAILED = 500
_log = logging.getLogger(__name__)


class _Connection(RequestHandler):
    """One connection. What the parser of HTTP refuses is answered here, because no service sees it."""

    def __init__(self, server: Server, **settings: Any) -> None:
        super().__init__(server, **settings)
        self._mark = server.mark

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = FAILED,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Return the answer to a malformed request. Only a failure of the sandbox leaves a traceback in the log."""
        if status >= FAILED:
            answer = super().handle_error(request, status, exc, message)
            answer.headers.update(self._mark)
            return answer
        # The parser quotes what it read, which may be a token: its words are not passed on.
        words = f"the request is not valid HTTP ({type(exc).__name__})"
        _log.info("%s", words)
        refused = web.Response(status=status, text=f"azure sandbox: {words}\n", headers=self._mark)
        refused.force_close()
        return refused

    def log_exception(self, *arguments: Any, **options: Any) -> None:
        """Log a failure with its traceback, except for a body that cannot be read, which was answered."""
        if not isinstance(options.get("exc_info"), web.RequestPayloadError):
            super().log_exception(*arguments, **options)


class Server(web.Server):
    """Makes the protocol of a connection. `mark`: headers that each answer carries."""

    def __init__(self, handler: Any, mark: Mapping[str, str]) -> None:
        super().__init__(handler, request_factory=self._request)
        self.mark = dict(mark)

    def __call__(self) -> RequestHandler:
        """Return the protocol of a new connection."""
        return _Connection(
            self,
            loop=asyncio.get_running_loop(),
            access_log=None,
            keepalive_timeout=300.0,
            max_line_size=LONGEST_LINE,
            max_field_size=LONGEST_FIELD,
        )

    @staticmethod
    def _request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
        loop = asyncio.get_running_loop()
        return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=LARGEST_BODY)


async def body_of(request: web.BaseRequest) -> bytes:
    """Return the body of a request, decompressed.

    A body that is not in its `Content-Encoding` becomes `UNREADABLE`, which the service refuses in its own words.
    Raises aiohttp's 413 for a body above `LARGEST_BODY`.
    """
    try:
        return await request.read()
    except web.RequestPayloadError:
        return UNREADABLE
