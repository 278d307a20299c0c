"""What a flow run imports before its event loop begins. An import on the loop stops every cluster of a batch."""

from __future__ import annotations

import subprocess
import sys

import pytest

from aks_entra.wiring import NEW_OBJECTS

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
def test_a_flow_imports_the_clients_that_its_run_uses_and_they_are_never_garbage(flow: str, wanted: set[str]) -> None:
    missing = f"'MISSING', *sorted({wanted!r} - set(sys.modules))"
    code = f"import gc, sys, {flow}; print({missing}, gc.get_threshold()[0], gc.get_freeze_count() > 100_000)"

    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert said.stdout.split() == ["MISSING", str(NEW_OBJECTS), "True"]
