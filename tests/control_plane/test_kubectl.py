"""Unmodified kubectl and kubelogin with a real kube-apiserver under Azure's host names."""

from __future__ import annotations

import json
import os
import shutil
from base64 import b64decode
from pathlib import Path

import pytest

from tests.control_plane.caller import Caller
from tests.control_plane.real_sandbox import ADMINS, GUARDED, OUTSIDER, SECRET, path_of, real_sandbox
from tests.support.terminal import Terminal

pytestmark = pytest.mark.control_plane

SPN = 'kubelogin convert-kubeconfig -l spn --client-id "$AZURE_CLIENT_ID" --tenant-id "$AZURE_TENANT_ID"'


@pytest.fixture(autouse=True)
def clients() -> None:
    if missing := [it for it in ("kubectl", "kubelogin") if not shutil.which(it)]:
        reason = f"not on PATH: {', '.join(missing)} (`make test-control-plane` builds them and puts them there)"
        if os.environ.get("CI", "false") not in ("", "0", "false"):
            pytest.fail(reason)
        pytest.skip(reason)


async def terminal(caller: Caller, folder: Path, kind: str = "User", **identity: str) -> Terminal:
    """Return a terminal with the kubeconfig that ARM returns now."""
    found = await caller.arm("POST", f"{path_of('guarded')}/listCluster{kind}Credential")
    shell = Terminal({**caller.sandbox.environment, **identity}, folder)
    config = folder / ".kube" / "config"
    config.parent.mkdir()
    config.write_bytes(b64decode(found["kubeconfigs"][0]["value"]))
    return shell


async def test_a_member_can_sign_in_an_outsider_cannot_and_old_kubeconfigs_stop_working(tmp_path: Path) -> None:
    async with real_sandbox(tmp_path, GUARDED) as caller:
        member = await terminal(caller, tmp_path / "member")
        await member.run(SPN)
        assert " Ready " in await member.run("kubectl get nodes")
        user = (await member.read("kubectl auth whoami"))["status"]["userInfo"]
        assert user["username"] == caller.sandbox.operator.principal.id
        assert ADMINS in user["groups"]
        assert (await member.type("kubectl auth can-i '*' '*'")).out == "yes"

        identity = {"AZURE_CLIENT_ID": OUTSIDER["appId"], "AZURE_CLIENT_SECRET": SECRET}
        outsider = await terminal(caller, tmp_path / "outsider", **identity)
        await outsider.run(SPN)
        assert await outsider.refused("kubectl get nodes") == (
            f'Error from server (Forbidden): nodes is forbidden: User "{OUTSIDER["id"]}" cannot list resource "nodes" '
            'in API group "" at the cluster scope'
        )

        admin = await terminal(caller, tmp_path / "admin", "Admin")
        assert " Ready " in await admin.run("kubectl get nodes")
        await admin.run("kubectl create deployment mine --image=mcr.microsoft.com/mine:1")
        await caller.arm("POST", f"{path_of('guarded')}/rotateClusterCertificates")
        assert "certificate signed by unknown authority" in await admin.refused("kubectl get nodes")
        authority = tmp_path / "ca.pem"
        authority.write_bytes(caller.generation("guarded").authority.certificate_pem)
        await admin.run(f"kubectl config set-cluster guarded --embed-certs --certificate-authority='{authority}'")
        complaint = await admin.refused("kubectl get nodes")
        assert "You must be logged in to the server" in complaint, complaint

        again = await terminal(caller, tmp_path / "again")
        await again.run(SPN)
        assert " Ready " in await again.run("kubectl get nodes")
        mine = json.loads(await again.run("kubectl get deployment mine -o json"))
        assert mine["spec"]["replicas"] == 1
