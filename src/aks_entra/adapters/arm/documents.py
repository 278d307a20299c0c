"""Reads a document, the pages of a list or the answer to a query from ARM, without the models of an SDK.

The models of Azure's SDKs take a tenth of a second to import and half a millisecond for each cluster. Most of what is
read here has no SDK among our dependencies. It must not know what the documents mean.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from azure.core.exceptions import HttpResponseError
from azure.core.rest import HttpRequest

from aks_entra.adapters.arm.clients import ARM_HOST, Clients
from aks_entra.adapters.http.failures import azure, translated
from aks_entra.adapters.http.malformed import malformed
from aks_entra.adapters.http.network import foreign, leads_to
from aks_entra.adapters.http.paging import PageTrail
from aks_entra.core.storable import storable

if TYPE_CHECKING:
    from azure.core.rest import AsyncHttpResponse

Document: TypeAlias = Mapping[str, Any]

ARM: Final = f"https://{ARM_HOST}"
_ERROR: Final = 400


async def ask(clients: Clients, url: str, doing: str) -> AsyncHttpResponse:
    """GET a URL once, verbatim, and return the response with any status. `doing` completes "could not …" in an error.

    Raises:
        Refused: code ForeignUrl when the URL does not lead to ARM, because a token for ARM is sent to no other host.
        TryLater: ARM cannot be reached.
    """
    if not leads_to(url, ARM_HOST):
        raise foreign(url, ARM_HOST)
    with azure(doing):
        return await clients.plain().send_request(HttpRequest("GET", url))


async def write(clients: Clients, method: str, url: str, doing: str, body: Document | None = None) -> AsyncHttpResponse:
    """PUT or DELETE a document, and return a response that is no error. Raises Rejected if ARM does not accept it.

    `method` must be one that can be repeated: a lost response raises TryLater.
    """
    with azure(doing, writing=True):
        response = await clients.plain().send_request(HttpRequest(method, url, json=body))
        if response.status_code >= _ERROR:
            raise HttpResponseError(response=response)
        return response


async def query(clients: Clients, url: str, question: Document, doing: str) -> AsyncHttpResponse:
    """POST a question that writes nothing, and return the response with any status. TryLater as in `ask`."""
    with azure(doing):
        return await clients.plain().send_request(HttpRequest("POST", url, json=question))


async def post(clients: Clients, url: str, body: Document, doing: str) -> Document:
    """POST a question to ARM that changes nothing, and return the JSON object of the answer. Raises as `get` does."""
    return document_of(await query(clients, url, body, doing), doing)


async def get(clients: Clients, url: str, doing: str) -> Document:
    """GET a document or a page. Raises what `ask` raises, and translates an error response of ARM."""
    return document_of(await ask(clients, url, doing), doing)


async def pages(clients: Clients, url: str, doing: str) -> AsyncIterator[Document]:
    """GET the pages of a list, one after the other. Raises Refused (code EndlessList) when a page repeats."""
    seen = PageTrail(doing)
    while url:
        seen.next(url)
        page = await get(clients, url, doing)
        yield page
        url = str(page.get("nextLink") or "")


def document_of(response: AsyncHttpResponse, doing: str) -> Document:
    """Return the JSON object of a response. Raises one of the four errors for an error response."""
    if response.status_code >= _ERROR:
        raise translated(HttpResponseError(response=response), doing)
    text = response.text()
    try:
        body: Any = response.json() if text else {}  # decoded already when `WholeAnswers` looked at it
    except ValueError as error:
        raise malformed(doing, ARM_HOST, "the response is not JSON", writing=False) from error
    if "\\ud" in text.lower():  # a surrogate pair, or half of one: only decoding each text can tell
        body = storable(body)
    return body if isinstance(body, dict) else {}
