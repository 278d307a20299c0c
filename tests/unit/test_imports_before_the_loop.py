"""What a flow run imports before its event loop begins. An import on the loop stops every cluster of a batch."""

from __future__ import annotations

import subprocess
import sys

import pytest

AZURE = {
    "aks_entra.adapters.assembly",
    "aks_entra.adapters.graph.directory",
    "azure.mgmt.authorization.v2022_04_01.aio",
    "azure.mgmt.containerservice.aio",
    "azure.mgmt.resource.locks.aio",
    "msgraph_core",
    "ruamel.yaml",
}
KUBERNETES = {
    "kubernetes.aio.client.api.apps_v1_api",
    "kubernetes.aio.client.api.authentication_v1_api",
    "kubernetes.aio.client.api.authorization_v1_api",
    "kubernetes.aio.client.api.core_v1_api",
    "kubernetes.aio.client.api.rbac_authorization_v1_api",
}


@pytest.mark.parametrize(
    ("flow", "wanted"),
    [("flows.migrate_batch", AZURE | KUBERNETES), ("flows.migrate_fleet", AZURE)],
    ids=["a-batch", "a-coordinator"],
)
def test_a_flow_imports_the_clients_that_its_run_uses(flow: str, wanted: set[str]) -> None:
    code = f"import sys, {flow}; print('MISSING', *sorted({wanted!r} - set(sys.modules)))"

    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert said.stdout.split() == ["MISSING"]
