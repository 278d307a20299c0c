"""Rollback and break-glass as a person uses them.

All tests share one Prefect server and one world. Openings that end by themselves run at the same time.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.files import files_below
from tests.support.local_installation import ROTATION, LocalInstallation, local_installation
from tests.support.terminal import HANGS_AFTER, Outcome

pytestmark = pytest.mark.asyncio(loop_scope="module")

WORLD = """\
version: 1
tenant: {id: 7c9e2f64-3a1d-4b58-9e07-5d4f1b8a6c32, name: contoso.onmicrosoft.com}
servicePrincipals:
  - name: operator
    graphPermissions: [Group.ReadWrite.All, User.Read.All, Application.Read.All]
users:
  - {name: Dana Diaz, upn: dana@contoso.onmicrosoft.com}
groups:
  - {name: aks-admins, members: [operator, Dana Diaz]}
  - {name: night-shift, id: 5c1de2a4-90b7-4f0e-b1a5-6f2d7c8e9a01, members: [Dana Diaz]}
operator: operator
subscriptions:
  - name: prod-eu
    id: 3e8b1a70-6c2f-4d95-b0e4-8f7a2c5d9163
    roleAssignments:
      - {principal: operator, role: Owner}
    resourceGroups:
      - name: shop-weu
        location: westeurope
        clusters:
          - {name: shop-01, nodes: 1, identity: none}
          - {name: shop-02, nodes: 1, identity: managed, adminGroups: [aks-admins]}
      - name: pay-weu
        location: westeurope
        clusters:
          - {name: waited, nodes: 1, identity: managed, adminGroups: [aks-admins], localAccounts: false}
          - {name: left, nodes: 1, identity: managed, adminGroups: [aks-admins], localAccounts: false}
          - {name: died, nodes: 1, identity: managed, adminGroups: [aks-admins], localAccounts: false}
          - {name: barred, nodes: 1, identity: managed, adminGroups: [night-shift], localAccounts: false}
"""
FLEET = """\
version: 1
name: {name}
clusters:
  - {{subscription: prod-eu, resource_group: {group}{narrowed}}}
target:
  admin_groups: [{{name: aks-admins}}]
rollout:
  stages:
    - {{name: all, groups: [{{name: all, rest: true}}], gate_before: false}}
