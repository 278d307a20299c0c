"""`aks-entra metrics`: where it listens, and what a scrape gets."""

from __future__ import annotations

from collections.abc import Iterable
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest
from prometheus_client import Metric
from prometheus_client.registry import Collector
from typer.testing import CliRunner

from aks_entra.cli import app
from aks_entra.cli.metrics import address_of, serving
from aks_entra.errors import Refused
from aks_entra.report import metrics
from aks_entra.report.metrics import Measurements

NOTHING = Measurements(gates=None, reports=None, break_glass=None, schedules=None)


class Scrapes(Collector):
    """Gives the same families at each scrape, or raises an error."""

    def __init__(self, error: Exception | None = None) -> None:
        self.count = 0
        self.error = error

    def collect(self) -> Iterable[Metric]:
        self.count += 1
        if self.error:
            raise self.error
        return metrics.families(NOTHING)


def get(url: str) -> tuple[int, str, str]:
    """Return status, content type and body."""
    parts = urlsplit(url)
    assert parts.hostname
    connection = HTTPConnection(parts.hostname, parts.port, timeout=30)
    try:
        connection.request("GET", parts.path)
        answer = connection.getresponse()
        return answer.status, answer.headers["Content-Type"], answer.read().decode()
    finally:
        connection.close()


def test_each_scrape_reads_again_and_gets_prometheus_text_format() -> None:
    scrapes = Scrapes()
    with serving(("127.0.0.1", 0), scrapes) as url:
        assert scrapes.count == 0, "nothing is read before somebody asks"
        for _ in range(2):
            status, kind, text = get(url)
            assert status == 200
            assert kind.startswith("text/plain; version=")
            assert 'aks_entra_up{collector="gates"} 0.0' in text.splitlines()
            assert text == metrics.text(NOTHING)
    assert scrapes.count == 2
    with pytest.raises(ConnectionRefusedError):
        get(url)


def test_a_scrape_that_fails_is_an_error_of_the_server_and_never_an_empty_page() -> None:
    with serving(("127.0.0.1", 0), Scrapes(RuntimeError("the loop is closed"))) as url:
        assert get(url)[0] == 500


def test_an_address_in_use_is_refused_with_what_to_do() -> None:
    with serving(("127.0.0.1", 0), Scrapes()) as url:
        port = urlsplit(url).port
        assert port
        with (
            pytest.raises(
                Refused, match=f"--listen 127.0.0.1:{port} cannot be used: Address already in use"
            ) as refused,
            serving(("127.0.0.1", port), Scrapes()),
        ):
            pass
        assert refused.value.remedy == "choose another address or port"


@pytest.mark.parametrize(
    ("listen", "address"),
    [
        ("127.0.0.1:9464", ("127.0.0.1", 9464)),
        ("0.0.0.0:1", ("0.0.0.0", 1)),  # noqa: S104 - only read
        ("[::1]:9464", ("::1", 9464)),
        ("metrics.internal:65535", ("metrics.internal", 65535)),
    ],
)
def test_an_address_is_a_host_and_a_port(listen: str, address: tuple[str, int]) -> None:
    assert address_of(listen) == address


@pytest.mark.parametrize("listen", ["", "9464", ":9464", "localhost", "localhost:", "a:b", "a:65536", "a:-1", "a:²"])
def test_what_is_no_address_is_refused_before_a_server_is_asked(listen: str) -> None:
    ended = CliRunner().invoke(app, ["metrics", "--listen", listen])
    assert ended.exit_code == 2
    assert f"Error: --listen {listen!r} is no address" in ended.stderr
    assert "write HOST:PORT, for example 127.0.0.1:9464" in ended.stderr
