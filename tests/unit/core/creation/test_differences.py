# ruff: noqa: E501 - a table reads best with one line for each case
"""How an existing cluster differs from a request; what Azure spells or completes in its own way is no difference."""

from __future__ import annotations

from typing import Any

import pytest

from aks_entra.core.creation.differences import differences

Document = dict[str, Any]
POOL = {"name": "system", "count": 3, "vmSize": "Standard_D4s_v5"}


def asked(**properties: Any) -> Document:
    return {"location": "westeurope", "properties": properties}


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (asked(networkProfile={"networkPlugin": "azure"}), asked(networkProfile={"networkPlugin": "azure", "podCidr": "x"})),
        (asked(nodeResourceGroup="Nodes"), asked(nodeResourceGroup="nodes")),
        (asked(authorizedIPRanges=["203.0.113.7", "198.51.100.0/24"]), asked(authorizedIPRanges=["198.51.100.0/24", "203.0.113.7/32"])),
        (asked(enablePrivateCluster=False, tags={}, list=[], text=""), asked()),
        (asked(kubernetesVersion="1.34"), asked(kubernetesVersion="1.34.3")),
        (asked(kubernetesVersion="1.34.1"), asked(kubernetesVersion="1.35.0")),
        (asked(kubernetesVersion=""), asked(kubernetesVersion="1.35.0")),
        (asked(kubernetesVersion="newest"), asked(kubernetesVersion="newest")),
        (asked(agentPoolProfiles=[POOL]), asked(agentPoolProfiles=[{"name": "other"}, {**POOL, "maxPods": 30}])),
        (
            asked(agentPoolProfiles=[{**POOL, "enableAutoScaling": True}]),
            asked(agentPoolProfiles=[{**POOL, "count": 7, "enableAutoScaling": True}]),
        ),
        (asked(dnsPrefix="a", linuxProfile={"adminUsername": "b"}), asked(dnsPrefix="c")),
        ({"tags": {"Env": "prod"}}, {"tags": {"env": "prod", "more": "x"}}),
        ({"logs": [{"category": "guard", "enabled": True}]}, {"logs": [{"category": "guard", "enabled": True, "retentionPolicy": {}}]}),
    ],
)  # fmt: skip
def test_the_same_cluster_in_other_words(wanted: Document, found: Document) -> None:
    assert differences(wanted, found) == ()


@pytest.mark.parametrize(
    ("wanted", "found", "said"),
    [
        (asked(nodeResourceGroup="a"), asked(nodeResourceGroup="b"), "properties.nodeResourceGroup: asked for a, found b"),
        (asked(aadProfile={"managed": True}), asked(), "properties.aadProfile.managed: asked for true, found nothing"),
        (asked(flag=True), asked(flag=False), "properties.flag: asked for true, found false"),
        (asked(kubernetesVersion="1.34"), asked(kubernetesVersion="1.33.9"), "kubernetesVersion: asked for 1.34, found 1.33.9"),
        (asked(kubernetesVersion="1.34"), asked(), "kubernetesVersion: asked for 1.34, found nothing"),
        (asked(agentPoolProfiles=[POOL]), asked(agentPoolProfiles=[{**POOL, "count": 5}]), "agentPoolProfiles[system].count: asked for 3, found 5"),
        (asked(agentPoolProfiles=[POOL]), asked(), "agentPoolProfiles[system]: asked for a pool, found nothing"),
        (asked(authorizedIPRanges=["203.0.113.0/24"]), asked(authorizedIPRanges=["203.0.113.0/25"]), "asked for 203.0.113.0/24, found 203.0.113.0/25"),
        (asked(authorizedIPRanges=[]), asked(authorizedIPRanges=["203.0.113.0/25"]), "asked for nothing, found 203.0.113.0/25"),
        (
            {"logs": [{"category": "guard", "enabled": True}, {"categoryGroup": "audit", "enabled": True}]},
            {"logs": [{"category": "guard", "enabled": False}]},
            "logs: asked for audit, guard, found nothing",
        ),
    ],
)  # fmt: skip
def test_another_cluster(wanted: Document, found: Document, said: str) -> None:
    (difference,) = differences(wanted, found)
    assert said in difference


def test_a_path_can_be_left_out() -> None:
    entra = {"managed": True, "adminGroupObjectIDs": ["a"]}
    found = asked(aadProfile={"managed": True, "adminGroupObjectIDs": ["b"]})
    assert differences(asked(aadProfile=entra), found, but=("aadProfile.adminGroupObjectIDs",)) == ()
    assert len(differences(asked(aadProfile=entra), found)) == 1
