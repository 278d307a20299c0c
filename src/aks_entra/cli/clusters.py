"""How a command names one cluster: its ARM id, `resource-group/name`, or -g and -n as `az aks` does."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from aks_entra.cli import output
from aks_entra.core.cluster import ClusterId
from aks_entra.errors import Refused

if TYPE_CHECKING:
    from aks_entra.ports import ControlPlane

Cluster = Annotated[
    str,
    typer.Argument(metavar="CLUSTER", help="`resource-group/name`, or the cluster's ARM id.", show_default=False),
]


async def found(arm: ControlPlane, text: str, subscription: str | None) -> ClusterId:
    """The cluster that is named. Raises Refused when the text names none, or its subscription is not known."""
    if text.startswith("/"):
        try:
            return ClusterId.parse(text)
        except ValueError as error:
            raise Refused(str(error)) from None
    group, slash, name = text.partition("/")
    if not slash or not group or not name or "/" in name:
        raise Refused(f"{text!r} names no cluster", remedy="write resource-group/name, or the cluster's ARM id")
    chosen = subscription or os.environ.get("AZURE_SUBSCRIPTION_ID")
    if not chosen:
        output.usage("no subscription is named", remedy="add --subscription NAME|ID, or set AZURE_SUBSCRIPTION_ID")
    return ClusterId(subscription_id=await arm.subscription_id(chosen), resource_group=group, name=name)
