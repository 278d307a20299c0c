"""Unmodified clients of Azure that this project does not use itself, as their users run them inside the sandbox.

`make test-foreign-clients` builds them first. A client that is missing is a skip that names the command.
"""

from __future__ import annotations

import asyncio
import csv
import json
import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aks_entra.core.verdict.verdict import Outcome as Verdicts
from aks_entra.documents import dump_report
from azure_sandbox.server import Sandbox
from azure_sandbox.world.model import World
from tests.journeys.clients import LOCAL_ACCOUNTS_ARE_OFF, LOGIN
from tests.support.terminal import Outcome, Terminal
from tests.support.verdict_cases import report_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.clients

FILES = Path(__file__).parent / "foreign"
ADMINS, READERS = "5a0c1f5e-4b7d-4b0e-8f52-6d1c7a9e3b11", "0f4f6d0e-93b9-4b5b-a3d0-6f2b8a5c7e22"
SUBSCRIPTION = "3e8b1a70-6c2f-4d95-b0e4-8f7a2c5d9163"
PLAIN = "providers/Microsoft.ContainerService/managedClusters/plain"
NO_CHANGES, CHANGES = 0, 2  # of `tofu plan -detailed-exitcode`
FINDINGS = 3  # Prowler: a check failed
WORLD: dict[str, Any] = {
    "version": 1,
    "tenant": {"id": "7c9e2f64-3a1d-4b58-9e07-5d4f1b8a6c32", "name": "contoso.onmicrosoft.com"},
    "servicePrincipals": [{"name": "operator", "graphPermissions": ["Directory.Read.All"]}],
    "users": [{"name": "alice", "upn": "alice@contoso.onmicrosoft.com"}],
    "groups": [
        {"name": "aks-admins", "id": ADMINS, "members": ["operator", "alice"]},
        {"name": "shop-readers", "id": READERS, "members": ["alice"]},
    ],
    "operator": "operator",
    "subscriptions": [
        {
            "id": SUBSCRIPTION,
            "name": "prod-eu",
            "roleAssignments": [{"principal": "operator", "role": "Owner"}],
            "resourceGroups": [
                {
                    "name": "shop-weu",
                    "location": "westeurope",
                    "clusters": [
                        {"name": "plain", "nodes": 2, "identity": "none"},
                        {"name": "guarded", "nodes": 1, "identity": "managed", "adminGroups": ["aks-admins"]},
                        {
                            "name": "closed",
                            "nodes": 1,
                            "identity": "managed",
                            "adminGroups": ["aks-admins"],
                            "localAccounts": False,
                        },
                    ],
                }
            ],
        }
    ],
}
FLEET = f"""\
version: 1
name: pay
clusters: [{{subscription: {SUBSCRIPTION}, resource_group: pay-weu}}]
target:
  admin_groups: [{{name: aks-admins}}]
  azure_rbac: keep
"""
PROGRAM = f"{shlex.quote(sys.executable)} -c 'from aks_entra.cli import main; main()'"
QUICK = {"AKS_ENTRA_POLL_INTERVAL": "0.3", "AKS_ENTRA_LOOK_INTERVAL": "0.3", "AKS_ENTRA_GROUP_READ_GAP": "0.1"}


def needs(client: str, *programs: str) -> None:
    """Skip a test whose programs are not on PATH, and say how they get there."""
    if missing := [name for name in programs if not shutil.which(name)]:
        pytest.skip(f"not on PATH: {', '.join(missing)} (`make test-foreign-clients CLIENTS={client}` builds it)")


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(World.model_validate(WORLD)) as sandbox:
        yield sandbox


@pytest.fixture
def terminal(sandbox: Sandbox, tmp_path: Path) -> Terminal:
    return Terminal(sandbox.environment, tmp_path / "home")


def not_modelled(sandbox: Sandbox) -> list[str]:
    """Return the requests that the sandbox answered with 501."""
    return list(sandbox.report.shown()["unmodelled"])


@pytest.mark.parametrize("language", ["go", "javascript"])
async def test_a_cluster_moves_with_the_sdk_of(language: str, sandbox: Sandbox, terminal: Terminal) -> None:
    needs(language, f"move-with-{language}")
    found = json.loads(await terminal.run(f"move-with-{language} shop-weu plain {ADMINS} {READERS}"))
    assert found["listed"] == ["plain", "guarded", "closed"]
    assert found["withoutEntra"]["status"] == 400
    assert "can only be set on Azure AD integration enabled cluster" in found["withoutEntra"]["message"]
    assert found["aadProfile"]["managed"] is True
    assert found["aadProfile"]["adminGroupObjectIDs"] == [ADMINS]
    assert found["disableLocalAccounts"] is True
    assert (found["adminCredentials"]["status"], found["adminCredentials"]["code"]) == (400, "BadRequest")
    assert LOCAL_ACCOUNTS_ARE_OFF in found["adminCredentials"]["message"]
    assert (found["afterRotation"], found["kubelogin"]) == ("Succeeded", True)
    assert [scope.rpartition("/shop-weu/")[2] for scope in found["roles"]] == [PLAIN, f"{PLAIN}/namespaces/shop"]
    assert not_modelled(sandbox) == []


