"""The client for Microsoft Graph: it authenticates requests, follows pages, retries reads and translates errors.

It is a thin client over the HTTP pipeline of Microsoft's SDK (msgraph-core and kiota). It reads and writes Graph's JSON
documents as they are on the wire, without the generated models of msgraph-sdk: decision 15 has the measured reasons.
It must not know what the documents mean.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast
from urllib.parse import quote, urlencode

import httpx
from kiota_abstractions.method import Method
from kiota_abstractions.native_response_handler import NativeResponseHandler
from kiota_abstractions.request_information import RequestInformation
from kiota_authentication_azure.azure_identity_authentication_provider import AzureIdentityAuthenticationProvider
from kiota_http.middleware.options import ResponseHandlerOption, RetryHandlerOption
from msgraph_core import BaseGraphRequestAdapter, GraphClientFactory  # type: ignore[import-untyped]  # it ships no types

from aks_entra.adapters.graph.failures import GRAPH_HOST, answered, translate
from aks_entra.adapters.http.malformed import complaint, malformed
from aks_entra.adapters.http.network import foreign, leads_to, proxy_for, trust
from aks_entra.adapters.http.paging import PageTrail
from aks_entra.adapters.http.readable import readable
from aks_entra.adapters.http.retry_after import say, tidy
from aks_entra.adapters.identity.credentials import GRAPH_SCOPE

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

Document: TypeAlias = Mapping[str, Any]
ROOT: Final = f"https://{GRAPH_HOST}/v1.0"
OBJECTS: Final = f"{ROOT}/directoryObjects/"
"""The URL of a directory object in `@odata.id` and `@odata.bind`, without its id."""

_ONCE: Final = RetryHandlerOption(max_retries=0, should_retry=False)
"""The options of a write. By default kiota repeats even a POST on 429, 503 and 504, which may create twice."""

_NATIVE: Final = ResponseHandlerOption(NativeResponseHandler())
_NOT_FOUND: Final = 404
_AT_ONCE: Final = 50
"""Requests that are sent at the same time. httpx looks at each waiting request when another ends, so few wait there."""


class OwnHost(httpx.AsyncBaseTransport):
    """The transport below kiota's middleware. Next pages and redirects pass here too.

    It sends to Graph's own host only, and bounds the time that Graph asks a client to wait.
    """

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request. Raises Refused (code ForeignUrl) for another host, scheme or port."""
        if not leads_to(str(request.url), GRAPH_HOST):
            raise foreign(str(request.url), GRAPH_HOST)
        async with self._places:
            response = await self._inner.handle_async_request(request)
        say("Microsoft Graph asks to wait", tidy(response.headers) or 0)
        return response

    async def aclose(self) -> None:
        """Close the connection pool."""
        await self._inner.aclose()


