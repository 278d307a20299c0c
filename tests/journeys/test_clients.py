"""The documented way to Microsoft Entra ID with unmodified `az`, `kubectl` and `kubelogin`.

Each test uses a terminal inside the sandbox. The commands are those of Azure's own pages. The environment contains what
`aks-entra-sandbox env` prints, and PATH. `make test-clients` builds the clients first.
"""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from ruamel.yaml import YAML

from azure_sandbox.cli.control_client import CREDENTIALS
from azure_sandbox.server import Sandbox
from azure_sandbox.world.model import World
from tests.journeys.clients import LOCAL_ACCOUNTS_ARE_OFF, LOGIN
from tests.support.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.clients

MISUSED = 2  # az: the arguments are wrong
OUTSIDER = {
    "id": "9a3d8f5e-52b4-4d0c-8f1b-6d9f0f3c7a21",
    "appId": "1f0c6a5d-7be4-4f7b-9f59-0d2c54b8a9e3",
    "secret": "the-outsider-came-by",
}
WORLD = f"""\
version: 1
tenant: {{id: 7c9e2f64-3a1d-4b58-9e07-5d4f1b8a6c32, name: contoso.onmicrosoft.com}}
servicePrincipals:
  - {{name: operator, graphPermissions: [Group.ReadWrite.All, Directory.Read.All]}}
  - {{name: outsider, id: {OUTSIDER["id"]}, appId: {OUTSIDER["appId"]}, secret: {OUTSIDER["secret"]}}}
users:
  - {{name: alice, upn: alice@contoso.onmicrosoft.com, password: alice-signs-in, mfa: false}}
  - {{name: bob, upn: bob@contoso.onmicrosoft.com}}
groups:
  - {{name: aks-admins, members: [operator, alice]}}
operator: operator
subscriptions:
  - id: 3e8b1a70-6c2f-4d95-b0e4-8f7a2c5d9163
    name: prod-eu
    roleAssignments:
      - {{principal: operator, role: Owner}}
      - {{principal: outsider, role: Azure Kubernetes Service Cluster User Role}}
      - {{principal: alice, role: Azure Kubernetes Service Cluster User Role}}
    resourceGroups:
      - name: shop-weu
        location: westeurope
        clusters:
          - {{name: plain, nodes: 2, identity: none}}
          - {{name: legacy, nodes: 1, identity: legacy}}
          - {{name: guarded, nodes: 2, identity: managed, adminGroups: [aks-admins]}}
          - {{name: azure-rbac, nodes: 1, identity: managed, adminGroups: [aks-admins], azureRbac: true}}
"""


@pytest.fixture
def world(tmp_path: Path) -> Path:
    file = tmp_path / "world.yaml"
    file.write_text(WORLD)
    return file


@pytest.fixture
async def sandbox(clients: None, world: Path) -> AsyncIterator[Sandbox]:  # noqa: ARG001  # without clients, no world
    async with Sandbox(world) as sandbox:
        yield sandbox


@pytest.fixture
def operator(sandbox: Sandbox, tmp_path: Path) -> Terminal:
    return Terminal(sandbox.environment, tmp_path / "operator")


@pytest.fixture
def outsider(sandbox: Sandbox, tmp_path: Path) -> Terminal:
    identity = {"AZURE_CLIENT_ID": OUTSIDER["appId"], "AZURE_CLIENT_SECRET": OUTSIDER["secret"]}
    return Terminal({**sandbox.environment, **identity}, tmp_path / "outsider")


async def own_object_id(terminal: Terminal) -> str:
    return await terminal.run('az ad sp show --id "$AZURE_CLIENT_ID" --query id -o tsv')


async def nodes(terminal: Terminal, options: str = "") -> dict[str, str]:
    """Return the names and UIDs of a cluster's nodes. All of them must be Ready."""
    items = (await terminal.read(f"kubectl {options} get nodes"))["items"]
    for node in items:
        ready = [it["status"] for it in node["status"]["conditions"] if it["type"] == "Ready"]
        assert ready == ["True"], node["metadata"]["name"]
    return {node["metadata"]["name"]: node["metadata"]["uid"] for node in items}


