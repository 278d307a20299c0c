"""Prefect's server for this machine only: it answers a request only if its Host header names the loopback interface.

A foreign site can let its own name resolve to 127.0.0.1 (DNS rebinding). A browser then takes this server for that
site, but sends the foreign name as Host. Prefect has no setting for it, so Starlette checks the header.

Prefect's V2 UI asks an analytics service for its configuration, also with `PREFECT_SERVER_ANALYTICS_ENABLED=false`. A
header tells the browser that pages of this server may only connect to this server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import uvicorn
from prefect.server.api.server import create_app
from prefect.settings import get_current_settings
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import RedirectResponse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

HOST: Final = "127.0.0.1"
SPELLED: Final = "localhost"
POLICY: Final = "connect-src 'self'"
"""Content-Security-Policy of every response (W3C CSP Level 3): requests and websockets only to this server."""


def serve() -> None:
    """Serve until the process is told to end. Prefect's settings name port and log level."""
    server = get_current_settings().server
    uvicorn.run(
        guarded(create_app(final=True)),
        host=HOST,
        port=server.api.port,
        timeout_keep_alive=server.api.keepalive_timeout,
        ws_ping_interval=server.api.websocket_ping_interval,
        ws_ping_timeout=server.api.websocket_ping_timeout,
        log_level=server.logging_level.lower(),
    )


def guarded(app: ASGIApp) -> ASGIApp:
    """Wrap an application: foreign Host headers get 400, pages have one address, and they connect to nobody else."""
    return TrustedHostMiddleware(_OnePage(app), allowed_hosts=[HOST, SPELLED], www_redirect=False)


class _OnePage:
    """Redirects a browser from http://localhost to http://127.0.0.1: only there the page may call its own API.

    All other responses carry `POLICY`.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "GET" and not scope["path"].startswith("/api"):
            name, _, port = Headers(scope=scope).get("host", "").partition(":")
            if name == SPELLED:
                query = scope["query_string"].decode("latin-1")
                place = f"http://{HOST}:{port or 80}{scope['path']}" + (f"?{query}" if query else "")
                await RedirectResponse(place)(scope, receive, send)
                return

        async def send_with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["content-security-policy"] = POLICY
            await send(message)

        await self._app(scope, receive, send_with_policy)
