"""Create a group for just-in-time access, once, with its activation policy."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed
from pydantic import Field

from aks_entra.core.access.pim import ActivationPolicy
from aks_entra.planning.admin_groups import unique_name as made_from
from aks_entra.prefect_client.liveness import register
from aks_entra.prefect_client.names import RunName
from aks_entra.settings import Settings
from aks_entra.text.safe import for_log
from tasks.access import create_group as create
from tasks.session import open_session

Name = Annotated[str, Field(min_length=1, max_length=256, pattern=r"\S")]


@flow(name="create-group", flow_run_name=RunName("create group {name}"), persist_result=False)
async def create_group(
    name: Name,
    owners: Annotated[list[Name], Field(min_length=1, max_length=20)],
    *,
    unique_name: str = "",
    description: str = "",
    max_hours: Annotated[int, Field(ge=1, le=24)] = 8,
    justification: bool = True,
    ticket: bool = False,
    mfa: bool = False,
    approvers: list[Name] | None = None,
) -> State[Any]:
    """Create the role-assignable group unless its unique name exists, and write its activation policy.

    Args:
        name: display name.
        owners: user principal names or ids.
        unique_name: alternate key. If empty, it is made from the name.
        description: what the group is for.
        max_hours: the longest activation, in hours.
        justification: an activation needs a reason.
        ticket: an activation needs a ticket.
        mfa: an activation needs a second factor.
        approvers: users or groups that approve activations.
    """
    await register()
    policy = ActivationPolicy(
        max_duration=timedelta(hours=max_hours), justification=justification, ticket=ticket, mfa=mfa
    )
    key = unique_name or f"aks-entra-{made_from(name)}"[:64]
    async with open_session(Settings()):
        group_id, made = await create(name, key, description, tuple(owners), tuple(approvers or ()), policy)
    return Completed(message=for_log(f"{name} {group_id}: {'created' if made else 'exists already'}"))