async def test_a_new_cluster_knows_only_entra_from_its_first_day(operator: Terminal) -> None:
    await operator.run(LOGIN)
    await operator.run("az group create -n pay-weu -l westeurope -o none")
    group = await operator.let(
        "GROUP", "az ad group create --display-name pay-admins --mail-nickname pay-admins --query id -o tsv"
    )
    me = operator.environment["ME"] = await own_object_id(operator)
    await operator.run('az ad group member add --group "$GROUP" --member-id "$ME"')

    created = await operator.read(
        'az aks create -g pay-weu -n pay-01 --enable-aad --aad-admin-group-object-ids "$GROUP" '
        "--disable-local-accounts --node-count 2 --generate-ssh-keys"
    )
    assert created["provisioningState"] == "Succeeded"
    assert created["aadProfile"]["managed"] is True
    assert created["aadProfile"]["adminGroupObjectIDs"] == [group]
    assert created["aadProfile"]["tenantId"] == operator.environment["AZURE_TENANT_ID"]
    assert "pay-01" in await operator.run("az aks list -o table")
    assert (await operator.read("az aks show -g pay-weu -n pay-01"))["disableLocalAccounts"] is True
    assert LOCAL_ACCOUNTS_ARE_OFF in await operator.refused("az aks get-credentials -g pay-weu -n pay-01 --admin")

    await operator.run("az aks get-credentials -g pay-weu -n pay-01")
    assert "azurecli" in await operator.run("kubectl config view")  # az ran kubelogin itself
    assert len(await nodes(operator)) == 2
    await operator.run(
        'kubelogin convert-kubeconfig -l spn --client-id "$AZURE_CLIENT_ID" --tenant-id "$AZURE_TENANT_ID"'
    )
    assert " Ready " in await operator.run("kubectl get nodes")
    user = (await operator.read("kubectl auth whoami"))["status"]["userInfo"]
    assert user["username"] == me
    assert group in user["groups"]
    assert await operator.run("kubectl auth can-i '*' '*' --all-namespaces") == "yes"


async def test_an_existing_cluster_moves_and_its_old_credentials_die_with_the_rotation(operator: Terminal) -> None:
    await operator.run(LOGIN)
    await operator.run('az aks get-credentials -g shop-weu -n plain --admin --file "$HOME/old"')
    before = await nodes(operator, "--kubeconfig old")
    user = "users.clusterAdmin_shop-weu_plain"
    await operator.run(f"cp old certificate && kubectl --kubeconfig certificate config unset {user}.token")
    for field in ("client-certificate-data", "client-key-data"):
        await operator.run(f"cp -n old token; kubectl --kubeconfig token config unset {user}.{field}")

    complaint = await operator.refused("az aks update -g shop-weu -n plain --disable-local-accounts")
    assert "disableLocalAccounts can only be set on Azure AD integration enabled cluster" in complaint
    await operator.let("GROUP", "az ad group show -g aks-admins --query id -o tsv")
    updated = await operator.read(
        'az aks update -g shop-weu -n plain --enable-aad --aad-admin-group-object-ids "$GROUP"'
    )
    assert updated["aadProfile"]["managed"] is True
    updated = await operator.read("az aks update -g shop-weu -n plain --disable-local-accounts")
    assert updated["disableLocalAccounts"] is True
    assert LOCAL_ACCOUNTS_ARE_OFF in await operator.refused("az aks get-credentials -g shop-weu -n plain --admin")
    for held in ("certificate", "token"):  # disabling local accounts does not end old credentials
        assert await nodes(operator, f"--kubeconfig {held}") == before

    await operator.run("az aks rotate-certs -g shop-weu -n plain --yes")
    await operator.run("az aks get-credentials -g shop-weu -n plain")
    after = await nodes(operator)
    assert len(after) == len(before)
    assert not set(after.values()) & set(before.values())
    assert "certificate signed by unknown authority" in await operator.refused("kubectl --kubeconfig old get nodes")
    authority = '{{index (index .clusters 0).cluster "certificate-authority-data" | base64decode}}'
    await operator.run(f"kubectl config view --raw -o go-template='{authority}' >new-ca.pem")
    for held in ("certificate", "token"):
        complaint = await operator.refused(f"kubectl --kubeconfig {held} --certificate-authority new-ca.pem get nodes")
        assert "error: You must be logged in to the server" in complaint


async def test_a_legacy_cluster_is_upgraded_in_place(operator: Terminal) -> None:
    await operator.run(LOGIN)
    assert (await operator.read("az aks show -g shop-weu -n legacy"))["aadProfile"]["serverAppId"]
    await operator.let("GROUP", "az ad group show -g aks-admins --query id -o tsv")
    await operator.run('az aks update -g shop-weu -n legacy --enable-aad --aad-admin-group-object-ids "$GROUP" -o none')
    profile = (await operator.read("az aks show -g shop-weu -n legacy"))["aadProfile"]
    assert profile["managed"] is True
    assert not profile.get("serverAppId")
    await operator.run("az aks get-credentials -g shop-weu -n legacy")
    assert len(await nodes(operator)) == 1


