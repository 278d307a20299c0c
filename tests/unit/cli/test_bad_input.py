# ruff: noqa: E501 - a table reads best with one line for each case
"""Wrong input: exit code 2, one error that names the option, what to do next, and nothing is written anywhere.

The commands run in this process, inside a sandbox that runs in a thread: it says what it was asked.
"""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from aks_entra.cli import app
from aks_entra.documents import dump_plan, dump_report
from azure_sandbox.front.proxy import Exchange
from azure_sandbox.server import Sandbox
from tests.support.local_installation import RecordedRequests
from tests.support.report_samples import every_verdict, fleet_plan, planned, posture

WORLD = """\
version: 1
tenant: {id: 7c9e2f64-3a1d-4b58-9e07-5d4f1b8a6c32, name: contoso.onmicrosoft.com}
servicePrincipals:
  - {name: operator, graphPermissions: [GroupMember.Read.All, User.Read.All, Group.ReadWrite.All, Directory.Read.All]}
users: [{name: dana, upn: dana@contoso.com}]
groups:
  - {name: aks-admins, members: [operator, dana]}
operator: operator
subscriptions:
  - name: prod-eu
    id: 3e8b1a70-6c2f-4d95-b0e4-8f7a2c5d9163
    roleAssignments: [{principal: operator, role: Owner}]
    resourceGroups:
      - name: shop-weu
        location: westeurope
        clusters:
          - {name: shop-01, nodes: 1, identity: managed, adminGroups: [aks-admins]}
"""
FLEET = "version: 1\nname: prod\nclusters: [{subscription: prod-eu}]\ntarget: {admin_groups: [{name: aks-admins}]}\n"

