"""Malformed requests over real connections: the service's refusal with the sandbox's header, no 500, no traceback."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import logging
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from azure_sandbox.front.http import DEEPEST, on_one_line, parsed
from azure_sandbox.front.traffic_report import Exchange
from azure_sandbox.server import Sandbox
from azure_sandbox.world.model import World

ARM, GRAPH, LOGIN = "management.azure.com", "graph.microsoft.com", "login.microsoftonline.com"
SUBSCRIPTION = "3e8b1a70-6c2f-4d95-b0e4-8f7a2c5d9163"
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourcegroups/shop?api-version=2021-04-01"
WORLD = {
    "version": 1,
    "servicePrincipals": [{"name": "operator", "graphPermissions": ["Group.ReadWrite.All"]}],
    "operator": "operator",
    "subscriptions": [
        {
            "name": "prod",
            "id": SUBSCRIPTION,
            "roleAssignments": [{"principal": "operator", "role": "Owner"}],
            "resourceGroups": [{"name": "shop", "clusters": [{"name": "shop-01"}]}],
        }
    ],
}
DEEP = b'{"a":' * 3000 + b"1" + b"}" * 3000
UNFINISHED = b'{"location": '


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: nothing, or a head and a body."""

    raw: bytes

    @property
    def status(self) -> int:
        return int(self.raw.split(b" ", 2)[1])

    @property
    def head(self) -> bytes:
        return self.raw.partition(b"\r\n\r\n")[0].lower()

    @property
    def body(self) -> Any:
        return json.loads(self.raw.partition(b"\r\n\r\n")[2])


