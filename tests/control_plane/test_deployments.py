"""A real kube-apiserver takes what deployments/ brings for Kubernetes, and refuses what it does not know."""

from __future__ import annotations

import copy
import json
import shutil
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest

from tests.control_plane.real_sandbox import PLAIN, path_of, real_sandbox
from tests.support.team_deployments import NAMESPACE, resolved, runner
from tests.support.terminal import Terminal

pytestmark = pytest.mark.control_plane
CREATE = "kubectl create --dry-run=server --validate=strict -o json -f"
CLIENT_ID = "5c1d6f0e-8a34-4f25-b3a7-2e9d60c4b718"


@pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not on PATH (make test-control-plane)")
async def test_the_job_and_the_service_account_of_flow_runs_are_taken_whole(tmp_path: Path) -> None:
    job = resolved("kubernetes")["job_manifest"]
    misspelt = copy.deepcopy(job)
    misspelt["spec"]["template"]["spec"]["containers"][0]["securityContxt"] = {}
    async with real_sandbox(tmp_path, PLAIN) as caller:
        shell = Terminal(caller.sandbox.environment, tmp_path / "home")
        found = await caller.arm("POST", f"{path_of('plain')}/listClusterAdminCredential")
        (shell.home / ".kube").mkdir()
        (shell.home / ".kube" / "config").write_bytes(b64decode(found["kubeconfigs"][0]["value"]))
        await shell.run(f"kubectl create namespace {NAMESPACE}")

        async def created(document: Any) -> Any:
            (shell.home / "document.json").write_text(json.dumps(document))
            return json.loads(await shell.run(f"{CREATE} document.json"))

        account = await created(runner(CLIENT_ID))
        assert account["metadata"]["annotations"]["azure.workload.identity/client-id"] == CLIENT_ID
        pod = (await created(job))["spec"]["template"]
        assert pod["metadata"]["labels"]["azure.workload.identity/use"] == "true"
        assert pod["spec"]["containers"][0]["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        (shell.home / "document.json").write_text(json.dumps(misspelt))
        assert 'unknown field "spec.template.spec.containers[0].securityContxt"' in await shell.refused(
            f"{CREATE} document.json"
        )