class GraphClient:
    """Microsoft Graph v1.0 for one credential, over one connection pool.

    In every method, `path` begins with `/` and is percent-encoded already, `doing` completes "could not …" in an error,
    and `needs` names the Graph permissions that the remedy of a 403 asks for. By default it names those for groups.

    Every method raises Refused for an answer that a person must act on, TryLater when Graph throttles or fails,
    and Rejected when an answer is malformed. Reads are repeated by kiota on 429, 503 and 504; writes are sent once.
    """

    def __init__(self, credential: AsyncTokenCredential, *, timeout: float) -> None:
        """Open the connection pool. `timeout` is in seconds, for each connection, read and write."""
        proxy = proxy_for(GRAPH_HOST)
        pool = httpx.AsyncHTTPTransport(verify=trust(), proxy=proxy.geturl() if proxy else None)
        self._http = GraphClientFactory.create_with_default_middleware(
            client=httpx.AsyncClient(
                transport=OwnHost(pool), timeout=timeout, event_hooks={"response": [_refuse_malformed]}
            )
        )
        provider = AzureIdentityAuthenticationProvider(credential, scopes=[GRAPH_SCOPE], allowed_hosts=[GRAPH_HOST])
        self._adapter = BaseGraphRequestAdapter(provider, http_client=self._http)

    async def close(self) -> None:
        """Close the connection pool."""
        await self._http.aclose()

    async def get(
        self,
        path: str,
        *,
        doing: str,
        needs: str = "",
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Document:
        """GET one object. Raises Refused with status 404 when it does not exist."""
        return await self._send(Method.GET, _url(path, query), doing=doing, needs=needs, headers=headers)

    async def find(
        self, path: str, *, doing: str, needs: str = "", query: Mapping[str, str] | None = None
    ) -> Document | None:
        """GET one object. Returns None when Graph answers 404."""
        return await readable(self.get(path, doing=doing, needs=needs, query=query), (_NOT_FOUND,))

    async def list(
        self,
        path: str,
        *,
        doing: str,
        needs: str = "",
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> list[Document]:
        """GET every page of a list and return all items.

        Raises:
            Refused: code EndlessList when a page comes again, ForeignUrl when the next page is on another host.
        """
        found: list[Document] = []
        url = _url(path, query)
        pages = PageTrail(doing)
        while url:
            page = await self._send(Method.GET, url, doing=doing, needs=needs, headers=headers)
            items = page.get("value") or ()
            if not all(isinstance(one, Mapping) for one in items):
                raise malformed(doing, GRAPH_HOST, "the list in the answer holds no objects", writing=False)
            found += items
            url = str(page.get("@odata.nextLink") or "")
            if url and not leads_to(url, GRAPH_HOST):
                raise foreign(url, GRAPH_HOST)
            if url:
                pages.next(url)
        return found

    async def ask(self, path: str, body: Document, *, doing: str, needs: str = "") -> Document:
        """POST a question that changes nothing, such as `getByIds`. It is repeated like a read."""
        return await self._send(Method.POST, _url(path), body, doing=doing, needs=needs)

    async def post(self, path: str, body: Document, *, doing: str, needs: str = "") -> Document:
        """POST once. Raises Rejected when Graph does not accept the body, TryLater when no answer came."""
        return await self._send(Method.POST, _url(path), body, doing=doing, needs=needs, writing=True)

    async def patch(self, path: str, body: Document, *, doing: str, needs: str = "") -> Document:
        """PATCH once. Returns an empty document for 204. Raises what `post` raises."""
        return await self._send(Method.PATCH, _url(path), body, doing=doing, needs=needs, writing=True)

    async def create_if_missing(
        self, path: str, body: Document, *, doing: str, needs: str = ""
    ) -> tuple[Document | None, str]:
        """Create the object with the alternate key in `path` unless it exists (`Prefer: create-if-missing`), once.

        Source: Graph's page "Upsert group". Graph answers 204 when the object exists, and leaves it unchanged.

        Returns:
            The new object and Graph's request id. None instead of the object means that it existed already.
        """
        heard: dict[str, str] = {}
        made = await self._send(
            Method.PATCH,
            _url(path),
            body,
            doing=doing,
            needs=needs,
            writing=True,
            headers={"Prefer": "create-if-missing"},
            heard=heard,
        )
        return (made if made.get("id") else None), heard.get("request-id", "")

    async def _send(
        self,
        method: Method,
        url: str,
        body: Document | None = None,
        *,
        doing: str,
        needs: str,
        writing: bool = False,
        headers: Mapping[str, str] | None = None,
        heard: dict[str, str] | None = None,
    ) -> Document:
        """Send one request. `heard` receives the headers of a successful response, with names in lower case."""
        request = RequestInformation(method)
        request.url = url
        for name, value in {"Accept": "application/json", **(headers or {})}.items():
            request.headers.add(name, value)
        if body is not None:
            request.headers.add("Content-Type", "application/json")
            request.content = json.dumps(body).encode()
        request.add_request_options([_NATIVE, _ONCE] if writing else [_NATIVE])
        with translate(doing, writing=writing):
            # kiota's annotation says None, but with the native handler it returns the response
            response = cast("httpx.Response", await self._adapter.send_no_response_content_async(request, {}))
        if heard is not None:
            heard.update({name.lower(): value for name, value in response.headers.items()})
        return answered(response, doing, writing=writing, needs=needs)


def literal(text: str) -> str:
    """Return a text as an OData string literal for a filter."""
    return f"'{text.replace(chr(39), chr(39) * 2)}'"


def key(name: str, text: str) -> str:
    """Return an alternate key for a path, such as `(uniqueName='aks-admins')`, percent-encoded."""
    return f"({name}={quote(literal(text), safe=chr(39))})"


def _url(path: str, query: Mapping[str, str] | None = None) -> str:
    encoded = urlencode(query or {}, quote_via=quote, safe="$(),/'")
    return f"{ROOT}{path}{f'?{encoded}' if encoded else ''}"


async def _refuse_malformed(response: httpx.Response) -> None:
    """Raise httpx.DecodingError for a successful response that is not a document of Graph."""
    await response.aread()
    if said := complaint(response.request.method, response.status_code, response.text):
        raise httpx.DecodingError(said, request=response.request)
