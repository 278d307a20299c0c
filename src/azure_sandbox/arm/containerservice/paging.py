"""The pages of AKS's lists. Each page names a next one, even the last page that has members. Recorded."""

from __future__ import annotations

from typing import Any

from azure_sandbox.arm.errors import front
from azure_sandbox.arm.front_door import Call

Document = dict[str, Any]
SINCE = "2024-01-01"  # no earlier api-version was recorded with it
SKIP = ("$skipToken", "skipToken")
"""The query options of a page after the first; AKS writes both into `nextLink`."""


ARM_SKIP = ("$top", "$skiptoken")
"""The query options of ARM's own lists, which have pages only if a request names `$top`."""


def cut(members: list[Document], call: Call) -> Document:
    """Return the page of one of ARM's own lists that a request asks for.

    Raises:
        Problem: 400 for a `$top` or a skip token that is no number.
    """
    top, token = call.option("$top"), call.option("$skiptoken") or "0"
    if top and (not top.isdecimal() or not int(top)):
        raise front(400, "InvalidTopParameter", f"The value '{top}' of the query parameter $top is invalid.")
    if not token.isdecimal():
        raise front(400, "InvalidSkipToken", "The skip token cannot be read.")
    start = int(token)
    end = start + (int(top) if top else len(members))
    body: Document = {"value": members[start:end]}
    if end < len(members):
        query = f"api-version={call.version}&%24top={top}&%24skiptoken={end}"
        body["nextLink"] = f"https://management.azure.com{call.request.path}?{query}"
    return body


def page_of(members: list[Document], call: Call, size: int) -> Document:
    """Return the page that a request asks for; a page without members ends the list.

    Raises:
        Problem: 400 for a skip token that cannot be read.
    """
    token = call.option("$skipToken") or call.option("skipToken") or "0"
    if not token.isdecimal():
        raise front(400, "InvalidSkipToken", "The skip token cannot be read.")
    start = int(token)
    body: Document = {"value": members[start : start + size]}
    if body["value"] and call.version >= SINCE:
        following = min(start + size, len(members))
        base = f"https://management.azure.com{call.request.path}"
        query = f"%24skipToken={following}&api-version={call.version}&skipToken={following}"
        body["nextLink"] = f"{base}?{query}"
    return body
