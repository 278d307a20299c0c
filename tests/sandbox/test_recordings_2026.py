"""The sandbox compared with exchanges recorded up to September 2026: how many get the recorded status and shape.

The recordings are not part of this repository. Without them the test is skipped with a message.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from azure_sandbox.recordings.replay import Outcome, Replay

ROOT = Path(__file__).resolve().parents[2]
EARLIER = Path(os.environ.get("AZURE_SANDBOX_RECORDINGS") or ROOT.parent / "shared" / "recordings")
FOLDER = EARLIER.with_name(f"{EARLIER.name}-2026")

pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(),
    reason=f"no recordings at {FOLDER}: they lie beside those that AZURE_SANDBOX_RECORDINGS names",
)

SAME_STATUS, SAME_SHAPE = 0.97, 0.955  # shares of the recorded exchanges that the sandbox models
LATER_GRAPH = "recorded in 2022, before Graph had this property"
SCRUBBED = "two people have one address in the recording, and another one when they are deleted"
RACE = "a fault of its day inside the service, which no request can provoke"
HALFWAY = "the address appears in the middle of the creation; the replay does not wait there"
OTHERS = "types of resource providers that the sandbox does not model"
TENANT = "resources of the recorded tenant, or a token of the service's own"
DAY = "differs between two recordings of one Kubernetes release, a week apart"
EXCEPTIONS: dict[tuple[str, str], str] = {
    ("aso_aks_20240901", ".error"): RACE,
    ("aso_aks_20250801", ".error"): RACE,
    ("aso_aks_20240901", "#47"): "the provider's own 404 right after the deletion; a day earlier it was ARM's",
    ("cli_default_setting", ".properties.networkProfile.loadBalancerProfile.effectiveOutboundIPs"): HALFWAY,
    ("cli_nonaad_to_managed_msi_500", "#2"): RACE,
    ("ext_etag_mismatch_409", "#17"): "the 409 beside another writer, who is not in the recording",
    ("ext_automatic_sku", "#3"): "a Log Analytics workspace of the recorded tenant",
    ("ext_automatic_sku", "#4"): "a Log Analytics workspace of the recorded tenant",
    ("ext_automatic_sku", "#13"): OTHERS,
    ("ext_automatic_sku", "#14"): OTHERS,
    ("ext_automatic_sku", "#28"): "the first GET after the PUT: the identities of add-ons come back some seconds later",
    ("ps_rotate_service_account_keys", ".properties.networkProfile.loadBalancerProfile.effectiveOutboundIPs"): HALFWAY,
    ("resource_graph_query", ".data"): TENANT,
    ("resource_graph_skip_token", "#0"): TENANT,
    ("ext_managed_namespace", ".properties.controlPlanePluginProfiles.secure-tls-bootstrap"): DAY,
    ("ext_operations", ".endTime"): RACE,
    ("graph_group", "#41"): SCRUBBED,
    ("graph_group", "#45"): SCRUBBED,
    ("graph_group", "#47"): SCRUBBED,
    ("graph_group", "#58"): SCRUBBED,
    ("graph_group", "#59"): SCRUBBED,
    ("graph_group", ".serviceProvisioningErrors"): LATER_GRAPH,
    ("graph_group", ".uniqueName"): LATER_GRAPH,
    ("graph_special_characters", ".serviceProvisioningErrors"): LATER_GRAPH,
    ("graph_special_characters", ".uniqueName"): LATER_GRAPH,
}


def exception_of(name: str, outcome: Outcome) -> set[tuple[str, str]]:
    """Return the exceptions that explain an outcome; empty unless they explain all of it."""
    whole = (name, f"#{outcome.number}")
    if whole in EXCEPTIONS:
        return {whole}
    found: set[tuple[str, str]] = set()
    for it in outcome.unlike if outcome.same_status else ("",):
        path = it[1:].partition(" ")[0].removeprefix(".value[]")
        known = [(name, at) for of, at in EXCEPTIONS if of == name and path.startswith(at)]
        if not known:
            return set()
        found.add(known[0])
    return found


async def test_the_sandbox_answers_like_the_recorded_service() -> None:
    outcomes: list[tuple[str, Outcome]] = []
    used: set[tuple[str, str]] = set()
    for file in sorted(FOLDER.glob("*.json")):
        for it in await Replay(json.loads(file.read_text("utf-8"))).run():
            explained = exception_of(file.stem, it) if it.modelled and not it.same_shape else set()
            used |= explained
            if it.modelled and not explained:
                outcomes.append((file.stem, it))
    assert used == set(EXCEPTIONS), "an exception is not needed any more"
    status = sum(it.same_status for _, it in outcomes) / len(outcomes)
    shape = sum(it.same_shape for _, it in outcomes) / len(outcomes)
    unlike = "\n".join(
        f"{name} #{it.number} {it.method} {it.url}: {it.recorded} -> {it.status} {it.said} {' '.join(it.unlike)}"
        for name, it in outcomes
        if not it.same_shape
    )
    assert status >= SAME_STATUS, (status, unlike)
    assert shape >= SAME_SHAPE, (shape, unlike)
