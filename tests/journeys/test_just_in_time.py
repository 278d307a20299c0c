"""Just-in-time from asking to its proven end: dana activates by her own sign-in, erin approves, time does the rest.

With the real `kubectl` and `kubelogin` where they are built; without them dana signs in at the API server herself.
"""

from __future__ import annotations

import json
import os
import re
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from azure_sandbox.server import Sandbox
from tests.journeys.person import Person
from tests.journeys.terminal import Terminal
from tests.journeys.test_clients import clients

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["clients"]
ROOT = Path(__file__).parents[2]
PIM_TOOL = "5c0f2a7e-8d31-4f6b-9a24-7e1b3c5d8f60"
WORLD = f"""\
version: 1
tenant: {{id: 7c9e2f64-3a1d-4b58-9e07-5d4f1b8a6c32, name: contoso.onmicrosoft.com}}
licences: [P1, P2]
users:
  - {{name: dana, upn: dana@contoso.com}}
  - {{name: erin, upn: erin@contoso.com}}
servicePrincipals:
  - name: operator
    graphPermissions: [Directory.Read.All, AuditLog.Read.All, Policy.Read.All,
      PrivilegedEligibilitySchedule.ReadWrite.AzureADGroup, PrivilegedAssignmentSchedule.ReadWrite.AzureADGroup,
      RoleManagementPolicy.Read.AzureADGroup]
  - name: pim-tool
    appId: {PIM_TOOL}
    publicClient: true
    redirectUris: ["http://localhost"]
    delegatedPermissions: [User.ReadBasic.All, GroupMember.Read.All, PrivilegedEligibilitySchedule.Read.AzureADGroup,
      PrivilegedAssignmentSchedule.ReadWrite.AzureADGroup]
groups:
  - {{name: platform, members: [operator]}}
  - name: on-call
    roleAssignable: true
    activation: [{{access: member, maximumDuration: PT2H, require: [Justification], approvers: [erin]}}]
operator: operator
subscriptions:
  - id: 3e8b1a70-6c2f-4d95-b0e4-8f7a2c5d9163
    name: prod-eu
    roleAssignments:
      - {{principal: operator, role: Owner}}
      - {{principal: dana, role: Azure Kubernetes Service Cluster User Role}}
    resourceGroups:
      - name: shop-weu
        location: westeurope
        clusters:
          - {{name: guarded, nodes: 2, identity: managed, adminGroups: [platform, on-call], localAccounts: false}}
"""
SIGN_IN_AGAIN = 'kubelogin remove-tokens && rm -rf "$HOME/.cache/.IdentityService"'
BY_HAND = """\
import json, ssl, sys, urllib.error, urllib.request, yaml
from azure.identity import DeviceCodeCredential
said = lambda address, code, expires: print(f"open {address} and enter the code {code}", file=sys.stderr, flush=True)
client = DeviceCodeCredential("80faf920-1908-4b52-b5ef-a8e7bedfc67a", tenant_id=sys.argv[1], prompt_callback=said)
token = client.get_token("6dae42f8-4368-4678-94ff-3960e28e3630/.default").token
cluster = yaml.safe_load(open("config"))["clusters"][0]["cluster"]
import base64
trust = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
request = urllib.request.Request(cluster["server"] + "/api/v1/nodes", headers={"Authorization": "Bearer " + token})
try:
    with urllib.request.urlopen(request, context=trust) as answer:
        print(len(json.load(answer)["items"]), "nodes")
except urllib.error.HTTPError as error:
    sys.exit(json.load(error)["message"])
"""


@pytest.fixture
async def sandbox(tmp_path: Path) -> AsyncIterator[Sandbox]:
    world = tmp_path / "world.yaml"
    world.write_text(WORLD)
    async with Sandbox(world) as sandbox:
        yield sandbox


def opened(sandbox: Sandbox, home: Path, *, person: bool) -> Terminal:
    given = {name: value for name, value in sandbox.environment.items() if not (person and "CLIENT" in name)}
    terminal = Terminal(given, home)
    terminal.environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{terminal.environment['PATH']}"
    terminal.environment |= {"PYTHONPATH": str(ROOT / "src"), "AKS_ENTRA_LOOK_INTERVAL": "0.2", "NO_COLOR": "1"}
    terminal.environment |= {"AKS_ENTRA_GRANT_LIMIT": "30", "AZURE_SUBSCRIPTION_ID": "prod-eu"}
    return terminal


def at_work(sandbox: Sandbox, name: str, folder: Path) -> Person:
    port = int(sandbox.environment["HTTPS_PROXY"].rpartition(":")[2])
    person = Person(name, opened(sandbox, folder / name, person=True), port)
    person.terminal.environment["AKS_ENTRA_PERSON_CLIENT_ID"] = PIM_TOOL
    return person


@pytest.fixture(params=["own sign-in", pytest.param("kubectl", marks=pytest.mark.clients)])
def nodes(request: pytest.FixtureRequest) -> tuple[str, str]:
    """What dana types to see nodes, and what she types before it to sign in anew."""
    if request.param == "kubectl":
        request.getfixturevalue("clients")
        return "kubectl --kubeconfig config get nodes", SIGN_IN_AGAIN
    return f"{sys.executable} nodes.py $AZURE_TENANT_ID", "true"