async def test_a_user_who_is_not_a_member_is_authenticated_but_forbidden(outsider: Terminal) -> None:
    await outsider.run(LOGIN)
    complaint = await outsider.refused("az aks get-credentials -g shop-weu -n guarded --admin")
    assert "(AuthorizationFailed)" in complaint
    await outsider.run("az aks get-credentials -g shop-weu -n guarded")
    await outsider.run(
        'kubelogin convert-kubeconfig -l spn --client-id "$AZURE_CLIENT_ID" --tenant-id "$AZURE_TENANT_ID"'
    )
    assert await outsider.refused("kubectl get nodes") == (
        f'Error from server (Forbidden): nodes is forbidden: User "{OUTSIDER["id"]}" cannot list resource "nodes" '
        'in API group "" at the cluster scope'
    )
    assert (await outsider.read("kubectl auth whoami"))["status"]["userInfo"]["username"] == OUTSIDER["id"]
    assert (await outsider.type("kubectl auth can-i list nodes")).out == "no"


async def test_a_role_assignment_opens_a_cluster_that_asks_azure(operator: Terminal, outsider: Terminal) -> None:
    await outsider.run(LOGIN)
    await outsider.run("az aks get-credentials -g shop-weu -n azure-rbac")
    complaint = await outsider.refused("kubectl get nodes")
    assert "User does not have access to the resource in Azure. Update role assignment to allow access." in complaint
    await operator.run(LOGIN)
    await operator.let("CLUSTER", "az aks show -g shop-weu -n azure-rbac --query id -o tsv")
    await operator.run(
        'az role assignment create --role "Azure Kubernetes Service RBAC Cluster Admin" --scope "$CLUSTER" '
        f"--assignee-object-id {OUTSIDER['id']} --assignee-principal-type ServicePrincipal -o none"
    )
    assert len(await nodes(outsider)) == 1


ASKED = r"To sign in, use a web browser to open the page (\S+) and enter the code (\w+) to authenticate"
SANDBOX = f"'{sys.executable}' -m azure_sandbox.cli"


@pytest.fixture
def person(sandbox: Sandbox, tmp_path: Path) -> Terminal:
    """Return a terminal without credentials."""
    shown = {key: it for key, it in sandbox.environment.items() if key not in CREDENTIALS}
    return Terminal({"PYTHONPATH": os.pathsep.join(it for it in sys.path if it)} | shown, tmp_path / "person")


async def test_kubectl_asks_a_person_to_sign_in_as_the_documentation_shows(person: Terminal) -> None:
    async with person.waiting("az login --use-device-code -o none", ASKED) as (asked, login):
        assert await person.run(f"{SANDBOX} sign-in {asked[2]} --as alice@contoso.onmicrosoft.com")
        assert await login.wait() == 0, (await login.stderr.read()).decode() if login.stderr else ""
    await person.run('az aks get-credentials -g shop-weu -n guarded --file "$HOME/guarded"')  # as Azure returns it
    person.environment["KUBECONFIG"] = f"{person.home}/guarded"
    async with person.waiting("kubectl get nodes", ASKED) as (asked, kubectl):
        assert asked[1] == "https://microsoft.com/devicelogin"
        await person.run(f"{SANDBOX} sign-in {asked[2]} --as alice")
        assert kubectl.stdout is not None
        listed = (await kubectl.stdout.read()).decode()
        assert await kubectl.wait() == 0
    assert listed.count(" Ready ") == 2
    assert "alice@contoso.onmicrosoft.com" in await person.run(
        "kubectl auth whoami"
    )  # the token is cached, so no second sign-in


async def test_the_page_for_the_code_works_in_a_browser_and_says_who_is_no_member(
    operator: Terminal, person: Terminal
) -> None:
    await operator.run(LOGIN)
    await operator.run(f"az aks get-credentials -g shop-weu -n guarded --file '{person.home}/guarded'")
    async with person.waiting("kubectl --kubeconfig guarded get nodes", ASKED) as (asked, kubectl):
        browser = "curl -sS --fail -L -H 'Accept: text/html'"
        shown = await person.run(f"{browser} {asked[1]}")
        assert "Enter the code displayed on your app or device" in shown
        assert "value='bob@contoso.onmicrosoft.com'" in shown
        form = "https://login.microsoftonline.com" + shown.partition("action='")[2].partition("'")[0]
        sent = f"--data user_code={asked[2]} --data username=bob@contoso.onmicrosoft.com"
        assert "You have signed in" in await person.run(f"{browser} {sent} {form}")
        assert kubectl.stderr is not None
        complaint = (await kubectl.stderr.read()).decode()
        assert await kubectl.wait() == 1
    assert 'nodes is forbidden: User "bob@contoso.onmicrosoft.com" cannot list' in complaint