async def test_java_reaches_the_sandbox_without_a_setting_of_its_own(terminal: Terminal) -> None:
    if not shutil.which("java"):
        pytest.skip("there is no Java on PATH")
    listed = json.loads(await terminal.run(f"java '{FILES / 'Main.java'}'"))
    assert [it["name"] for it in listed["value"]] == ["plain", "guarded", "closed"]


async def test_cloud_custodian_finds_and_tags_the_clusters_that_are_left_to_move(
    sandbox: Sandbox, terminal: Terminal
) -> None:
    needs("custodian", "custodian")
    await terminal.run(f"custodian run -s out '{FILES / 'policies.yml'}'")

    def matched(policy: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads((terminal.home / "out" / policy / "resources.json").read_text())
        return found

    assert [it["name"] for it in matched("local-accounts-are-on")] == ["plain", "guarded"]
    assert [it["name"] for it in matched("without-entra")] == ["plain"]
    clusters = sandbox.arm.state.clusters.values()
    assert [it.name for it in clusters if (it.document.get("tags") or {}).get("sign-in") == "to-move"] == ["plain"]
    assert not_modelled(sandbox) == []


async def test_prowler_judges_each_cluster(sandbox: Sandbox, terminal: Terminal) -> None:
    needs("prowler", "prowler")
    line = "prowler azure --sp-env-auth --service aks --no-banner --no-color -M csv -o out -F aks"
    assert (await terminal.type(line)).status == FINDINGS
    report = await asyncio.to_thread((terminal.home / "out" / "aks.csv").read_text)
    rows = list(csv.DictReader(report.splitlines(keepends=True), delimiter=";"))
    judged = {(one["CHECK_ID"], one["RESOURCE_NAME"]): one["STATUS"] for one in rows}
    assert {name for _, name in judged} == {"plain", "guarded", "closed"}
    local = {name: judged["aks_cluster_local_accounts_disabled", name] for name in ("plain", "guarded", "closed")}
    assert local == {"plain": "FAIL", "guarded": "FAIL", "closed": "PASS"}
    assert not_modelled(sandbox) == []


async def cosign_takes_only_what_was_signed(terminal: Terminal, key: str) -> None:
    """Sign a report with a key, and check it with cosign and `key.pub`: the report, another one, and another key."""
    (terminal.home / "kept.json").write_text(dump_report(report_of()))
    report = f"{PROGRAM} report kept.json --json report.json"
    await terminal.run(f"{report} --attest report.intoto.json --key {key}")
    check = (
        "cosign verify-blob-attestation --key key.pub --insecure-ignore-tlog=true "
        "--type https://in-toto.io/attestation/test-result/v0.1 --signature report.intoto.json "
    )
    checked = await terminal.type(f"{check} report.json")
    assert "Verified OK" in checked.out + checked.err
    (terminal.home / "report.json").write_text(dump_report(report_of(outcome=Verdicts.FAILED)))
    assert (await terminal.type(f"{check} report.json")).status != 0
    other = "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 | openssl pkey -pubout -out key.pub"
    await terminal.run(f"{other} && {report}")
    assert (await terminal.type(f"{check} report.json")).status != 0


async def test_an_auditor_checks_a_signed_report_with_cosign_alone(terminal: Terminal) -> None:
    needs("cosign", "cosign")
    await terminal.run(
        "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key.pem && chmod 600 key.pem"
    )
    await terminal.run("openssl pkey -in key.pem -pubout -out key.pub")
    await cosign_takes_only_what_was_signed(terminal, "key.pem")


async def test_an_auditor_checks_what_a_key_in_azure_key_vault_signed_with_cosign_alone(
    clients: None,  # noqa: ARG001  # without az nobody gets the public key
    tmp_path: Path,
) -> None:
    needs("cosign", "cosign")
    subscription = WORLD["subscriptions"][0]
    assigned = [*subscription["roleAssignments"], {"principal": "operator", "role": "Key Vault Crypto User"}]
    vaults = [{"name": "signing", "resourceGroup": "shop-weu", "keys": [{"name": "reports"}]}]
    world = {**WORLD, "keyVaults": vaults, "subscriptions": [{**subscription, "roleAssignments": assigned}]}
    async with Sandbox(World.model_validate(world)) as sandbox:
        terminal = Terminal(sandbox.environment, tmp_path / "home")
        await terminal.run(LOGIN)
        await terminal.run("az keyvault key download --vault-name signing --name reports --encoding PEM --file key.pub")
        await cosign_takes_only_what_was_signed(terminal, "azurekms://signing.vault.azure.net/reports")
        assert not_modelled(sandbox) == []


class Terraform:
    """A folder with the configuration of `main.tf`, and OpenTofu with the azurerm provider that was built."""

    def __init__(self, terminal: Terminal) -> None:
        provider = shutil.which("terraform-provider-azurerm")
        assert provider is not None
        settings = terminal.home / "tofurc"
        settings.write_text(
            "provider_installation {\n"
            f'  dev_overrides {{ "hashicorp/azurerm" = "{Path(provider).parent}" }}\n'
            "  direct {}\n}\n"
        )
        shutil.copy(FILES / "main.tf", terminal.home)
        variables = {"admin_group": ADMINS, "readers": READERS}
        changes = {f"TF_VAR_{name}": value for name, value in variables.items()}
        self._terminal = Terminal.with_changes(terminal, {**changes, "TF_CLI_CONFIG_FILE": str(settings)})

    async def apply(self, **variables: bool) -> None:
        await self._terminal.run(f"tofu apply -auto-approve -no-color {self._options(variables)}")

    async def plan(self, **variables: bool) -> Outcome:
        return await self._terminal.type(f"tofu plan -detailed-exitcode -no-color {self._options(variables)}")

    async def destroy(self, **variables: bool) -> None:
        await self._terminal.run(f"tofu destroy -auto-approve -no-color {self._options(variables)}")

    @staticmethod
    def _options(variables: dict[str, bool]) -> str:
        return " ".join(f"-var {name}={str(value).lower()}" for name, value in variables.items())


@pytest.fixture
def terraform(terminal: Terminal) -> Terraform:
    needs("terraform", "tofu", "terraform-provider-azurerm")
    return Terraform(terminal)


async def test_terraform_makes_and_closes_a_cluster_and_then_plans_nothing(
    sandbox: Sandbox, terraform: Terraform
) -> None:
    for step in ({"entra": True, "local_account_disabled": False}, {"entra": True, "local_account_disabled": True}):
        await terraform.apply(**step)
        planned = await terraform.plan(**step)
        assert planned.status == NO_CHANGES, planned
    await terraform.destroy(**step)
    assert not_modelled(sandbox) == []


async def test_our_migration_is_drift_for_terraform_until_its_configuration_says_the_same(
    terminal: Terminal, terraform: Terraform
) -> None:
    await terraform.apply(entra=False, local_account_disabled=False)
    (terminal.home / "fleet.yaml").write_text(FLEET)
    terminal.environment |= {**QUICK, "PYTHONPATH": os.pathsep.join(it for it in sys.path if it)}
    await terminal.run(f"{PROGRAM} plan fleet.yaml --out plan.json")
    await terminal.run(f"{PROGRAM} migrate plan.json --local --yes")

    drift = await terraform.plan(entra=False, local_account_disabled=False)
    assert drift.status == CHANGES, drift
    assert "local_account_disabled" in drift.out
    adopted = await terraform.plan(entra=True, local_account_disabled=True)
    assert adopted.status == NO_CHANGES, adopted


async def test_helm_releases_to_the_built_in_api_server_without_server_side_apply(
    clients: None,  # noqa: ARG001  # without clients there is nothing to run
    terminal: Terminal,
) -> None:
    needs("helm", "helm")
    release = f"shop '{FILES / 'release'}' --set readers={READERS}"
    await terminal.run(LOGIN)
    await terminal.run("az aks get-credentials -g shop-weu -n plain --admin")
    assert "is not modelled" in await terminal.refused(f"helm install {release}")
    await terminal.run(f"helm upgrade --install {release} --server-side=false")
    await terminal.run(f"helm upgrade {release} --set setting=second --server-side=false")
    assert (await terminal.read("kubectl get configmap shop"))["data"] == {"setting": "second"}
    await terminal.run("helm uninstall shop")
    assert await terminal.read("helm list") == []


async def test_a_release_of_helm_outlives_the_move_to_entra(clients: None, tmp_path: Path) -> None:  # noqa: ARG001
    needs("helm", "helm")
    if "KUBEBUILDER_ASSETS" not in os.environ:
        pytest.skip("there is no kube-apiserver (`make control-plane` builds it)")
    async with Sandbox(World.model_validate({**WORLD, "controlPlane": "real"})) as sandbox:
        terminal = Terminal(sandbox.environment, tmp_path / "home")
        upgrade = f"helm upgrade --install shop '{FILES / 'release'}' --set readers={READERS}"
        await terminal.run(LOGIN)
        await terminal.run('az aks get-credentials -g shop-weu -n plain --admin --file "$HOME/old"')
        await terminal.run(f"{upgrade} --kubeconfig old")
        await terminal.run(
            f"az aks update -g shop-weu -n plain --enable-aad --aad-admin-group-object-ids {ADMINS} -o none"
        )
        await terminal.run("az aks update -g shop-weu -n plain --disable-local-accounts -o none")
        await terminal.run("az aks rotate-certs -g shop-weu -n plain --yes")
        assert "certificate signed by unknown authority" in await terminal.refused("helm list --kubeconfig old")
        await terminal.run("az aks get-credentials -g shop-weu -n plain")
        await terminal.run(
            'kubelogin convert-kubeconfig -l spn --client-id "$AZURE_CLIENT_ID" --tenant-id "$AZURE_TENANT_ID"'
        )
        await terminal.run(f"{upgrade} --set setting=second")
        (release,) = await terminal.read("helm list")
        assert (release["name"], release["revision"], release["status"]) == ("shop", "2", "deployed")
        assert (await terminal.read("kubectl get configmap shop"))["data"] == {"setting": "second"}
