"""Which requests reach Prefect's application: those that are meant for this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest
from starlette.responses import PlainTextResponse

from aks_entra.prefect_client.loopback_server import guarded

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send


async def prefect(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("reached")(scope, receive, send)


async def ask(path: str, host: str, method: str = "GET") -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(guarded(prefect)), base_url="http://127.0.0.1") as http:
        return await http.request(method, path, headers={"Host": host})


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:4200", "localhost:4200"])
async def test_this_machine_s_own_names_are_answered(host: str) -> None:
    assert (await ask("/api/health", host)).text == "reached"


@pytest.mark.parametrize("path", ["/", "/api/health", "/api/deployments/filter", "/ui-settings"])
@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:4200", "127.0.0.1.evil.example", "localhost.evil.example", "", "[::1]", "10.0.0.1"],
)
async def test_a_foreign_host_header_is_refused(path: str, host: str) -> None:
    answer = await ask(path, host, "POST")
    assert (answer.status_code, answer.text) == (400, "Invalid host header")


async def test_a_foreign_host_header_opens_no_websocket() -> None:
    sent = []

    async def send(message: object) -> None:
        sent.append(message)

    async def receive() -> dict[str, str]:
        return {"type": "websocket.connect"}

    async def reached(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise AssertionError("a foreign page reached Prefect")

    scope: Scope = {"type": "websocket", "path": "/api/events/in", "headers": [(b"host", b"evil.example")]}
    scope["extensions"] = {"websocket.http.response": {}}
    await guarded(reached)(scope, receive, send)
    assert sent


async def test_the_page_has_one_address() -> None:
    answer = await ask("/runs/flow-run/1?tab=logs", "localhost:4200")
    assert (answer.status_code, answer.headers["location"]) == (307, "http://127.0.0.1:4200/runs/flow-run/1?tab=logs")
    assert (await ask("/", "localhost")).headers["location"] == "http://127.0.0.1:80/"


async def test_a_browser_lets_a_page_connect_only_to_this_server() -> None:
    answer = await ask("/v2/", "127.0.0.1:4200")
    assert answer.headers["content-security-policy"] == "connect-src 'self'"