async def test_a_password_grant_gets_in_where_no_second_factor_is_asked(operator: Terminal, person: Terminal) -> None:
    await operator.run(LOGIN)
    await operator.run(f"az aks get-credentials -g shop-weu -n guarded --file '{person.home}/guarded'")
    await person.run("kubelogin convert-kubeconfig -l ropc --kubeconfig guarded")
    person.environment |= {"AAD_USER_PRINCIPAL_NAME": "alice@contoso.onmicrosoft.com"}
    wrong = Terminal.with_changes(person, {"AAD_USER_PRINCIPAL_PASSWORD": "not-hers"})
    assert "AADSTS50126" in await wrong.refused("kubectl --kubeconfig guarded get nodes")
    person.environment |= {"AAD_USER_PRINCIPAL_PASSWORD": "alice-signs-in"}
    assert (await person.run("kubectl --kubeconfig guarded get nodes")).count(" Ready ") == 2


async def test_a_workload_gets_in_with_its_federated_token(
    clients: None,  # noqa: ARG001  # without clients there is nothing to run
    tmp_path: Path,
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    issuer, subject = "https://token.actions.example", "repo:contoso/fleet:ref:refs/heads/main"
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    pipeline = {
        "name": "pipeline",
        "appId": OUTSIDER["appId"],
        "federatedCredentials": [{"issuer": issuer, "subject": subject}],
    }
    known: dict[str, Any] = YAML(typ="safe").load(WORLD)
    known["servicePrincipals"] = [known["servicePrincipals"][0], pipeline]
    known["groups"] = [{"name": "aks-admins", "members": ["operator", "pipeline"]}]
    known["issuers"] = [{"issuer": issuer, "keys": [public]}]
    known["subscriptions"][0]["roleAssignments"] = [{"principal": "operator", "role": "Owner"}]
    async with Sandbox(World.model_validate(known)) as sandbox:
        operator = Terminal(sandbox.environment, tmp_path / "operator")
        await operator.run(LOGIN)
        await operator.run('az aks get-credentials -g shop-weu -n guarded --file "$HOME/guarded"')
        runner = Terminal.with_changes(operator, {"AZURE_CLIENT_ID": OUTSIDER["appId"], "AZURE_CLIENT_SECRET": ""})
        runner.environment |= {
            "AZURE_FEDERATED_TOKEN_FILE": f"{operator.home}/token",
            "AZURE_AUTHORITY_HOST": "https://login.microsoftonline.com/",
        }
        claims = {"iss": issuer, "sub": subject, "aud": "api://AzureADTokenExchange", "exp": int(time.time()) + 600}
        runner.environment["TOKEN"] = jwt.encode(claims, key, algorithm="ES256", headers={"kid": "1"})
        await runner.run('printf %s "$TOKEN" >token')
        await runner.run("kubelogin convert-kubeconfig -l workloadidentity --kubeconfig guarded")
        assert (await runner.run("kubectl --kubeconfig guarded get nodes")).count(" Ready ") == 2
        runner.environment["TOKEN"] = jwt.encode({**claims, "sub": "repo:other"}, key, algorithm="ES256")
        await runner.run('printf %s "$TOKEN" >token && rm -rf .kube/cache .cache')
        assert "AADSTS700213" in await runner.refused("kubectl --kubeconfig guarded get nodes")


async def test_exec_as_a_person_leaves_the_operators_credentials_out(
    clients: None,  # noqa: ARG001  # without clients there is nothing to run
    world: Path,
    tmp_path: Path,
) -> None:
    terminal = Terminal({"PYTHONPATH": os.pathsep.join(it for it in sys.path if it)}, tmp_path / "anybody")
    shown = await terminal.run(f"{SANDBOX} exec --person --world '{world}' -- env")
    names = {line.partition("=")[0] for line in shown.splitlines()}
    assert not names & set(CREDENTIALS)
    assert {"HTTPS_PROXY", "AZURE_TENANT_ID"} <= names


async def test_a_wrong_secret_is_refused_in_entras_words(operator: Terminal) -> None:
    operator.environment["AZURE_CLIENT_SECRET"] = "not-the-secret"  # the wrong secret that this test is about
    assert "AADSTS7000215" in await operator.refused(LOGIN)


async def test_exec_runs_az_inside_the_sandbox_and_returns_its_exit_code(
    clients: None,  # noqa: ARG001  # without clients there is nothing to run
    world: Path,
    tmp_path: Path,
) -> None:
    terminal = Terminal({"PYTHONPATH": os.pathsep.join(sys.path)}, tmp_path / "anybody")
    inside = f"'{sys.executable}' -m azure_sandbox.cli exec --world '{world}' --"
    terminal.environment["SCRIPT"] = f"{LOGIN} && az aks list --query '[].name' -o tsv"
    assert (await terminal.run(f'{inside} sh -c "$SCRIPT"')).split() == ["plain", "legacy", "guarded", "azure-rbac"]
    assert (await terminal.type(f"{inside} az no-such-command")).status == MISUSED