GLASS = "break-glass shop-weu/shop-01 --subscription prod-eu --yes"
GRANT = "access grant shop-weu/shop-01 --subscription prod-eu --yes --to dana@contoso.com --role reader --reason x"
PROVISION = "provision --subscription prod-eu -g pay-weu -n pay-01 -l westeurope --admin-group aks-admins"
TYPED = {
    # what there is
    "inventory": "no subscription is named",
    "inventory fleet.yaml --subscription prod-eu": "the fleet file already selects the clusters",
    "inventory fleet.yaml -n shop-01": "the fleet file already selects the clusters",
    "inventory fleet.yaml --tenant": "the fleet file already selects the clusters",
    "inventory --tenant --subscription prod-eu": "more than one option says where the clusters are",
    "inventory --tenant --summary --by colour": "--by",
    "inventory --tenant --summary --by tag:": "clusters cannot be grouped by 'tag:'",
    "inventory --management-group nobody": "--management-group: ",
    "inventory --tenant --csv nowhere/a.csv": "there is no folder nowhere",
    "inventory --subscription ''": "--subscription",
    "inventory --subscription prod-us": "--subscription: ",
    "inventory --subscription prod-eu -g nowhere": "--resource-group: ",
    "inventory --subscription prod-eu -n nobody": "--name: ",
    "inventory --subscription prod-eu --tag env": "--tag env: not KEY=VALUE",
    "inventory --subscription prod-eu --tag ''": "--tag : not KEY=VALUE",
    "inventory --subscription prod-eu --tag =x": "--tag =x: not KEY=VALUE",
    "inventory --subscription prod-eu -o xml": "'--output'",
    "inventory --subscription prod-eu --evidence none": "none: no such file or folder",
    "inventory none.yaml": "none.yaml: no such file",
    "inventory .": ".: is a folder",
    "inventory --nonsense": "--nonsense",
    # what would happen
    "plan": "'FLEET.yaml'",
    "plan ''": ".: is a folder",
    "plan .": ".: is a folder",
    "plan /dev/null": "/dev/null:1: is empty",
    "plan none.yaml": "none.yaml: no such file",
    "plan binary": "binary:1: is not UTF-8 text",
    "plan huge.yaml": "huge.yaml: ",
    "plan plan.json": "this is no fleet file: it says `aks-entra/plan`",
    "plan fleet.yaml other.yaml": "other.yaml",
    "plan fleet.yaml --skip-rule W120": "W120 is skipped without a reason",
    "plan fleet.yaml --skip-rule =x": "--skip-rule =x: there is no rule",
    "plan fleet.yaml --skip-rule W999=CHG-1": "there is no rule W999",
    "plan fleet.yaml --skip-rule B001=CHG-1": "B001 cannot be skipped",
    "plan fleet.yaml --audit-log none.json": "none.json: cannot be read",
    "plan fleet.yaml --audit-log fleet.yaml": "fleet.yaml: ",
    "plan fleet.yaml --audit-days -1": "'--audit-days'",
    "plan fleet.yaml --audit-days many": "'--audit-days'",
    "plan fleet.yaml --audit-days 100000": "'--audit-days'",
    "plan fleet.yaml --out .": ".: is a folder",
    "plan fleet.yaml --out no/such/plan.json": "there is no folder no/such",
    "plan fleet.yaml --out fleet.yaml/plan.json": "there is no folder fleet.yaml",
    "plan fleet.yaml --evidence none": "none: no such file or folder",
    "plan fleet.yaml -o xml": "'--output'",
    # do it
    "migrate": "nothing, or more than one thing, was named to migrate",
    "migrate fleet.yaml --resume abc": "nothing, or more than one thing, was named to migrate",
    "migrate plan.json --follow abc": "nothing, or more than one thing, was named to migrate",
    "migrate --resume abc --follow abc": "nothing, or more than one thing, was named to migrate",
    "migrate fleet.yaml --local --no-wait": "--local stops when this command ends",
    "migrate --follow abc --yes": "--yes would approve the plan of a run that somebody else may have started",
    "migrate --follow abc --yes --plan 12345": "name the plan that you read: --plan DIGEST (6 digits at least)",
    "migrate --follow abc --yes --plan sha256:12345": "name the plan that you read",
    "migrate --follow abc --plan 123456": "--plan needs --follow and --yes",
    "migrate fleet.yaml --yes --plan 123456": "--plan needs --follow and --yes",
    "migrate --follow abc --yes --plan 123456": "no Prefect API is configured",
    "migrate --follow abc --without-gates": "--without-gates can only be given when a run is started",
    "migrate fleet.yaml": "no Prefect API is configured",
    "migrate plan.json": "no Prefect API is configured",
    "migrate fleet.yaml -o xml": "'--output'",
    "approve": "'--reason'",
    "approve abc": "'--reason'",
    "approve --reason x": "neither or both of RUN and --all-waiting",
    "approve abc --all-waiting --reason x": "neither or both of RUN and --all-waiting",
    "approve abc def --plan 123456 --reason x": "--plan names the plan of one run",
    "approve abc --reject --reason x": "a rejection names its plan",
    "approve abc --plan 123456": "'--reason'",
    "approve abc --plan 123456 --reason x": "no Prefect API is configured",
    "approve abc --plan 123456 --reason ' '": "--reason: it is blank",
    f"sign abc --reason {'x' * 501}": "--reason: it has 501 characters, and 500 are allowed",
    "sign abc --reason x --ticket ' '": "--ticket: it is blank",
    "approve abc --plan 123456 --reason x --approver ''": "--approver: it is blank",
    "approvals setup --name ''": "--name: it is blank",
    "approve abc --plan 123456 --reason 'CHG\n1'": "--reason: it has the character U+000A in it",
    "approve abc --plan 123456 --reason x --approver 'dana\u202e'": "--approver: it has the character U+202E in it",
    "approve abc --plan 123456 --reason x --ticket 'T\x1b[2J'": "--ticket: it has the character U+001B in it",
    "skip abc shop-01 --reason 'x\u2028y'": "--reason: it has the character U+2028 in it",
    "migrate plan.json --yes --reason 'x\x00y'": "--reason: it has the character U+0000 in it",
    "up --port 0": "'--port'",
    "up --port 70000": "'--port'",
    "up --port many": "'--port'",
    "up --pool ''": "--pool",
    # prove it
    "verify": "'FLEET.yaml|PLAN.json'",
    "verify .": ".: is a folder",
    "verify none.json": "none.json: No such file or directory",
    "verify report.json": "report.json: this is no plan",
    "verify binary.json": "binary.json: not UTF-8 text",
    "verify plan.json --old-kubeconfig shop-01": "--old-kubeconfig shop-01: not CLUSTER=FILE",
    "verify plan.json --old-kubeconfig =x": "--old-kubeconfig =x: not CLUSTER=FILE",
    "verify plan.json --old-kubeconfig shop-01=": "not CLUSTER=FILE",
    "verify plan.json --old-kubeconfig shop-01=none": "none: No such file or directory",
    "verify plan.json --old-kubeconfig nobody=fleet.yaml": "nobody is not in the fleet",
    "verify plan.json --evidence report.json": "report.json: exists already",
    "verify plan.json --evidence no/such/e.json": "there is no folder no/such",
    "records import": "it is not said from where",
    "records import records.tar.gz --from-prefect": "it is not said from where, or two places are named",
    "records prune --before 2025-01-01": "--archive is missing",
    "records prune --before 2999-01-01 --dry-run": "--before is in the future",
    "records import --from-prefect --store elsewhere": "--store does not go with --from-prefect",
    "report": "'DIGEST|FILE'",
    "report ''": "no such file, and not a digest",
    "report .": "no such file, and not a digest",
    "report abc": "no such file, and not a digest",
    "report 9f31c2": "PREFECT_API_URL names no server",
    "report plan.json": "plan.json: ",
    "report report.json --html .": ".: is a folder",
    "report report.json --junit no/such/r.xml": "there is no folder no/such",
    "report report.json --pdf r.pdf": "--pdf",
    # make one
    "provision": "'--resource-group'",
    "provision -g pay-weu": "'--name'",
    "provision -g pay-weu -n pay-01 -l westeurope": "'--admin-group'",
    "provision -g pay-weu -n pay-01 -l westeurope --admin-group aks-admins": "no subscription is named",
    f"{PROVISION} -c 0": "'--node-count'",
    f"{PROVISION} -c many": "'--node-count'",
    f"{PROVISION} --tier Gold": "'--tier'",
    f"{PROVISION} --member dana@contoso.com": "--member",
    f"{PROVISION} --no-azure-rbac": "Azure RBAC is on in every cluster",
    f"{PROVISION} -k newest": "--kubernetes-version: `newest` is not a version of Kubernetes",
    f"{PROVISION} -s big": "--node-vm-size: `big` is not a VM size",
    f"{PROVISION} --create-group --member dana": "--admin-group: `dana` is neither an object id nor a user principal name",
    "provision none.yaml": "none.yaml: no such file",
    "provision fleet.yaml": "fleet.yaml:1: kind: this is no cluster file: it says no kind",
    "provision fleet.yaml -g pay-weu": "--resource-group: the cluster file describes the cluster",
    "provision fleet.yaml --from plan.json": "both describe the cluster",
    "provision --from none.json": "none.json: no such file",
    "provision --from fleet.yaml": "fleet.yaml: it is not JSON",
    "provision --from plan.json": "plan.json: it has no `properties`",
    "provision --from plan.json --tier Free": "--tier: the document describes the cluster",
    PROVISION: "no Prefect API is configured",
    # the way back
    "rollback": "PLAN.json",
    "rollback none.json": "none.json: No such file or directory",
    "rollback fleet.yaml": "fleet.yaml is not the file of a plan",
    "rollback report.json": "report.json: this is no plan",
    "rollback plan.json --local --no-wait": "--local stops when this command ends",
    "rollback abc": "abc is not the file of a plan",
    "rollback plan.json nobody --local": "nobody",
    "break-glass": "'CLUSTER'",
    "break-glass shop-weu/shop-01": "neither or both of --duration and --close",
    "break-glass shop-weu/shop-01 --reason INC-1": "neither or both of --duration and --close",
    "break-glass shop-weu/shop-01 --duration 1h": "opening local accounts needs a reason",
    "break-glass shop-weu/shop-01 --duration 1h --reason ''": "opening local accounts needs a reason",
    "break-glass shop-weu/shop-01 --duration 1h --reason 'x\ny'": "--reason does not fit into a tag of Azure",
    "break-glass shop-weu/shop-01 --duration 1h --close": "neither or both of --duration and --close",
    "break-glass shop-weu/shop-01 --duration 1h --reason INC-1 --file k": "this needs a confirmation",
    f"{GLASS} --duration 0m --reason INC-1 --file k": "--duration 0m: not a duration between",
    f"{GLASS} --duration 99d --reason INC-1 --file k": "--duration 99d: not a duration between",
    f"{GLASS} --duration soon --reason INC-1 --file k": "--duration soon: not a duration between",
    f"{GLASS} --duration -1h --reason INC-1 --file k": "--duration -1h: not a duration between",
    f"{GLASS} --duration 45m --reason INC-1 -f .": ".: ",
    f"{GLASS} --duration 45m --reason INC-1 -f no/such/k": "no/such",
    f"{GLASS} --duration 45m --reason INC-1 -f fleet.yaml": "fleet.yaml: ",
    f"{GLASS.replace('shop-01', 'nobody')} --duration 45m --reason INC-1 --file k": "nobody",
    f"{GLASS.replace('shop-weu/shop-01', 'a/b/c')} --duration 45m --reason INC-1 --file k": "'a/b/c' names no cluster",
    # access
    "kubeconfig": "'--resource-group'",
    "kubeconfig -g shop-weu": "'--name'",
    "kubeconfig -g shop-weu -n shop-01": "no subscription is named",
    "kubeconfig -g shop-weu -n shop-01 --login magic": "'--login'",
    "kubeconfig -g shop-weu -n nobody --subscription prod-eu": "nobody",
    "doctor -o xml": "'--output'",
    "doctor a/b/c": "'a/b/c' names no cluster",
    "access explain": "'CLUSTER'",
    "access explain shop-weu/shop-01": "no user is named",
    "access explain shop-weu/shop-01 get pods --as ''": "no user is named",
    "access explain shop-weu/shop-01 --message none": "--message is not a Forbidden error",
    "access explain a/b/c get pods --as dana@contoso.com": "'a/b/c' names no cluster",
    "access explain shop-weu/shop-01 get pods --as nobody@contoso.com --subscription prod-eu": "nobody@contoso.com",
    "access grant shop-weu/shop-01": "'--to'",
    GRANT.replace("reader", "god"): "'--role'",
    f"{GRANT} --duration soon": "--duration soon: not a duration",
    f"{GRANT} --duration -1h": "--duration -1h: ",
    f"{GRANT} --duration 0m": "--duration 0m: ",
    f"{GRANT} --via magic": "'--via'",
    f"{GRANT} --via azure-rbac": "Azure RBAC",
    GRANT.replace("dana@contoso.com", "nobody@contoso.com"): "nobody@contoso.com",
    GRANT.replace("dana@contoso.com", "''"): "no user, group or application ''",
    GRANT.replace("--reason x", "--reason ''"): "--reason",
    GRANT.replace("--reason x", "--reason 'x\ny'"): "--reason: it has the character U+000A in it",
    GRANT.replace("shop-weu/shop-01", "shop-01"): "'shop-01' names no cluster",
    "access request shop-weu/shop-01 --to dana@contoso.com --role god --reason x": "'--role'",
    "access request shop-weu/shop-01 --to dana@contoso.com --role reader --reason x --duration soon": "--duration soon: not a duration",
    "access revoke shop-weu/shop-01": "'--to'",
    "access revoke nonsense --to dana@contoso.com": "'nonsense' names no cluster",
    "access list": "no subscription is named",
    "access list nonsense": "'nonsense' names no cluster",
    "access sweep nonsense": "'nonsense' names no cluster",
    "access create-group": "'NAME'",
    "access create-group jit": "'--owner'",
    "access create-group jit --owner dana@contoso.com --require magic": "--require magic: not known",
    "access create-group jit --owner dana@contoso.com --max-duration soon": "soon: not a duration",
    "access create-group jit --owner nobody@contoso.com": "nobody@contoso.com",
    "access policy": "'GROUP'",
    "access policy nobody --max-duration 8h": "nobody",
    "access policy aks-admins --require magic": "--require magic: not known",
    "access policy aks-admins --max-duration soon": "soon: not a duration",
    "access assign aks-admins --to dana@contoso.com": "'--reason'",
    "access assign aks-admins --to dana@contoso.com --reason x --kind magic": "'--kind'",
    "access assign aks-admins --to dana@contoso.com --reason x --duration soon": "soon: not a duration",
    "access assign aks-admins --to dana@contoso.com --reason 'x\x07'": "--reason: it has the character U+0007 in it",
    "access activate aks-admins": "'--reason'",
    "access activate aks-admins --reason x --duration soon": "soon: not a duration",
    "access deactivate": "'GROUP'",
    "access deactivate aks-admins --kind magic": "'--kind'",
    "access approve nonsense --reason ''": "a decision needs a reason",
    "access conditional-access apply none.yaml": "none.yaml: No such file",
    "access conditional-access apply fleet.yaml": "fleet.yaml: groups",
    "access conditional-access apply --name x --group aks-admins --require magic": "'--require'",
    "access conditional-access show": "'NAME'",
    "nonsense": "'nonsense'",
    "version -o xml": "'--output'",
}