async def test_from_asking_to_the_proven_end(sandbox: Sandbox, tmp_path: Path, nodes: tuple[str, str]) -> None:
    get_nodes, anew = nodes
    operator = opened(sandbox, tmp_path / "operator", person=False)
    dana, erin = at_work(sandbox, "dana", tmp_path), at_work(sandbox, "erin", tmp_path)
    (dana.terminal.home / "nodes.py").write_text(BY_HAND)

    # dana may ask for it, and not more: she is eligible
    await operator.run('aks-entra access assign on-call --to dana@contoso.com --for 30d --reason "on call"')
    await operator.run("aks-entra kubeconfig -g shop-weu -n guarded --mode devicecode --file ../dana/config")
    assert "forbidden" in await dana.refused(get_nodes)
    explained = await operator.type(
        "aks-entra access explain shop-weu/guarded --as dana@contoso.com list nodes -o json"
    )
    assert "A134" in {one["rule"] for one in json.loads(explained.out)["reasons"]}

    # she asks, by her own sign-in; longer than the policy lets her is refused before anybody is asked
    assert "ExpirationRule" in await dana.refused("aks-entra access activate on-call --for 3h --reason INC-7")
    asked = await dana.run("aks-entra access activate on-call --for 30m --reason INC-7")
    assert asked.startswith("PendingApproval")
    assert "forbidden" in await dana.refused(f"{anew}; {get_nodes}")

    # erin decides; dana cannot
    waiting = await erin.run("aks-entra access approve --list")
    approval = waiting.split()[0]
    assert "INC-7" in waiting
    assert "does not wait for you" in await dana.refused(f"aks-entra access approve {approval} --reason mine")
    await erin.run(f'aks-entra access approve {approval} --reason "go ahead"')
    listed = json.loads(await operator.run("aks-entra access list --group on-call -o json"))["members"]
    assert {(one["kind"], one["who"], one["activated"]) for one in listed} == {
        ("eligible", "dana@contoso.com", False),
        ("active", "dana@contoso.com", True),
    }

    if "kubectl" in get_nodes:  # the Azure CLI's own sign-in is good for much, and never for this
        await dana.run("az login --use-device-code -o none")
        said = await dana.refused("AKS_ENTRA_PERSON_CLIENT_ID= aks-entra access activate on-call --for 30m --reason x")
        assert "PrivilegedAssignmentSchedule.ReadWrite.AzureADGroup" in said
        assert "--client-id" in said

    # with a new token she is in
    assert re.search(r"Ready|2 nodes", await dana.run(f"{anew}; {get_nodes}"))
    early = "AKS_ENTRA_GRANT_LIMIT=1 aks-entra access prove-end on-call --of dana@contoso.com"
    assert "PIM still shows the membership" in await operator.refused(early)

    # after half an hour it is over by itself: what she holds lives on, a new token is refused, and both are said
    sandbox.clock.advance(timedelta(minutes=31))
    if "kubectl" in get_nodes:
        assert " Ready " in await dana.run(get_nodes, signs_in=False)
    assert "forbidden" in await dana.refused(f"{anew}; {get_nodes}")
    proof = json.loads(
        await operator.run(
            "aks-entra access prove-end on-call --of dana@contoso.com --cluster shop-weu/guarded -o json"
        )
    )
    assert proof["refused"] is True
    assert "is no member any more" in proof["membership"]
    assert "shop-weu/guarded refuses a new token" in proof["clusters"][0]["proof"]
    assert any(one.startswith("dana@contoso.com signed in at ") for one in proof["tokens"])


BROWSER = """\
import html, re, sys, urllib.parse, urllib.request
class Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None
asked = urllib.parse.urlsplit(sys.argv[1])
form = dict(urllib.parse.parse_qsl(asked.query)) | {"username": "dana@contoso.com"}
web = urllib.request.build_opener(Stay())
try:
    page = web.open(asked._replace(query="").geturl(), urllib.parse.urlencode(form).encode()).read().decode()
    fields = {name: html.unescape(value) for name, value in re.findall("name='([^']+)' value='([^']*)'", page)}
    urllib.request.urlopen(form["redirect_uri"], urllib.parse.urlencode(fields).encode()).read()
except urllib.error.HTTPError as error:
    urllib.request.urlopen(error.headers["Location"]).read()
"""


async def test_a_person_with_a_browser_signs_in_there(sandbox: Sandbox, tmp_path: Path) -> None:
    operator, dana = opened(sandbox, tmp_path / "operator", person=False), at_work(sandbox, "dana", tmp_path)
    (dana.terminal.home / "browser.py").write_text(BROWSER)
    dana.terminal.environment["BROWSER"] = f"{sys.executable} {dana.terminal.home / 'browser.py'} %s &"
    await operator.run('aks-entra access assign on-call --to dana@contoso.com --for 30d --reason "on call"')
    asked = await dana.run("aks-entra access activate on-call --for 30m --reason INC-7 --login interactive")
    assert asked.startswith("PendingApproval")
    assert dana.codes == []