"""
OWED = "rotation owed: admin credentials handed out since"
QUICK = {
    "AKS_ENTRA_POLL_INTERVAL": "0.3",
    "AKS_ENTRA_LOOK_INTERVAL": "0.3",
    "AKS_ENTRA_GROUP_READ_GAP": "0.1",
    "AKS_ENTRA_SIGN_IN_LIMIT": "3",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def installation(
    tmp_path_factory: pytest.TempPathFactory, database: Path, python: Path
) -> AsyncIterator[LocalInstallation]:
    folder = tmp_path_factory.mktemp("installation")
    world = folder / "world.yaml"
    world.write_text(WORLD)
    async with local_installation(
        world, folder, pace=300, settings=QUICK, database=database, python=python
    ) as installation:
        yield installation


@asynccontextmanager
async def typed(installation: LocalInstallation, line: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start a command and yield its process. It is killed at the end of the block."""
    process = await asyncio.create_subprocess_exec(
        *line.split(),
        cwd=installation.terminal.home,
        env=installation.terminal.environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


async def until_it_says(process: asyncio.subprocess.Process, words: str) -> str:
    said = ""
    assert process.stdout is not None
    async with asyncio.timeout(HANGS_AFTER):
        while words not in said:
            line = await process.stdout.readline()
            assert line, said
            said += line.decode()
    return said


async def local_accounts(installation: LocalInstallation) -> dict[str, str]:
    """Return the LOCAL ACCOUNTS column of the inventory, by cluster."""
    table = await installation.terminal.run("aks-entra inventory --subscription prod-eu")
    rows = [re.split(r"  +", line) for line in table.splitlines()]
    return {row[0].split("/")[1]: row[3] for row in rows if "/" in row[0]}


async def refusal(installation: LocalInstallation, line: str) -> str:
    """Run a command line that must be refused with exit code 2 before any write."""
    writes = len(installation.requests.writes())
    outcome = await installation.terminal.type(line)
    assert outcome.status == 2, outcome
    assert len(installation.requests.writes()) == writes
    return outcome.err


async def swept(installation: LocalInstallation) -> dict[str, str]:
    """Run the scheduled sweep now, and return how its run ended."""
    async with installation.prefect() as http:
        name = "/deployments/name/sweep-break-glass/sweep-break-glass"
        deployment = (await http.get(name)).raise_for_status().json()["id"]
        run = (await http.post(f"/deployments/{deployment}/create_flow_run", json={})).raise_for_status().json()["id"]
        async with asyncio.timeout(HANGS_AFTER):
            while True:
                state = (await http.get(f"/flow_runs/{run}")).raise_for_status().json()["state"]
                if state["type"] in {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}:
                    return {"type": state["type"], "message": state["message"]}
                await asyncio.wait([asyncio.ensure_future(installation.up.wait())], timeout=0.3)


async def test_a_migration_goes_back_as_far_as_it_goes(installation: LocalInstallation, tmp_path: Path) -> None:
    terminal, requests = installation.terminal, installation.requests
    plan = tmp_path / "plan.json"
    (tmp_path / "fleet.yaml").write_text(FLEET.format(name="shop", group="shop-weu", narrowed=""))
    await terminal.run(f"aks-entra plan {tmp_path}/fleet.yaml --out {plan}")
    digest = json.loads(plan.read_text())["digest"]
    await terminal.run(f"aks-entra migrate {plan} --yes --without-gates")
    assert (await local_accounts(installation))["shop-01"] == "off"

    assert "nope is not in the plan" in await refusal(installation, f"aks-entra rollback {plan} nope")
    assert "no migration of nope" in await refusal(installation, "aks-entra rollback nope")
    by_name = await terminal.type("aks-entra rollback shop-01 --yes --approver dana -o json")
    assert by_name.status == 0, by_name
    assert "it can never be switched off again" in by_name.err
    assert "the rotation stays: credentials from before it do not work again" in by_name.err
    verdict = json.loads(by_name.out)["report"]["verdicts"][0]
    assert verdict["outcome"] == "not verified"
    assert verdict["because"][0].startswith("local accounts are open")
    by_digest = await terminal.type(f"aks-entra rollback {digest[7:19]} shop-weu/shop-02 --local --yes")
    assert by_digest.status == 0, by_digest
    assert {"shop-01": "on", "shop-02": "on"}.items() <= (await local_accounts(installation)).items()
    again = await terminal.type(f"aks-entra rollback {plan} --yes")
    assert (again.status, "nothing to roll back" in again.err) == (0, True), again
    assert len(requests.matching("POST", "shop-01", ROTATION)) == 1  # a rollback does not undo the rotation


async def test_an_opening_ends_by_itself_or_by_the_sweep_and_a_rotation_is_owed(
    installation: LocalInstallation, tmp_path: Path
) -> None:
    terminal = installation.terminal
    for line, words in (
        ("", "give --duration 45m and --reason, or --close"),
        ("--duration 45m", "add --reason"),
        ("--duration 5s --reason x", "not a duration between 10 seconds and 24 hours"),
        ("--duration 45m --reason x", "add --yes"),
        ("--close", "no break-glass opening is active"),
    ):
        assert words in await refusal(installation, f"aks-entra break-glass pay-weu/waited {line}")
    assert "az aks get-credentials --admin" in await refusal(
        installation, "aks-entra break-glass shop-01 --duration 45m --reason x --yes"
    )

    opening = "aks-entra break-glass pay-weu/{} --duration {} --reason INC-77 --ticket CHG-9 --yes"
    async with (
        typed(installation, opening.format("waited", "20s") + " -o json") as waited,
        typed(installation, opening.format("left", "45m")) as left,
        typed(installation, opening.format("died", "12s")) as died,
    ):
        await asyncio.gather(*(until_it_says(one, "when its time is over") for one in (waited, left, died)))
        os.killpg(died.pid, signal.SIGKILL)
        os.killpg(left.pid, signal.SIGINT)
        said = await until_it_says(left, "interrupted")
        assert "stopped waiting: local accounts of pay-weu/left are OPEN until" in said
        assert "the scheduled sweep closes them then" in said
        assert await left.wait() == 130
        shown = await local_accounts(installation)
        assert shown["left"].startswith("OPEN until")
        assert "(INC-77)" in shown["left"]
        fleet = tmp_path / "left.yaml"
        fleet.write_text(FLEET.format(name="left", group="pay-weu", narrowed=", name: left"))
        assert "B024 local accounts are on for a break-glass session" in await terminal.run(f"aks-entra plan {fleet}")

        one_more = await terminal.type(opening.format("left", "90m") + " --no-wait -o json")
        assert one_more.status == 0, one_more
        stands = json.loads(one_more.out)
        assert (stands["disableLocalAccounts"], stands["kubeconfig"]) == (False, None)
        assert stands["until"] > stands["since"]

        assert waited.stdout is not None
        rest = (await waited.stdout.read()).decode()
        assert await waited.wait() == 0, rest
    ended = json.loads(rest[rest.index("{") : rest.rindex("}") + 1])
    assert (ended["disableLocalAccounts"], ended["because"][0]) == (True, "local accounts are closed again")
    assert ended["because"][1].startswith(OWED)

    state = await swept(installation)  # closes what the killed process left open (unless the schedule did)
    assert state["type"] == "COMPLETED", state
    shown = await local_accounts(installation)
    assert (shown["died"], shown["left"].startswith("OPEN")) == ("off", True)
    closed = await terminal.run("aks-entra break-glass pay-weu/left --close")
    assert f"{OWED} {stands['since']}" in closed
    assert set((await local_accounts(installation)).items()) >= {("waited", "off"), ("left", "off"), ("died", "off")}

    made = [terminal.home / f"{name}.kubeconfig" for name in ("waited", "left", "died")]
    assert sorted(terminal.home.glob("*.kubeconfig")) == sorted(made)
    assert [stat.S_IMODE(one.stat().st_mode) for one in made] == [0o600] * 3
    keys = [re.findall(r"client-key-data: (\S+)|token: (\S+)", one.read_text()) for one in made]
    secrets = [secret.encode() for found in keys for pair in found for secret in pair if secret]
    assert len(secrets) == 6
    others = ((file, content) for file, content in files_below(terminal.home.parent) if file not in made)
    assert not [file for file, content in others if any(secret in content for secret in secrets)]

    plan = json.loads(await terminal.run(f"aks-entra plan {fleet} -o json"))["plan"]["clusters"][0]
    kinds = [step["kind"] for step in plan["steps"]]
    assert kinds == ["prove-sign-in", "record-baseline", "rotate-certificates", "verify-outcome"]
    assert plan["debt"] == "owed"


async def test_without_a_sign_in_it_stays_open_and_alarms_until_a_person_decides(
    installation: LocalInstallation,
) -> None:
    terminal = installation.terminal
    opened = await terminal.type(
        "aks-entra break-glass pay-weu/barred --duration 10s --reason INC-78 --yes --file night.shift"
    )
    assert_alarm(opened)
    state = await swept(installation)
    assert state["type"] == "FAILED"
    assert "ALARM pay-weu/barred: local accounts STAY OPEN" in state["message"]
    assert_alarm(await terminal.type("aks-entra break-glass pay-weu/barred --close"))
    assert (await local_accounts(installation))["barred"].startswith("OPEN")
    sandbox = installation.sandbox  # a person decides, and adds the operator to the group
    shift = sandbox.directory.group("5c1de2a4-90b7-4f0e-b1a5-6f2d7c8e9a01")
    assert shift is not None
    sandbox.directory.change_members(shift, add=[sandbox.operator.principal.id])
    assert "local accounts are closed again" in await terminal.run("aks-entra break-glass pay-weu/barred --close")


def assert_alarm(outcome: Outcome) -> None:
    assert outcome.status == 1, outcome
    assert "ALARM pay-weu/barred: local accounts STAY OPEN" in outcome.err
    assert "a person decides: repair sign-in" in outcome.err
