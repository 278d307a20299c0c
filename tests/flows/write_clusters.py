"""Clusters for the tests of writes without an approval. Each test has its own resource group."""

from __future__ import annotations

from typing import Final

CLOSED_SOON: Final = ("again", "glassed", "dated", "followed", "asked-by-event", "asked")
"""Resource groups with one cluster, called `one`."""
TWO_STAGES: Final = ("by-hand", "replayed", "halfway", "random-a", "random-b", "signed-by-two")
"""Resource groups with two clusters: `canary` and `rest`."""


def _cluster(name: str) -> str:
    return f"          - {{name: {name}, nodes: 1, identity: managed, adminGroups: [aks-admins]}}\n"


def _group(name: str, clusters: tuple[str, ...]) -> str:
    return f"      - name: {name}\n        location: westeurope\n        clusters:\n{''.join(map(_cluster, clusters))}"


GROUPS: Final = "".join(
    [
        *(_group(name, ("one",)) for name in CLOSED_SOON),
        *(_group(name, ("canary", "rest")) for name in TWO_STAGES),
    ]
)
"""The end of a world's list of resource groups."""
