"""ARM's lists of clusters, page by page, without the SDK's models: a list is read every time that somebody waits.

The models cost half a millisecond for each cluster, during which nothing else runs: seconds for a large subscription.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit

from aks_entra.adapters.arm.clients import CONTAINER_SERVICE, Clients
from aks_entra.adapters.arm.document import posture_of
from aks_entra.adapters.failures import azure, translated
from aks_entra.core.cluster import Posture
from aks_entra.errors import Refused

if TYPE_CHECKING:
    from azure.core.rest import AsyncHttpResponse

ARM_HOST: Final = "management.azure.com"
_ERROR: Final = 400


async def ask(clients: Clients, subscription_id: str, url: str, doing: str) -> AsyncHttpResponse:
    """GET a document or a page of ARM; any status is an answer. Refused when the URL leads elsewhere."""
    from azure.core.rest import HttpRequest  # noqa: PLC0415 - lazy, as all of azure is

    target = urlsplit(url)
    if target.scheme != "https" or target.hostname != ARM_HOST:
        raise Refused(
            f"a list of ARM goes on at {target.hostname}, not at {ARM_HOST}: a token for ARM goes nowhere else",
            code="ForeignUrl",
        )
    with azure(doing):
        return await clients.clusters(subscription_id).send_request(HttpRequest("GET", url))


async def pages(clients: Clients, subscription_id: str, resource_group: str | None) -> AsyncIterator[list[Posture]]:
    """The clusters of a subscription, or of one group in it, at depth "listed", as ARM's pages come."""
    from azure.core.exceptions import HttpResponseError  # noqa: PLC0415 - lazy, as all of azure is

    doing = f"list the clusters of {resource_group or f'subscription {subscription_id}'}"
    scope = f"/subscriptions/{quote(subscription_id)}"
    if resource_group:
        scope += f"/resourceGroups/{quote(resource_group)}"
    kind = "providers/Microsoft.ContainerService/managedClusters"
    link = f"https://{ARM_HOST}{scope}/{kind}?api-version={CONTAINER_SERVICE}"
    while link:
        response = await ask(clients, subscription_id, link, doing)
        if response.status_code >= _ERROR:
            raise translated(HttpResponseError(response=response), doing)
        page: dict[str, Any] = json.loads(response.text())
        yield [posture_of(item) for item in page.get("value") or ()]
        link = str(page.get("nextLink") or "")
