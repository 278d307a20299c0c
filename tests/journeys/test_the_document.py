"""Azure's page on AKS-managed Microsoft Entra integration from top to bottom, as a script.

Where the page uses the portal, the test uses the command of aks-entra that does the same. It compares the output with
what the page shows.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from azure_sandbox.server import Sandbox
from tests.journeys.clients import LOCAL_ACCOUNTS_ARE_OFF, LOGIN, SIGN_IN_AGAIN
from tests.support.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.clients
ROOT = Path(__file__).parents[2]
TENANT = "7c9e2f64-3a1d-4b58-9e07-5d4f1b8a6c32"
READER = {"id": "9a3d8f5e-52b4-4d0c-8f1b-6d9f0f3c7a21", "appId": "1f0c6a5d-7be4-4f7b-9f59-0d2c54b8a9e3"}
WORLD = f"""\
version: 1
tenant: {{id: {TENANT}, name: contoso.onmicrosoft.com}}
users:
  - {{name: olive, upn: olive@contoso.com}}
  - {{name: glass, upn: glass@contoso.com}}
servicePrincipals:
  - name: operator
    graphPermissions: [Group.ReadWrite.All, Directory.Read.All, RoleManagement.ReadWrite.Directory, AuditLog.Read.All,
      PrivilegedEligibilitySchedule.ReadWrite.AzureADGroup, PrivilegedAssignmentSchedule.ReadWrite.AzureADGroup,
      RoleManagementPolicy.ReadWrite.AzureADGroup, Policy.Read.All, Policy.ReadWrite.ConditionalAccess,
      Application.ReadWrite.All]
  - {{name: pipeline, id: {READER["id"]}, appId: {READER["appId"]}, secret: the-pipeline}}
operator: operator
subscriptions:
  - id: 3e8b1a70-6c2f-4d95-b0e4-8f7a2c5d9163
    name: prod-eu
    roleAssignments: [{{principal: operator, role: Owner}}]
    resourceGroups:
      - name: MyResourceGroup
        location: centralus
        clusters:
          - {{name: MyManagedCluster, nodes: 3, identity: none}}
          - {{name: legacy, nodes: 1, identity: legacy}}
