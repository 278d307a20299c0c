"""Small worlds with real control planes, and waits without sleeping."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from azure_sandbox.server import Sandbox
from tests.control_plane.caller import Caller

SUBSCRIPTION = "3e8b1a70-6c2f-4d95-b0e4-8f7a2c5d9163"
TENANT = "7c9e2f64-3a1d-4b58-9e07-5d4f1b8a6c32"
ADMINS = "a1b2c3d4-1111-4222-8333-944445555666"
OUTSIDER = {"id": "9a3d8f5e-52b4-4d0c-8f1b-6d9f0f3c7a21", "appId": "1f0c6a5d-7be4-4f7b-9f59-0d2c54b8a9e3"}
SECRET = "came-by"
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/shop"
SOON = 60  # seconds; each wait usually takes a few
WORLD = f"""\
version: 1
controlPlane: real
tenant: {{id: {TENANT}, name: contoso.onmicrosoft.com}}
servicePrincipals:
  - {{name: operator, graphPermissions: [Group.ReadWrite.All, Directory.Read.All]}}
  - {{name: outsider, id: {OUTSIDER["id"]}, appId: {OUTSIDER["appId"]}, secret: {SECRET}}}
groups:
  - {{name: aks-admins, id: {ADMINS}, members: [operator]}}
operator: operator
subscriptions:
  - id: {SUBSCRIPTION}
    name: prod-eu
    roleAssignments:
      - {{principal: operator, role: Owner}}
      - {{principal: outsider, role: Azure Kubernetes Service Cluster User Role}}
    resourceGroups:
      - name: shop
        clusters: [CLUSTERS]
"""
PLAIN = "{name: plain, nodes: 2, workloads: [{name: web, replicas: 2}]}"
LEGACY = "{name: legacy, nodes: 1, identity: legacy, workloads: [{name: db, kind: StatefulSet}]}"
GUARDED = "{name: guarded, nodes: 1, identity: managed, adminGroups: [aks-admins]}"


def path_of(cluster: str) -> str:
    return f"{GROUP}/providers/Microsoft.ContainerService/managedClusters/{cluster}"


def world(folder: Path, *clusters: str) -> Path:
    file = folder / "world.yaml"
    file.write_text(WORLD.replace("CLUSTERS", ", ".join(clusters)))
    return file


@asynccontextmanager
async def real_sandbox(folder: Path, *clusters: str, pace: str | float = "fast") -> AsyncIterator[Caller]:
    async with Sandbox(world(folder, *clusters), pace=pace) as sandbox:
        yield Caller(sandbox=sandbox, folder=folder)


def children(pid: int) -> dict[int, str]:
    """Return the processes that a process has started, with their names."""
    pids = [int(it) for it in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return {it: Path(f"/proc/{it}/comm").read_text().strip() for it in pids}


def left_in(folder: Path) -> list[Path]:
    """Return what sandboxes have left in a folder for temporary files."""
    return list(folder.glob("azure-sandbox-*"))


async def gone(pid: int) -> None:
    """Wait until a process, which need not be our child, has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, ended.set)
    try:
        async with asyncio.timeout(SOON):
            await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
