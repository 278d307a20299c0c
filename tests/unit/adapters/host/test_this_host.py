"""What this process learns about where it runs, from its environment, its service account and PATH."""

from __future__ import annotations

from pathlib import Path

import pytest

from aks_entra.adapters.host.location import SERVICE_ACCOUNT
from aks_entra.adapters.host.this_host import ThisHost
from aks_entra.core.doctor import Tool
from aks_entra.core.preflight import Endpoint, Home


async def test_a_machine_of_its_own() -> None:
    here = host({"PREFECT_API_URL": "http://127.0.0.1:4200/api", "HTTPS_PROXY": "localhost:3128", "ALL_PROXY": "::["})
    assert await here.home() == Home()


async def test_services_elsewhere_are_resolved_once() -> None:
    environment = {"PREFECT_API_URL": "http://192.0.2.7:4200/api", "HTTPS_PROXY": "192.0.2.8:3128"}
    environment |= {"ALL_PROXY": "http://192.0.2.8:3128"}
    assert (await host(environment).home()).endpoints == (
        Endpoint(variable="PREFECT_API_URL", host="192.0.2.7", addresses=("192.0.2.7",)),
        Endpoint(variable="HTTPS_PROXY", host="192.0.2.8", addresses=("192.0.2.8",)),
    )


async def test_a_name_that_leads_nowhere_has_no_address() -> None:
    assert await host({}).addresses("nothing.invalid") == ()
    assert await host({}).addresses("a" * 70) == ()


@pytest.mark.parametrize("content", [None, "no certificate", "é"])
async def test_a_pod_whose_cluster_cannot_be_read(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "ca.crt").write_text(content, encoding="utf-8")
    home = await host({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, tmp_path).home()
    assert home == Home(in_cluster=True, ca=None)


def program(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)


def host(environment: dict[str, str], service_account: Path = SERVICE_ACCOUNT, *, patience: float = 10.0) -> ThisHost:
    return ThisHost(environment, service_account, patience=patience)


async def test_tools_on_path(tmp_path: Path) -> None:
    kubectl, kubelogin = await host({"PATH": str(tmp_path)}).tools("kubectl", "kubelogin")
    assert (kubectl.path, kubelogin.path) == ("", "")
    program(tmp_path, "kubectl", '#!/bin/sh\necho \'{"clientVersion": {"gitVersion": "v1.33.2"}}\'\n')
    program(tmp_path, "kubelogin", "#!/no/such/interpreter\n")
    assert await host({"PATH": str(tmp_path)}).tools("kubectl", "kubelogin") == (
        Tool(name="kubectl", path=str(tmp_path / "kubectl"), version="v1.33.2"),
        Tool(name="kubelogin", path=str(tmp_path / "kubelogin")),
    )
    program(tmp_path, "kubelogin", "#!/bin/sh\nprintf 'kubelogin version \\ngit hash: v0.2.19/abc'\n")
    program(tmp_path, "kubectl", "#!/bin/sh\necho no version\n")
    kubelogin, kubectl = await host({"PATH": str(tmp_path)}).tools("kubelogin", "kubectl")
    assert (kubelogin.version, kubectl.version) == ("v0.2.19/abc", "")


async def test_a_tool_that_never_ends_is_unknown(tmp_path: Path) -> None:
    program(tmp_path, "kubectl", "#!/bin/sh\nexec cat /dev/zero > /dev/null\n")
    (kubectl,) = await host({"PATH": str(tmp_path)}, patience=0.2).tools("kubectl")
    assert kubectl == Tool(name="kubectl", path=str(tmp_path / "kubectl"))
