"""What this process learns about where it runs, from its environment, its service account and PATH."""

from __future__ import annotations

from pathlib import Path

import pytest

from aks_entra.adapters.surroundings import Machine, version_in
from aks_entra.core.preflight import Endpoint, Home, Tools


async def test_a_machine_of_its_own() -> None:
    here = Machine(
        {"PREFECT_API_URL": "http://127.0.0.1:4200/api", "HTTPS_PROXY": "localhost:3128", "ALL_PROXY": "::["}
    )
    assert await here.home() == Home()


async def test_services_elsewhere_are_resolved_once() -> None:
    environment = {"PREFECT_API_URL": "http://192.0.2.7:4200/api", "HTTPS_PROXY": "192.0.2.8:3128"}
    environment |= {"ALL_PROXY": "http://192.0.2.8:3128"}
    assert (await Machine(environment).home()).endpoints == (
        Endpoint(variable="PREFECT_API_URL", host="192.0.2.7", addresses=("192.0.2.7",)),
        Endpoint(variable="HTTPS_PROXY", host="192.0.2.8", addresses=("192.0.2.8",)),
    )


async def test_a_name_that_leads_nowhere_has_no_address() -> None:
    assert await Machine({}).addresses("nothing.invalid") == ()
    assert await Machine({}).addresses("a" * 70) == ()


@pytest.mark.parametrize("content", [None, "no certificate", "é"])
async def test_a_pod_whose_cluster_cannot_be_read(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "ca.crt").write_text(content, encoding="utf-8")
    home = await Machine({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, tmp_path).home()
    assert home == Home(in_cluster=True, ca=None)


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ('{"clientVersion": {"gitVersion": "v1.33.2"}, "kustomizeVersion": "v5.6.0"}', "1.33.2"),
        ("kubelogin version \ngit hash: v0.2.19/abc\nGo version: go1.24.1\n", "0.2.19"),
        ("no version", None),
    ],
)
def test_versions(said: str, version: str | None) -> None:
    assert version_in(said) == version


def program(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)


async def test_tools_on_path(tmp_path: Path) -> None:
    assert await Machine({"PATH": str(tmp_path)}).tools() == Tools(kubectl="", kubelogin="")
    program(tmp_path, "kubectl", '#!/bin/sh\necho \'{"clientVersion": {"gitVersion": "v1.33.2"}}\'\n')
    program(tmp_path, "kubelogin", "#!/no/such/interpreter\n")
    assert await Machine({"PATH": str(tmp_path)}).tools() == Tools(kubectl="1.33.2", kubelogin=None)


async def test_a_tool_that_never_ends_is_unknown(tmp_path: Path) -> None:
    program(tmp_path, "kubectl", "#!/bin/sh\nexec cat /dev/zero > /dev/null\n")
    tools = await Machine({"PATH": str(tmp_path)}, tool_time=0.2).tools()
    assert tools == Tools(kubectl=None, kubelogin="")
