"""What `aks-entra inventory` imports: only what a list of clusters needs, so that it starts quickly."""

from __future__ import annotations

import asyncio
import sys

import pytest

from azure_sandbox.server import Sandbox
from tests.contract.small_world import SUBSCRIPTION

GRAPH = {"httpx", "kiota_http", "msgraph_core", "aks_entra.adapters.graph.client"}
OTHERS = {
    "aks_entra.adapters.kubernetes.api_server",
    "aks_entra.adapters.log_analytics",
    "aks_entra.adapters.host.tools",
    "aks_entra.core.access.grants",
    "aks_entra.execution.executor",
    "aks_entra.fleet_file.model",
    "azure.mgmt",
    "azure.monitor",
    "isodate",
    "jinja2",
    "kubernetes",
    "prefect",
    "ruamel.yaml",
}
CODE = f"""
import sys
from aks_entra.cli import main
sys.argv = ["aks-entra", "inventory", *sys.argv[1:]]
try:
    main()
except SystemExit as leaving:
    assert not leaving.code, leaving.code
print("IMPORTED", *sorted({GRAPH | OTHERS!r} & set(sys.modules)))
"""


@pytest.mark.parametrize(
    ("name", "imported"), [("plain", set()), ("guarded", GRAPH)], ids=["without-admin-groups", "with-an-admin-group"]
)
async def test_an_inventory_imports_graph_for_admin_groups_and_nothing_else_that_is_heavy(
    box: Sandbox, name: str, imported: set[str]
) -> None:
    assert box.proxy.port
    words = ("--subscription", SUBSCRIPTION, "--name", name, "--output", "json")

    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CODE, *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = (text.decode() for text in await process.communicate())

    assert process.returncode == 0, err
    assert f"/managedClusters/{name}" in out
    assert set(out.rpartition("IMPORTED")[2].split()) == imported
