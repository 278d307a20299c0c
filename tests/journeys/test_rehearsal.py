"""A fleet is imported from the output of `az` as a sandbox world, and a plan is made in it."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path

from azure_sandbox.server import Sandbox
from tests.support.azure_documents import SUBSCRIPTION, WORLD, documents, world, written_to

FLEET = f"""\
version: 1
name: mine
clusters:
  - subscription: {SUBSCRIPTION}
target:
  admin_groups: [{{name: aks-admins}}]
  azure_rbac: keep
  local_accounts: off
  rotation: at-once
"""


async def run(folder: Path, module: str, *arguments: str) -> tuple[int | None, str, str]:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "COLUMNS": "200",
        "PYTHONPATH": os.pathsep.join(it for it in sys.path if it),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *arguments, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, env=environment
    )
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_a_plan_is_made_on_the_imported_fleet(tmp_path: Path) -> None:
    files = written_to(tmp_path, await documents(Sandbox(world(WORLD))))
    mine, fleet, plan = tmp_path / "mine.yaml", tmp_path / "fleet.yaml", tmp_path / "plan.json"
    fleet.write_text(FLEET)
    imported = ("world", "import", *map(str, files), "--as", "deployer", "-o", str(mine))
    code, _, err = await run(tmp_path, "azure_sandbox.cli", *imported)
    assert code == 0, err
    start = "from aks_entra.cli import main; main()"
    planning = (sys.executable, "-c", start, "plan", str(fleet), "--out", str(plan))
    code, out, err = await run(tmp_path, "azure_sandbox.cli", "exec", "--world", str(mine), "--", *planning)
    assert (code, plan.exists()) == (0, True), (out, err)
    assert "upgrade legacy to Microsoft Entra ID" in out  # shop-02
    assert "B012 lock careful (ReadOnly)" in out, "the lock that came along stands in the way of shop-01"
    assert "aks-admins (on 1 cluster)" in out
