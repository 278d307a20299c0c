"""The control plane compared with recorded exchanges: same request, same status, same shape.

The recordings are not part of this repository. Without them the tests are skipped with a message.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from azure_sandbox.recordings.replay import Replay

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(os.environ.get("AZURE_SANDBOX_RECORDINGS") or ROOT.parent / "shared" / "recordings")

pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(),
    reason=f"no recordings at {FOLDER}: set AZURE_SANDBOX_RECORDINGS to the folder that holds them",
)

ROLLED_OUT = "shown by every answer since the service's own roll-out of that month, whatever the api-version"
EXCEPTIONS: dict[str, dict[str, str]] = {
    "aks_abort": {
        ".properties.addonProfiles": "internal add-ons of a canary region, shown while the cluster was being created",
        ".properties.autoUpgradeProfile": ROLLED_OUT,
        ".properties.nodeResourceGroupProfile": ROLLED_OUT,
        ".properties.agentPoolProfiles[].securityProfile": ROLLED_OUT,
    },
    "aks_stop_and_start": {
        ".error": "NotLatestOperation beside InProgress: a race inside the service, which nobody can provoke",
        ".properties.autoUpgradeProfile": ROLLED_OUT,
        ".properties.controlPlanePluginProfiles": "an internal of that month, gone since",
        ".properties.metricsProfile": ROLLED_OUT,
        ".properties.networkProfile.networkPolicy": ROLLED_OUT,
        ".properties.nodeProvisioningProfile": ROLLED_OUT,
        ".properties.resourceUID": ROLLED_OUT,
        ".properties.agentPoolProfiles[].nodeLabels": "an empty object, in the answer to the PUT only",
        ".properties.agentPoolProfiles[].securityProfile": ROLLED_OUT,
    },
}


def exception_of(path: str, exceptions: dict[str, str]) -> str | None:
    return next((it for it in exceptions if path == it or path.startswith((f"{it}.", f"{it}["))), None)


NAMES = sorted(it.stem for it in FOLDER.glob("*.json")) if FOLDER.is_dir() else ["none"]


@pytest.mark.parametrize("name", NAMES)
async def test_a_recording_gets_the_same_answers(name: str) -> None:
    exchanges = json.loads((FOLDER / f"{name}.json").read_text())
    exceptions = EXCEPTIONS.get(name, {})

    outcomes = await Replay(exchanges).run()

    assert [it for it in outcomes if not it.same_status] == []
    unlike = [(it.number, one, one[1:].split(" ")[0]) for it in outcomes for one in (*it.unlike, *it.other)]
    assert [it for it in unlike if exception_of(it[2], exceptions) is None] == []
    assert {exception_of(it[2], exceptions) for it in unlike} == set(exceptions), "unused exceptions"