"""
PIPELINE = "AZURE_CLIENT_ID={appId} AZURE_CLIENT_SECRET=the-pipeline".format(**READER)


@pytest.fixture
async def terminal(clients: None, tmp_path: Path) -> AsyncIterator[Terminal]:  # noqa: ARG001 - without clients, no terminal
    world = tmp_path / "world.yaml"
    world.write_text(WORLD)
    async with Sandbox(world) as sandbox:
        opened = Terminal(sandbox.environment, tmp_path / "operator")
        opened.environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{opened.environment['PATH']}"
        opened.environment |= {"PYTHONPATH": str(ROOT / "src"), "AKS_ENTRA_LOOK_INTERVAL": "0.2"}
        opened.environment |= {"AKS_ENTRA_GRANT_LIMIT": "30", "NO_COLOR": "1"}
        yield opened


async def test_the_document_from_top_to_bottom(terminal: Terminal) -> None:  # noqa: PLR0915 - one script, as one page
    run, read, refused, let = terminal.run, terminal.read, terminal.refused, terminal.let

    # Prerequisites
    await run("kubectl version --client")
    await run("kubelogin --version")
    await run(LOGIN)
    lights = {one["name"]: one["light"] for one in (await read("aks-entra doctor"))["checks"]}
    assert {lights[name] for name in ("az", "kubectl", "kubelogin", "clock", "sign-in")} == {"ok"}

    # Before you begin
    await run("az ad group create --display-name myAKSAdminGroup --mail-nickname myAKSAdminGroup -o none")
    listed = await run("az ad group list --filter \"displayname eq 'myAKSAdminGroup'\" -o table")
    assert "myAKSAdminGroup" in listed
    await let("ID", "az ad group show -g myAKSAdminGroup --query id -o tsv")
    await let("ME", 'az ad sp show --id "$AZURE_CLIENT_ID" --query id -o tsv')
    await run('az ad group member add --group "$ID" --member-id "$ME"')

    # Create an AKS cluster with Azure AD enabled
    await run("az group create --name myResourceGroup2 --location centralus -o none")
    created = await read(
        "az aks create -g myResourceGroup2 -n new --enable-aad --aad-admin-group-object-ids $ID --generate-ssh-keys"
    )
    profile = created["aadProfile"]
    assert (profile["managed"], profile["adminGroupObjectIDs"]) == (True, [terminal.environment["ID"]])
    assert not profile.get("serverAppId")

    # Access an Azure AD enabled cluster
    await run("az aks get-credentials --resource-group myResourceGroup2 --name new")
    assert " Ready " in await run("kubectl get nodes")

    # Troubleshooting access issues: break-glass
    await run('az aks get-credentials --resource-group myResourceGroup2 --name new --admin --file "$HOME/admin"')
    assert " Ready " in await run("kubectl --kubeconfig admin get nodes")

    # Enable on an existing cluster, and upgrade a legacy one
    for name in ("MyManagedCluster", "legacy"):
        updated = await read(
            f"az aks update -g MyResourceGroup -n {name} --enable-aad --aad-admin-group-object-ids $ID"
        )
        assert updated["aadProfile"]["managed"] is True
        await run(f"az aks get-credentials -g MyResourceGroup -n {name} --overwrite-existing")
        assert " Ready " in await run("kubectl get nodes")

    # Non-interactive sign in with kubelogin: the kubeconfig contains a command and no secret
    await run("aks-entra kubeconfig -g MyResourceGroup -n MyManagedCluster --login spn --file ci")
    assert " Ready " in await run("kubectl --kubeconfig ci get nodes")
    assert await run("grep -c -e 'token:' -e 'key-data' -e 'certificate: ' ci || true") == "0"
    assert await run("stat -c %a ci") == "600"

    # Disable local accounts on an existing cluster, and re-enable them
    off = await read("az aks update -g MyResourceGroup -n MyManagedCluster --disable-local-accounts")
    assert off["disableLocalAccounts"] is True
    admin = "az aks get-credentials --resource-group MyResourceGroup --name MyManagedCluster --admin --file again"
    assert LOCAL_ACCOUNTS_ARE_OFF in await refused(admin)
    assert (await read("az aks update -g MyResourceGroup -n MyManagedCluster --enable-local-accounts"))[
        "disableLocalAccounts"
    ] is False
    await run(admin)

    # Use Conditional Access: report-only first, then enforced
    policy = (
        "aks-entra access conditional-access apply --name aks-policy --group myAKSAdminGroup --require compliantDevice"
    )
    assert "C001" in await refused(f"{policy} --yes")
    policy += " --break-glass glass@contoso.com --yes"
    assert (await read(policy))["state"] == "enabledForReportingButNotEnforced"
    assert (await read(f"{policy} --enforce"))["state"] == "enabled"
    assert " Ready " in await run("kubectl get nodes")  # a policy for users does not apply to the automation

    # Configure just-in-time access: a role-assignable group, and an Active assignment with a duration
    await let("JIT", "aks-entra access create-group myJITGroup --owner olive@contoso.com --max-duration 2h")
    await run(
        "az aks create -g myResourceGroup2 -n jit --enable-aad --aad-admin-group-object-ids $JIT "
        '--aad-tenant-id "$AZURE_TENANT_ID" --generate-ssh-keys -o none'
    )
    await run("aks-entra kubeconfig -g myResourceGroup2 -n jit --login spn --file jit")
    said = await refused("kubectl --kubeconfig jit get nodes")
    assert "nodes is forbidden" in said
    await run('aks-entra access assign $JIT --to "$ME" --kind eligible --duration 30d --reason "on call"')
    explained = await terminal.type(
        f"aks-entra access explain myResourceGroup2/jit -o json --message '{said}' --subscription prod-eu"
    )
    assert "*Active* assignment" in explained.out
    await run('aks-entra access assign $JIT --to "$ME" --kind active --duration 2h --reason "on call"')
    await run(SIGN_IN_AGAIN)
    assert " Ready " in await run("kubectl --kubeconfig jit get nodes")
    assert "a new token does not contain the group" in await run(
        'aks-entra access deactivate $JIT --user "$ME" --reason over'
    )
    await run(SIGN_IN_AGAIN)
    assert "nodes is forbidden" in await refused("kubectl --kubeconfig jit get nodes")

    # Just-in-time at the namespace level
    await run("az aks update -g myResourceGroup2 -n new --enable-azure-rbac -o none")
    await let("AKS_ID", "az aks show -g myResourceGroup2 -n new --query id -o tsv")
    await run("aks-entra kubeconfig -g myResourceGroup2 -n new --login spn --file ns")
    pods = f"{PIPELINE} kubectl --kubeconfig ns get pods -n default"
    assert "is forbidden" in await refused(pods)
    await run(
        'az role assignment create --role "Azure Kubernetes Service RBAC Reader" '
        f"--assignee {READER['id']} --scope $AKS_ID/namespaces/default -o none"
    )
    await run(pods)
    assert "is forbidden" in await refused(pods.replace("default", "kube-system"))
    await run(f"az role assignment delete --assignee {READER['id']} --scope $AKS_ID/namespaces/default")
    asked = f"--to {READER['appId']} --role reader -n default --duration 2h --reason CHG-1 --yes"
    grant = f"aks-entra access grant $AKS_ID {asked}"
    await run(grant)
    await run(pods)
    await run(f"aks-entra access revoke $AKS_ID --to {READER['appId']} --yes")
    assert "is forbidden" in await refused(pods)
