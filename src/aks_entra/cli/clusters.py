"""How a command names one cluster: its ARM id, `resource-group/name`, or -g and -n as `az aks` does."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from aks_entra.core.cluster import ClusterId
    from aks_entra.ports import ControlPlane

Cluster = Annotated[
    str,
    typer.Argument(metavar="CLUSTER", help="`resource-group/name`, or the cluster's ARM id.", show_default=False),
]


async def found(arm: ControlPlane, text: str, subscription: str | None) -> ClusterId:
    """The cluster that is named. Raises Refused when the text names none, or its subscription is not known."""
    from aks_entra.granting import cluster_named  # noqa: PLC0415 - startup is quick without it

    return await cluster_named(arm, text, subscription or os.environ.get("AZURE_SUBSCRIPTION_ID", ""))
