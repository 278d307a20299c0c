"""What docs/how-to/move-callers.md says of unmodified kubelogin and kubectl."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.terminal import Terminal

pytestmark = pytest.mark.clients

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "move-callers.md"
OLD, NEW = "clusterAdmin_shop-weu_shop-01", "clusterUser_shop-weu_shop-01"
EXEC = "--exec-api-version=client.authentication.k8s.io/v1beta1 --exec-command=kubelogin"
SERVER = "6dae42f8-4368-4678-94ff-3960e28e3630"


async def test_kubelogin_moves_no_static_credential_and_kubectl_removes_it(
    clients: None,  # noqa: ARG001  # without clients there is nothing to run
    tmp_path: Path,
) -> None:
    terminal = Terminal({}, tmp_path / "home")
    file = terminal.home / ".kube" / "config"
    await terminal.run(f"kubectl config set-credentials {OLD} --token=secret-of-before")
    for name, user in (("shop-01-admin", OLD), ("shop-01", NEW)):
        await terminal.run(f"kubectl config set-context {name} --cluster shop-01 --user {user}")
    asked = f"get-token --server-id {SERVER} --client-id of-aks --tenant-id t --login devicecode".split()
    await terminal.run(f"kubectl config set-credentials {NEW} {EXEC} {' '.join(f'--exec-arg={one}' for one in asked)}")

    await terminal.run("kubelogin convert-kubeconfig -l azurecli")
    kubeconfig = file.read_text()
    assert "secret-of-before" in kubeconfig
    assert "azurecli" in kubeconfig
    removal = f"kubectl config delete-context shop-01-admin && kubectl config delete-user {OLD}"
    assert f"$ {removal}\n" in PAGE.read_text(encoding="utf-8")
    await terminal.run(removal)
    assert "secret-of-before" not in file.read_text()

    assert "--client-id is required" in await terminal.refused("kubelogin convert-kubeconfig -l spn")
    await terminal.run("kubelogin convert-kubeconfig -l spn --client-id mine --tenant-id t")
    assert "- mine\n" in file.read_text()
    no_file = f"kubelogin get-token --login workloadidentity --server-id {SERVER} --client-id mine --tenant-id t"
    assert "federated token file cannot be empty" in await terminal.refused(no_file)