class SandboxThread(threading.Thread):
    """A sandbox in a thread of its own, so that a command may have this one."""

    def __init__(self, world: Path) -> None:
        super().__init__(daemon=True)
        self.world, self.requests = world, RecordedRequests()
        self.environment: dict[str, str] = {}
        self.ready = threading.Event()

    def run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self.loop, self.over = asyncio.get_running_loop(), asyncio.Event()
        async with Sandbox(self.world, pace=1000, observe=self._saw) as sandbox:
            self.environment = dict(sandbox.environment)
            self.ready.set()
            await self.over.wait()

    def _saw(self, exchange: Exchange) -> None:
        self.requests.exchanges.append(exchange)

    def end(self) -> None:
        self.loop.call_soon_threadsafe(self.over.set)
        self.join(30)


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxThread]:
    world = tmp_path_factory.mktemp("world") / "world.yaml"
    world.write_text(WORLD)
    thread = SandboxThread(world)
    thread.start()
    assert thread.ready.wait(30)
    yield thread
    thread.end()


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("documents")
    (folder / "fleet.yaml").write_text(FLEET)
    (folder / "plan.json").write_text(dump_plan(fleet_plan(("all", (planned(posture("shop-01")),)))))
    (folder / "report.json").write_text(dump_report(every_verdict()))
    (folder / "binary").write_bytes(b"\xff\xfe\x00")
    (folder / "binary.json").write_bytes(b"\xff\xfe\x00")
    (folder / "huge.yaml").write_text("#" * 1_048_577)
    return folder


@pytest.mark.parametrize("line", TYPED)
def test_one_clear_error_and_nothing_written(
    line: str, sandbox: SandboxThread, documents: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in os.environ:
        if re.match(r"(?i)^(azure_|aks_entra_|prefect_|(https?|all|no)_proxy$)", name):
            monkeypatch.delenv(name)
    for name, value in sandbox.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AZURE_SUBSCRIPTION_ID", raising=False)
    monkeypatch.chdir(documents)
    sandbox.requests.exchanges.clear()
    before = {file: file.stat().st_mtime_ns for file in documents.rglob("*")}

    result = CliRunner().invoke(app, shlex.split(line))

    said = result.stderr
    assert result.exit_code == 2, said
    assert said.count("Error: ") == 1, said
    assert TYPED[line] in said, said
    assert "→" in said or re.search(r"Try '.*--help'", said), said
    assert "Traceback" not in said
    assert result.stdout == ""
    assert sandbox.requests.writes() == []
    assert {file: file.stat().st_mtime_ns for file in documents.rglob("*")} == before
