"""Unmodified Python clients and curl, each in a process with only the sandbox's environment."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from azure_sandbox.server import Sandbox
from azure_sandbox.world.model import World

WORLD = World.model_validate(
    {
        "version": 1,
        "subscriptions": [
            {"name": "s", "resourceGroups": [{"name": "g", "clusters": [{"name": "plain", "nodes": 2}]}]},
        ],
    }
)
SYNC = """
import os
from azure.identity import DefaultAzureCredential
from azure.mgmt.containerservice import ContainerServiceClient
from kubernetes import client, config

azure = ContainerServiceClient(DefaultAzureCredential(), os.environ["AZURE_SUBSCRIPTION_ID"])
(found,) = azure.managed_clusters.list()
held = azure.managed_clusters.list_cluster_user_credentials("g", found.name).kubeconfigs[0].value
with open("config", "wb") as file:
    file.write(held)
config.load_kube_config("config")
print(len(client.CoreV1Api().list_node().items), client.VersionApi().get_code().git_version)
poller = azure.managed_clusters.begin_rotate_cluster_certificates("g", found.name)
poller.result()
print(poller.status(), azure.managed_clusters.get("g", found.name).properties.provisioning_state)
"""
AIO = """
import asyncio, os
from azure.identity.aio import DefaultAzureCredential
from azure.mgmt.containerservice.aio import ContainerServiceClient
from kubernetes.aio import client, config

async def main():
    async with DefaultAzureCredential() as credential, ContainerServiceClient(
        credential, os.environ["AZURE_SUBSCRIPTION_ID"]
    ) as azure:
        found = [it async for it in azure.managed_clusters.list()]
        held = await azure.managed_clusters.list_cluster_user_credentials("g", found[0].name)
        with open("config", "wb") as file:
            file.write(held.kubeconfigs[0].value)
        await config.load_kube_config("config")
        async with client.ApiClient() as api:
            print(len((await client.CoreV1Api(api).list_node()).items))

asyncio.run(main())
"""
CURL = """
token=$(curl -sS --fail -d grant_type=client_credentials -d client_id=$AZURE_CLIENT_ID \\
  --data-urlencode client_secret=$AZURE_CLIENT_SECRET -d scope=https://management.azure.com/.default \\
  https://login.microsoftonline.com/$AZURE_TENANT_ID/oauth2/v2.0/token | sed 's/.*"access_token": "\\([^"]*\\).*/\\1/')
curl -sS --fail -H "Authorization: Bearer $token" 'https://management.azure.com/subscriptions?api-version=2022-12-01'
"""


async def run(sandbox: Sandbox, folder: Path, *command: str) -> str:
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), **sandbox.environment}
    process = await asyncio.create_subprocess_exec(*command, cwd=folder, env=environment, stdout=PIPE, stderr=PIPE)
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()


async def test_the_sync_sdks_work(tmp_path: Path) -> None:
    async with Sandbox(WORLD, pace="instant") as sandbox:
        said = await run(sandbox, tmp_path, sys.executable, "-c", SYNC)
    assert said.split() == ["2", "v1.33.5", "Succeeded", "Succeeded"]


async def test_the_async_sdks_work(tmp_path: Path) -> None:
    async with Sandbox(WORLD) as sandbox:
        assert (await run(sandbox, tmp_path, sys.executable, "-c", AIO)).strip() == "2"


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
async def test_curl_works(tmp_path: Path) -> None:
    async with Sandbox(WORLD) as sandbox:
        assert '"displayName": "s"' in await run(sandbox, tmp_path, "sh", "-ec", CURL)