class Raw:
    """A client that sends bytes to a host of the sandbox, over TLS."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self._tls = ssl.create_default_context(cafile=str(sandbox.folder / "ca.pem"))
        self.cluster = next(iter(sandbox.clusters.all()))

    def bearer(self, host: str) -> bytes:
        if host == self.cluster.fqdn:
            return self.cluster.generation.token.encode()
        return self.sandbox.tokens.issue(self.sandbox.operator.principal, audience=f"https://{host}").encode()

    async def send(self, host: str, sent: bytes) -> Answer:
        tls = self._tls
        if host == self.cluster.fqdn:
            tls = ssl.create_default_context(cadata=self.cluster.generation.authority.certificate_pem.decode())
        reader, writer = await asyncio.open_connection("127.0.0.1", self.sandbox.proxy.port)
        writer.write(f"CONNECT {host}:443 HTTP/1.1\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        await writer.start_tls(tls, server_hostname=host)
        writer.write(sent)
        answer = b""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next((int(it[15:]) for it in head.lower().split(b"\r\n") if it.startswith(b"content-length:")), 0)
            answer = head + await reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.transport.abort()
        return Answer(answer)

    async def post(self, host: str, target: str, body: bytes, *headers: bytes, method: bytes = b"POST") -> Answer:
        lines = [b"%s %s HTTP/1.1" % (method, target.encode()), b"Host: " + host.encode(), *headers]
        lines += [b"Authorization: Bearer " + self.bearer(host)] if host != LOGIN else []
        lines += [b"Content-Length: %d" % len(body)]
        return await self.send(host, b"\r\n".join([*lines, b"", body]))


@pytest.fixture(name="raw")
async def a_raw_client() -> AsyncIterator[Raw]:
    async with Sandbox(World.model_validate(WORLD)) as sandbox:
        yield Raw(sandbox)


@pytest.mark.parametrize("encoding", [b"gzip", b"deflate", b"br", b"zstd"])
async def test_a_body_that_is_not_in_its_encoding_gets_the_400_of_the_service(
    raw: Raw, caplog: pytest.LogCaptureFixture, encoding: bytes
) -> None:
    caplog.set_level(logging.INFO)
    told, document = b"Content-Encoding: " + encoding, b'{"location": "westeurope"}'
    arm = await raw.post(ARM, GROUP, document, told, method=b"PUT")
    graph = await raw.post(GRAPH, "/v1.0/groups", document, told)
    login = await raw.post(LOGIN, f"/{raw.sandbox.operator.tenant_id}/oauth2/v2.0/token", b"grant_type=x", told)
    kube = await raw.post(raw.cluster.fqdn, "/api/v1/namespaces", document, told)
    for answer in (arm, graph, login, kube):
        assert answer.status == 400, answer
        assert b"x-azure-sandbox: true" in answer.head
    if encoding in {b"gzip", b"deflate"}:
        assert arm.body["error"]["code"] == "InvalidRequestContent"
        assert graph.body["error"]["message"] == "Unable to read JSON request payload."
        assert login.body["error_codes"] == [9002313]
        assert kube.body["reason"] == "BadRequest"
    assert not [it for it in caplog.records if it.exc_info]


async def test_a_compressed_body_is_read(raw: Raw) -> None:
    body = gzip.compress(b'{"location": "westeurope"}')
    assert (await raw.post(ARM, GROUP, body, b"Content-Encoding: gzip", method=b"PUT")).status == 200


async def test_the_parsers_refusal_does_not_repeat_what_was_sent(raw: Raw, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    told = b"Authorization: Bearer SECRET" + b"x" * 40_000
    answer = await raw.send(ARM, b"GET / HTTP/1.1\r\nHost: a\r\n" + told + b"\r\n\r\n")
    assert (answer.status, b"x-azure-sandbox: true" in answer.head) == (400, True)
    assert "SECRET" not in caplog.text + answer.raw.decode()
    assert not [it for it in caplog.records if it.exc_info]


async def test_a_document_that_nests_too_deeply_is_refused(raw: Raw) -> None:
    assert (await raw.post(ARM, GROUP, DEEP, method=b"PUT")).status == 400
    for path in ("/v1.0/groups", "/v1.0/$batch"):
        assert (await raw.post(GRAPH, path, DEEP)).status == 400
    kube = await raw.post(raw.cluster.fqdn, "/api/v1/namespaces", DEEP)
    assert (kube.status, "exceeded max depth" in kube.body["message"]) == (400, True)
    deep = base64.urlsafe_b64encode(b"[" * 3000).rstrip(b"=")
    for host in (ARM, GRAPH, raw.cluster.fqdn):
        sent = b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s.%s.%s\r\n\r\n" % (deep, deep, deep)
        assert (await raw.send(host, sent)).status in {401, 501}
    form = b"client_id=a&scope=x/.default&grant_type=client_credentials&claims=" + b"[" * 3000
    assert (await raw.post(LOGIN, f"/{raw.sandbox.operator.tenant_id}/oauth2/v2.0/token", form)).status == 400


def test_a_document_may_nest_as_deeply_as_the_limit() -> None:
    at_most = b"[" * DEEPEST + b"]" * DEEPEST
    assert parsed(at_most)
    for deeper in (b"[" + at_most + b"]", b'{"a":' + at_most + b"}"):
        with pytest.raises(ValueError, match="exceeded max depth"):
            parsed(deeper)


async def test_a_body_that_is_too_large_is_refused(raw: Raw) -> None:
    arm = await raw.post(ARM, GROUP, b"x" * 4_200_000, method=b"PUT")
    assert (arm.status, arm.body["error"]["code"]) == (413, "RequestEntityTooLarge")
    assert b"x-azure-sandbox: true" in arm.head
    kube = await raw.post(raw.cluster.fqdn, "/api/v1/namespaces", b"x" * 3_200_000)
    assert (kube.status, kube.body["message"]) == (413, "Request entity too large: limit is 3145728")


async def test_control_characters_of_a_path_reach_neither_log_nor_report(
    raw: Raw, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[Exchange] = []
    raw.sandbox._observers = (*raw.sandbox._observers, seen.append)  # noqa: SLF001  # what `--log` is given
    await raw.post(ARM, "/a%1b%5B31mred%00", b"")
    assert seen[-1].path == r"/a\x1b[31mred\x00"
    assert r"/a\x1b[31mred\x00" in caplog.text
    assert "\x1b" not in caplog.text + json.dumps(raw.sandbox.report.shown(), ensure_ascii=False)
    assert on_one_line("é\n\udc80") == r"é\n\udc80"


PIECE = st.sampled_from(
    [
        b"/",
        b"%1b[2J",
        b"%00",
        b"\x1b",
        b"\x00",
        b"\xff",
        b"%ZZ",
        b"..",
        b"?",
        b"#",
        b"\xc3\xa9",
        b"v1.0/groups",
        b"x" * 40000,
    ]
)
LINE = st.sampled_from(
    [
        b"Content-Length: x",
        b"Content-Length: -1",
        b"Content-Length: 4\r\nContent-Length: 5",
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: gzip",
        b"Content-Encoding: gzip",
        b"Content-Type: application/vnd.kubernetes.protobuf",
        b"Authorization: Bearer \x1b.\x00.x",
        b"Expect: 100-continue",
        b"Expect: x",
        b"Upgrade: websocket\r\nConnection: Upgrade",
        b"No colon",
        b" folded",
        b"Prefer: " + b"x" * 40000,
        b"\x00: x",
    ]
)
START = st.sampled_from([b"GET", b"POST", b"PATCH", b"G\x00T", b"\x1b", b"x" * 40000, b"", b"get"])
END = st.sampled_from([b" HTTP/1.1", b" HTTP/1.0", b" HTTP/9.9", b" SPDY/3", b""])
CONTENT = st.sampled_from(
    [b"", UNFINISHED, DEEP, b"5\r\nhello\r\n0\r\n\r\n", b"zz\r\n", b"k8s\x00\x0a\xff", b"\xff\xfe"]
)
REQUEST = st.tuples(
    st.sampled_from([ARM, GRAPH, LOGIN, ""]),
    START,
    st.lists(PIECE, max_size=3),
    END,
    st.lists(LINE, max_size=3),
    CONTENT,
)


@settings(max_examples=8, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(REQUEST, min_size=8, max_size=20))
async def test_any_malformed_request_gets_an_answer_of_the_sandbox(requests: list[tuple[Any, ...]]) -> None:
    async with Sandbox(World.model_validate(WORLD)) as sandbox:
        client = Raw(sandbox)
        for host, start, pieces, end, lines, content in requests:
            head = [start + b" /" + b"".join(pieces) + end, b"Host: a", *lines]
            if not any(it.startswith((b"Content-Length", b"Transfer-Encoding")) for it in lines):
                head += [b"Content-Length: %d" % len(content)]
            sent = b"\r\n".join([*head, b"", content])
            answer = await client.send(host or client.cluster.fqdn, sent)
            assert answer.raw, sent
            assert answer.status != 500, (sent, answer)
            assert b"x-azure-sandbox: true" in answer.head or answer.status == 100, (sent, answer)
            assert not {0, 0x1B} & set(answer.raw), (sent, answer)
