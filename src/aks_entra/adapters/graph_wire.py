"""Graph's documents as they are on the wire, over Microsoft's own client: its sign-in, its connection, its errors.

Used where the SDK's models get in the way: msgraph-sdk 1.65 writes a timedelta as `2:00:00` instead of ISO 8601 (its
issue 1262), which PIM refuses, and what-if results have no model of their own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast
from urllib.parse import quote, urlencode

from kiota_abstractions.method import Method
from kiota_abstractions.request_information import RequestInformation
from msgraph.generated.models.o_data_errors.o_data_error import ODataError

from aks_entra.adapters.graph_client import GRAPH_HOST, ONCE, answers
from aks_entra.errors import Refused, TryLater

if TYPE_CHECKING:
    from msgraph.graph_service_client import GraphServiceClient

Document: TypeAlias = Mapping[str, Any]
ROOT: Final = f"https://{GRAPH_HOST}/v1.0"
LICENCES: Final = {
    "AadPremiumLicenseRequired": "Privileged Identity Management needs Microsoft Entra ID P2 (or ID Governance)",
    "Authentication_RequestFromNonPremiumTenantOrB2CTenant": "the sign-in log needs Microsoft Entra ID P1",
}
_NOT_FOUND: Final = 404
_PAGES: Final = 1000


class Wire:
    """One tenant's Graph. `doing` completes "could not …"; `needs` names the permissions that a refusal then names."""

    def __init__(self, client: GraphServiceClient) -> None:
        self._adapter = client.request_adapter

    async def get(
        self, path: str, *, doing: str, needs: str, query: Mapping[str, str] | None = None, prefer: str = ""
    ) -> Document:
        """GET of one object. Refused (status 404) when it is not there."""
        return await self._send(Method.GET, _url(path, query), None, doing=doing, needs=needs, prefer=prefer)

    async def find(
        self, path: str, *, doing: str, needs: str, query: Mapping[str, str] | None = None
    ) -> Document | None:
        """GET of one object, or None when it is not there."""
        try:
            return await self.get(path, doing=doing, needs=needs, query=query)
        except Refused as refused:
            if refused.status != _NOT_FOUND:
                raise
            return None

    async def list(
        self, path: str, *, doing: str, needs: str, query: Mapping[str, str] | None = None, prefer: str = ""
    ) -> list[Document]:
        """Every item of a list, all pages."""
        found: list[Document] = []
        url = _url(path, query)
        for _ in range(_PAGES):
            page = await self._send(Method.GET, url, None, doing=doing, needs=needs, prefer=prefer)
            found += page.get("value") or ()
            if not (url := str(page.get("@odata.nextLink") or "")):
                return found
            if not url.startswith(f"https://{GRAPH_HOST}/"):
                raise Refused(f"could not {doing}: the next page is not Microsoft Graph's", code="ForeignUrl")
        raise Refused(f"could not {doing}: it has no end", code="EndlessList")

    async def ask(self, path: str, body: Document, *, doing: str, needs: str) -> Document:
        """POST of a question: it changes nothing, and what is wrong with it is Refused."""
        return await self._send(Method.POST, _url(path, None), body, doing=doing, needs=needs)

    async def post(self, path: str, body: Document, *, doing: str, needs: str) -> Document:
        """POST, sent once."""
        return await self._send(Method.POST, _url(path, None), body, doing=doing, needs=needs, writing=True)

    async def patch(self, path: str, body: Document, *, doing: str, needs: str, prefer: str = "") -> Document:
        """PATCH, sent once; nothing for 204."""
        return await self._send(
            Method.PATCH, _url(path, None), body, doing=doing, needs=needs, writing=True, prefer=prefer
        )

    async def _send(
        self,
        method: Method,
        url: str,
        body: Document | None,
        *,
        doing: str,
        needs: str,
        writing: bool = False,
        prefer: str = "",
    ) -> Document:
        request = RequestInformation(method)
        request.url = url
        request.headers.add("Accept", "application/json")
        if prefer:
            request.headers.add("Prefer", prefer)
        if body is not None:
            request.headers.add("Content-Type", "application/json")
            request.content = json.dumps(body).encode()
        if writing:
            request.add_request_options([ONCE])
        try:
            with answers(doing, writing=writing, needs=needs):
                sending = self._adapter.send_primitive_async(request, "bytes", {"XXX": ODataError})
                answer = cast("bytes | None", await sending)
        except (Refused, TryLater) as error:
            _licensed(error)
            raise
        read: Any = json.loads(answer) if answer else {}
        return read if isinstance(read, dict) else {"value": read}


def _url(path: str, query: Mapping[str, str] | None) -> str:
    encoded = urlencode(query or {}, quote_via=quote, safe="$(),/'")
    return f"{ROOT}{path}{f'?{encoded}' if encoded else ''}"


def literal(text: str) -> str:
    """A text between single quotes in a filter or a key."""
    return f"'{text.replace(chr(39), chr(39) * 2)}'"


def _licensed(error: Refused | TryLater) -> None:
    said = LICENCES.get(error.code)
    if said is None and "not licensed for this feature" in error.message:
        said = "Conditional Access needs Microsoft Entra ID P1"
    if said is not None:
        error.remedy = said
