"""Scripted faults of requests over real connections, and the control host."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from azure_sandbox.faults.requests import Faults
from azure_sandbox.front.control import CONTROL_HOST, add_fault, seconds
from azure_sandbox.server import Sandbox

ARM = "https://management.azure.com"
VERSION = "api-version=2026-08-01"


class Client:
    """A client inside the sandbox."""

    def __init__(self, sandbox: Sandbox, session: aiohttp.ClientSession) -> None:
        self.sandbox = sandbox
        self._session = session
        self._tls = ssl.create_default_context(cafile=str(sandbox.folder / "ca.pem"))
        (self.cluster,) = [it for it in sandbox.arm.state.clusters.values() if it.name == "pay-01"]

    async def send(self, method: str, url: str, body: Any = None) -> tuple[int, str, Any]:
        token = self.sandbox.tokens.issue(self.sandbox.operator.principal, audience=ARM)
        headers = {"Authorization": f"Bearer {token}"}
        async with self._session.request(
            method, url, proxy=self.sandbox.proxy.url, ssl=self._tls, headers=headers, json=body
        ) as answer:
            assert answer.headers["x-azure-sandbox"] == "true"
            return answer.status, await answer.text(), answer.headers

    async def control(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        status, text, _ = await self.send(method, f"https://{CONTROL_HOST}{path}", body)
        return status, json.loads(text)

    async def show(self) -> tuple[int, str, Any]:
        return await self.send("GET", f"{ARM}{self.cluster.id}?{VERSION}")


@pytest.fixture(name="client")
async def a_client() -> AsyncIterator[Client]:
    async with Sandbox(Path("demo")) as sandbox, aiohttp.ClientSession() as session:
        yield Client(sandbox, session)


async def test_each_request_fault_hits_once_and_is_counted(client: Client) -> None:
    path = "managedClusters/pay-01"
    for fault in (
        {"kind": "status", "status": 503},
        {"kind": "throttle", "seconds": 7},
        {"kind": "identity-throttle"},
        {"kind": "etag-mismatch"},
        {"kind": "token-expired"},
        {"kind": "truncated"},
        {"kind": "slow", "seconds": 0.01},
        {"kind": "reset"},
        {"kind": "hang", "seconds": 0.01},
        {"kind": "lost"},
    ):
        status, account = await client.control("POST", "/faults", {"path": path, **fault})
        assert (status, account["waiting"][0]["kind"]) == (200, fault["kind"])
        if fault["kind"] in {"reset", "hang", "lost"}:
            with pytest.raises(aiohttp.ClientError):  # a POST, because aiohttp repeats a GET after a cut
                await client.send("POST", f"{ARM}{client.cluster.id}/listClusterUserCredential?{VERSION}")
            continue
        answered, text, headers = await client.show()
        match fault["kind"]:
            case "status":
                assert (answered, json.loads(text)["error"]["code"]) == (503, "ServiceUnavailable")
            case "throttle":
                assert (answered, headers["retry-after"]) == (429, "7")
            case "identity-throttle":
                assert (answered, json.loads(text)["error"]["code"]) == (429, "FailedIdentityOperation")
                assert "retry-after" not in headers
            case "etag-mismatch":
                assert (answered, json.loads(text)["code"]) == (409, "EtagMismatch")
            case "token-expired":
                assert (answered, json.loads(text)["error"]["code"]) == (401, "ExpiredAuthenticationToken")
            case "truncated":
                with pytest.raises(json.JSONDecodeError):
                    json.loads(text)
            case "slow":
                assert json.loads(text)["name"] == "pay-01"
    assert (await client.show())[0] == 200
    assert client.sandbox.faults.account() == {"injected": 10, "consumed": 10, "left": 0}


async def test_another_writer_changes_the_cluster_before_the_request(client: Client) -> None:
    _, text, _ = await client.show()
    before = json.loads(text)
    change = {"properties": {"disableLocalAccounts": True}, "tags": {"by": "terraform"}}
    await client.control(
        "POST", "/faults", {"kind": "other-writer", "method": "GET", "path": "pay-01", "change": change}
    )
    _, text, _ = await client.show()
    after = json.loads(text)
    assert (after["properties"]["disableLocalAccounts"], after["tags"]["by"]) == (True, "terraform")
    assert after["eTag"] != before["eTag"]


async def test_the_clock_is_advanced_and_the_report_names_unmodelled_requests(client: Client) -> None:
    _, before = await client.control("GET", "/clock")
    status, after = await client.control("POST", "/clock/advance", {"by": "1d"})
    assert (status, after["now"] > before["now"]) == (200, True)
    assert (await client.control("POST", "/clock/advance", {"by": "soon"}))[0] == 400
    assert (await client.send("GET", f"{ARM}/odd?{VERSION}"))[0] == 501
    with pytest.raises(aiohttp.ClientHttpProxyError):
        await client.send("GET", "https://blob.example/")
    _, report = await client.control("GET", "/report")
    (line,) = report["unmodelled"]
    assert line.startswith("GET https://management.azure.com/odd: ")
    assert report["refusedHosts"] == {"blob.example:443": 1}
    assert report["requests"]["management.azure.com"] == {"501": 1}
    await client.control("POST", "/faults", {"kind": "fails", "operation": "rotate", "times": 3})
    assert (await client.control("DELETE", "/faults"))[1] == {"waiting": [], "injected": 3, "consumed": 0, "left": 0}


async def test_an_unmodelled_request_is_501_logged_and_counted(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    held = json.loads((await client.show())[1])
    cluster, odd = f"{ARM}{client.cluster.id}", {**held, "properties": {**held["properties"], "newThing": 1}}
    caplog.clear()
    asked: tuple[tuple[str, str, Any, str], ...] = (
        ("GET", f"{cluster}?{VERSION}&$select=id", None, "the query option $select of GET"),
        ("PUT", f"{cluster}?{VERSION}", odd, "the property properties.newThing"),
        ("POST", f"{cluster}/resetEverything?{VERSION}", None, "does not model POST"),
    )
    for method, url, body, words in asked:
        status, text, _ = await client.send(method, url, body)
        assert status == 501, text
        assert words in json.loads(text)["error"]["message"]
    _, report = await client.control("GET", "/report")
    assert sorted(report["unmodelled"].values()) == [1, 1, 1]
    for *_, words in asked:
        assert any(words in it for it in report["unmodelled"])
        assert any(words in it.getMessage() for it in caplog.records if it.levelname == "WARNING")


async def test_a_watch_frees_its_connection_at_its_end(client: Client) -> None:
    server = client.cluster.server
    token, authority = server.generation.token, server.generation.authority.certificate_pem.decode()
    tls = ssl.create_default_context(cadata=authority)
    url = f"https://{server.fqdn}/api/v1/nodes?watch=true&timeoutSeconds=0.1"
    async with (
        aiohttp.ClientSession() as session,
        session.get(
            url, proxy=client.sandbox.proxy.url, ssl=tls, headers={"Authorization": f"Bearer {token}"}
        ) as answer,
    ):
        lines = [json.loads(it) for it in (await answer.text()).splitlines()]
    assert [it["type"] for it in lines] == ["ADDED"] * 3


@pytest.mark.parametrize(
    "wanted",
    [
        {"kind": "odd"},
        {},
        {"kind": "status", "status": 200},
        {"kind": "status", "colour": "red"},
        {"kind": "fails", "path": "x"},
        {"kind": "fails", "at": "half"},
        {"kind": "reset", "times": 0},
        {"kind": "reset", "path": "("},
        {"kind": "other-writer", "change": []},
    ],
)
def test_an_invalid_fault_is_refused(wanted: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        add_fault(Faults(), wanted)


def test_durations_are_parsed_with_and_without_unit() -> None:
    assert [seconds(it) for it in ("90", "90s", "10m", "2h", "1.5d")] == [90, 90, 600, 7200, 129600]


async def test_two_sandboxes_share_no_port_folder_or_token() -> None:
    async with Sandbox(Path("demo")) as one, Sandbox(Path("demo")) as two:
        assert one.proxy.port != two.proxy.port
        assert one.folder != two.folder
        token = one.tokens.issue(one.operator.principal, audience=ARM)
        with pytest.raises(Exception, match="verif"):
            two.tokens.verify(f"Bearer {token}", frozenset({ARM}))
