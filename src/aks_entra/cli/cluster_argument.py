"""The argument that names one cluster: its ARM id, or `resource-group/name`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from aks_entra.access.grants import cluster_named

if TYPE_CHECKING:
    from aks_entra.core.cluster import ClusterId
    from aks_entra.ports.migration import ControlPlane

Cluster = Annotated[
    str,
    typer.Argument(metavar="CLUSTER", help="`resource-group/name`, or the cluster's ARM id.", show_default=False),
]


async def found(arm: ControlPlane, text: str, subscription: str | None) -> ClusterId:
    """Return the cluster with this name.

    Raises:
        Refused: If the text names no cluster, or its subscription is not known.
    """
    return await cluster_named(arm, text, subscription or os.environ.get("AZURE_SUBSCRIPTION_ID", ""))
