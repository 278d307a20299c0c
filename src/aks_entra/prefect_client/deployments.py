"""Deployments at Prefect's server: one by its name, and all with the tag of this program."""

from __future__ import annotations

from typing import Final

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import ObjectNotFound

from aks_entra.errors import Refused

TAG: Final = "aks-entra"
DEPLOY_ALL: Final = "prefect deploy --all (`aks-entra up` does it)"
_PAGE: Final = 200


async def find_deployment(client: PrefectClient, name: str) -> DeploymentResponse | None:
    """Return the deployment `flow/deployment`, or None if it does not exist."""
    try:
        return await client.read_deployment_by_name(name)
    except ObjectNotFound:
        return None


async def read_deployment(client: PrefectClient, name: str, *, remedy: str = DEPLOY_ALL) -> DeploymentResponse:
    """Return the deployment `flow/deployment`. Raises Refused, with the remedy, if it does not exist."""
    found = await find_deployment(client, name)
    if found is None:
        raise Refused(f"the Prefect server at {client.api_url} has no deployment {name}", remedy=remedy)
    return found


async def our_deployments(client: PrefectClient) -> list[DeploymentResponse]:
    """Return all deployments with the tag of this program."""
    read: list[DeploymentResponse] = []
    while True:
        page = await client.read_deployments(
            deployment_filter=DeploymentFilter(tags=DeploymentFilterTags(all_=[TAG])), limit=_PAGE, offset=len(read)
        )
        read += page
        if len(page) < _PAGE:
            return read
