"""Sends arbitrary requests to a sandbox in this process, and checks what must hold for every response."""

from __future__ import annotations

from functools import cache
from urllib.parse import quote

from hypothesis import strategies as st

from azure_sandbox.front.http import Reply, Request, split_path
from azure_sandbox.front.tunnel import Passage
from azure_sandbox.server import Sandbox

ARM, GRAPH, LOGIN = "management.azure.com", "graph.microsoft.com", "login.microsoftonline.com"
AUDIENCES = {ARM: "https://management.azure.com", GRAPH: "https://graph.microsoft.com"}
SCOPE = "/subscriptions/0b7d5c1e-3f2a-4e89-9c64-d8a1b5e7f302"
GROUP = f"{SCOPE}/resourceGroups/pay-weu"
CLUSTER = f"{GROUP}/providers/Microsoft.ContainerService/managedClusters/pay-01"
WORD = st.text(max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | WORD,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORD, inner, max_size=3),
    max_leaves=8,
)


@cache
def operator_token(sandbox: Sandbox, audience: str) -> str:
    return sandbox.tokens.issue(sandbox.operator.principal, audience=audience)


async def ask(sandbox: Sandbox, host: str, method: str, path: str, query: dict[str, str], body: bytes) -> Reply:
    server = sandbox.clusters.for_host(host)
    headers: dict[str, str] = {"content-type": "application/json"}
    if server is not None:
        headers["authorization"] = f"Bearer {server.generation.token}"
    elif host in AUDIENCES:
        headers["authorization"] = f"Bearer {operator_token(sandbox, AUDIENCES[host])}"
    request = Request(
        method=method,
        host=host,
        path=split_path(quote(path, safe="/%")),
        raw_path=path,
        query=query,
        headers=headers,
        body=body,
        now=sandbox.clock.now(),
    )
    target = sandbox.target(host, 443, "") if server is None else server
    assert not isinstance(target, Passage)
    reply = await target.handle(request)
    if reply.stream is not None:
        await reply.stream.aclose()  # type: ignore[attr-defined]  # an async generator
    return reply


def check(reply: Reply, webhook: bool = False) -> None:
    assert reply.status != 500 or webhook, reply
    reply.encoded()
    if reply.status >= 400 and isinstance(reply.body, dict):
        assert "Traceback" not in str(reply.body)
