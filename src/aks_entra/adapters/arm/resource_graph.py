"""Asks Azure Resource Graph for the clusters of many subscriptions at once. Reads only.

It answers for a whole tenant with a page per 1,000 clusters, where ARM needs a list per subscription. It lags behind
writes by minutes, so nothing that is about to be written may rest on it. Source: "Azure Resource Graph", REST API
`Resources` 2022-10-01 and "Guidance for throttled requests in Azure Resource Graph".
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any, Final

from aks_entra.adapters.arm import documents
from aks_entra.adapters.arm.clients import Clients
from aks_entra.adapters.arm.cluster_list import posture_in
from aks_entra.adapters.arm.documents import ARM
from aks_entra.adapters.http.failures import one_line
from aks_entra.adapters.http.paging import PageTrail
from aks_entra.core.cluster import Posture
from aks_entra.errors import Refused

_URL: Final = f"{ARM}/providers/Microsoft.ResourceGraph/resources?api-version=2022-10-01"
_QUERY: Final = "resources | where type =~ 'microsoft.containerservice/managedclusters' | order by id asc"
_PAGE: Final = 1000
_BAD_REQUEST: Final = 400


async def pages(clients: Clients, management_group: str | None) -> AsyncIterator[list[Posture]]:
    """Return the clusters below a management group, or of every subscription of the tenant (None), at depth "listed".

    Raises:
        Refused: the query is refused (unknown management group, no rights), or the answer is not complete.
        TryLater: Resource Graph cannot be reached, or throttles.
        Rejected: a cluster in the answer is malformed.
    """
    where = "the tenant" if management_group is None else f"management group {management_group}"
    doing = f"ask Azure Resource Graph for the clusters of {where}"
    scope = {} if management_group is None else {"managementGroups": [management_group]}
    seen, token, count = PageTrail(doing), "", 0
    while True:
        options: dict[str, Any] = {"$top": _PAGE, "resultFormat": "objectArray"}
        if token:
            options["$skipToken"] = token
        response = await documents.query(clients, _URL, {**scope, "query": _QUERY, "options": options}, doing)
        if response.status_code == _BAD_REQUEST:
            raise _refusal(response.text(), doing)
        page = documents.document_of(response, doing)
        rows = page.get("data")
        token = str(page.get("$skipToken") or "")
        count += len(rows) if isinstance(rows, list) else 0
        if not isinstance(rows, list) or (not token and _cut(page, count)):
            raise Refused(
                f"could not {doing}: the answer is not complete",
                remedy="try again, or name the subscriptions",
                code="IncompleteAnswer",
            )
        yield [posture_in(row, doing) for row in rows]
        if not token:
            return
        seen.next(token)


def _cut(page: documents.Document, count: int) -> bool:
    """Whether the last page says that there are more rows than all pages had."""
    total = page.get("totalRecords")
    return page.get("resultTruncated") == "true" or (isinstance(total, int) and total > count)


def _refusal(body: str, doing: str) -> Refused:
    """Return the refusal of a query. Resource Graph says what is wrong in `details`, and not in the message."""
    found: Any = {}
    with suppress(ValueError):
        found = json.loads(body)
    error = found.get("error") if isinstance(found, Mapping) else None
    details = error.get("details") if isinstance(error, Mapping) else None
    first = details[0] if isinstance(details, list) and details and isinstance(details[0], Mapping) else {}
    return Refused(
        f"could not {doing}: {one_line(str(first.get('message') or 'the query is refused'))}",
        remedy="name a management group by its id, not by its display name: `az account management-group list`",
        code=str(first.get("code") or "BadRequest"),
        status=_BAD_REQUEST,
    )
