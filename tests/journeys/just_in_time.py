"""A world in which dana may request access to a cluster, and the terminals of its people."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from azure_sandbox.server import Sandbox
from tests.support.person import Person
from tests.support.terminal import Terminal

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
READ_NODES = """\
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


def terminal_of(sandbox: Sandbox, home: Path, *, person: bool) -> Terminal:
    given = {name: value for name, value in sandbox.environment.items() if not (person and "CLIENT" in name)}
    terminal = Terminal(given, home)
    terminal.environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{terminal.environment['PATH']}"
    terminal.environment |= {"PYTHONPATH": str(ROOT / "src"), "AKS_ENTRA_LOOK_INTERVAL": "0.2", "NO_COLOR": "1"}
    terminal.environment |= {"AKS_ENTRA_GRANT_LIMIT": "30", "AZURE_SUBSCRIPTION_ID": "prod-eu"}
    return terminal


def person_of(sandbox: Sandbox, name: str, folder: Path) -> Person:
    port = int(sandbox.environment["HTTPS_PROXY"].rpartition(":")[2])
    person = Person(name, terminal_of(sandbox, folder / name, person=True), port)
    person.terminal.environment["AKS_ENTRA_PERSON_CLIENT_ID"] = PIM_TOOL
    return person
