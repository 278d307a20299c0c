"""Prefect with a Kubernetes worker: a server, the pool of deployments/work-pools/kubernetes.json, and its worker.

Server and worker are processes of this machine; each flow run is a pod of the cluster, from the image.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import shutil
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from azure_sandbox.server import Sandbox
from tests.kubernetes import manifests
from tests.kubernetes.cluster import ADDRESS, IMAGE, Cluster
from tests.support.part import Part, clean_environment, run
from tests.support.team_deployments import NAMESPACE, helm_values, runner, work_pool_with

API: Final = f"http://{ADDRESS}:4200/api"
DEPLOYED: Final = ("inventory-fleet", "migrate-fleet", "migrate-batch")


@asynccontextmanager
async def stack(
    kubernetes: Cluster, sandbox: Sandbox, database: Path, settings: Mapping[str, str]
) -> AsyncIterator[str]:
    """Start everything; end everything. `settings`: of aks-entra in its pods.

    Yields the string that Prefect's API asks for.
    """
    folder = kubernetes.folder
    authentication = f"runner:{secrets.token_hex(16)}"
    plain = {
        **clean_environment(),
        "HOME": str(folder),
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }
    shutil.copyfile(database, folder / "prefect.db")
    server = {
        **plain,
        "PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{folder / 'prefect.db'}",
        "PREFECT_SERVER_API_AUTH_STRING": authentication,
    }
    client = {**plain, "PREFECT_API_URL": API, "PREFECT_API_AUTH_STRING": authentication}
    python = (sys.executable, "-m", "prefect")

    async def start(name: str, *command: str, environment: Mapping[str, str], port: int | None = None) -> None:
        log = kubernetes.logs / f"{name}.log"
        made = Part(name=name, command=command, environment=environment, log=log, port=port, address=ADDRESS)
        kubernetes.parts[name] = made
        await made.start()

    serve = ("server", "start", "--host", ADDRESS, "--port", "4200")
    await start("prefect-server", *python, *serve, environment=server, port=4200)
    pool = folder / "pool.json"
    pool.write_text(json.dumps(work_pool_with(IMAGE)))
    create = ("work-pool", "create", "aks-entra", "--type", "kubernetes", "--base-job-template", str(pool))
    await run(*python, *create, environment=client)
    names = (part for name in DEPLOYED for part in ("--name", name))
    await run(*python, "--no-prompt", "deploy", *names, environment=client)

    async with _forwarded(sandbox.proxy.port) as port:
        await kubernetes.kubectl("create", "namespace", NAMESPACE)
        restricted = "pod-security.kubernetes.io/enforce=restricted"  # the strictest of the pod security standards
        await kubernetes.kubectl("label", "namespace", NAMESPACE, restricted)
        for document in (
            runner(sandbox.operator.principal.app_id),
            helm_values("settings"),
            *manifests.worker_rights(),
            manifests.secret(authentication),
            *manifests.way_to_azure(
                ADDRESS, port, sandbox.authority.pem.decode(), sandbox.operator.tenant_id, settings
            ),
        ):
            await kubernetes.kubectl("apply", "--validate=strict", "-f", "-", given=document)
        values = helm_values("prefect-worker")["worker"]
        worker = {
            **client,
            **{one["name"]: one["value"] for one in values["extraEnvVars"]},
            "KUBECONFIG": str(await kubernetes.kubeconfig_of(manifests.WORKER, NAMESPACE)),
            "PREFECT_WORKER_QUERY_SECONDS": "1",
        }
        config = values["config"]
        options = ("--pool", config["workPool"], "--type", config["type"], "--install-policy", config["installPolicy"])
        await start("prefect-worker", *python, "worker", "start", *options, "--name", "one", environment=worker)
        try:
            yield authentication
        finally:
            await kubernetes.parts["prefect-worker"].kill()


@asynccontextmanager
async def _forwarded(port: int) -> AsyncIterator[int]:
    """Let pods reach a port of the loopback interface, on the port of the node's address that is returned."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pump(reader, inner_writer), pump(inner_reader, writer))

    server = await asyncio.start_server(serve, ADDRESS, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
