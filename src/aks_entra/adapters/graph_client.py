"""Microsoft's Graph client over this machine's way out, and Graph's refusals as errors of ours."""

from __future__ import annotations

from collections.abc import Awaitable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

import httpx
from azure.core.exceptions import AzureError
from kiota_abstractions.api_error import APIError
from kiota_authentication_azure.azure_identity_authentication_provider import AzureIdentityAuthenticationProvider
from kiota_http.middleware.options import RetryHandlerOption
from msgraph.graph_request_adapter import GraphRequestAdapter
from msgraph.graph_service_client import GraphServiceClient
from msgraph_core import GraphClientFactory  # type: ignore[import-untyped]  # it ships no types

from aks_entra.adapters.credentials import GRAPH_SCOPE
from aks_entra.adapters.failures import retry_after, translated
from aks_entra.adapters.malformed import malformed, whole
from aks_entra.adapters.network import trust, unreachable
from aks_entra.errors import AksEntraError, Refused, Rejected, TryLater

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

GRAPH_HOST: Final = "graph.microsoft.com"
ONCE: Final = RetryHandlerOption(max_retries=0, should_retry=False)
"""For writes: kiota repeats even a POST on 429, 503 and 504, and a repeated one may create twice."""

_GROUPS: Final = "GroupMember.Read.All to read, Group.Create (or Group.ReadWrite.All) to create groups"
_NOT_FOUND: Final = 404
_T = TypeVar("_T")


class Graph:
    """The client and its connection pool, closed together."""

    def __init__(self, credential: AsyncTokenCredential, *, timeout: float) -> None:
        self._http = GraphClientFactory.create_with_default_middleware(
            client=httpx.AsyncClient(verify=trust(), timeout=timeout, event_hooks={"response": [whole]})
        )
        provider = AzureIdentityAuthenticationProvider(credential, scopes=[GRAPH_SCOPE], allowed_hosts=[GRAPH_HOST])
        self.client = GraphServiceClient(request_adapter=GraphRequestAdapter(provider, self._http))

    async def close(self) -> None:
        """Close the connection pool."""
        await self._http.aclose()


class Attempt:
    """What may go wrong without being an error: 404."""

    async def found(self, reading: Awaitable[_T]) -> _T | None:
        """What was read, or None when Graph answers 404."""
        try:
            return await reading
        except APIError as err:
            if err.response_status_code != _NOT_FOUND:
                raise
            return None


@contextmanager
def answers(doing: str, *, writing: bool = False, needs: str = "") -> Iterator[Attempt]:
    """Translate what Microsoft's SDK raises. `doing` completes "could not …"; `writing` makes 400s Rejected.

    `needs` names the Graph permissions that a 403 asks for; default: those of groups.
    """
    try:
        yield Attempt()
    except APIError as err:
        raise _answered(err, doing, writing=writing, needs=needs) from err
    except httpx.DecodingError as err:
        raise malformed(doing, GRAPH_HOST, str(err), writing=writing) from err
    except httpx.HTTPError as err:
        if writing and isinstance(err, httpx.ReadError | httpx.RemoteProtocolError | httpx.ReadTimeout):
            raise TryLater(
                f"could not {doing}: the connection broke before the answer came",
                code="NoAnswer",
                remedy="it may have been accepted; the next attempt looks first",
            ) from err
        raise unreachable(err, GRAPH_HOST) from err
    except AzureError as err:
        raise translated(err, doing, host=GRAPH_HOST) from err


def _answered(err: APIError, doing: str, *, writing: bool, needs: str) -> AksEntraError:
    status = err.response_status_code or 0
    error = getattr(err, "error", None)
    code = str(getattr(error, "code", None) or "")
    said = " ".join(str(getattr(error, "message", None) or f"Microsoft Graph answered {status}").split())[:400]
    headers = _Headers(err)
    details: dict[str, Any] = {"code": code, "status": status, "correlation_id": headers.get("request-id") or ""}
    match status:
        case 429 | 500 | 502 | 503 | 504:
            return TryLater(
                f"could not {doing}: Microsoft Graph {'throttles' if status == 429 else 'is not well'}",  # noqa: PLR2004 - HTTP
                after=retry_after(headers, 20),
                remedy="it is tried again",
                **details,
            )
        case 401:
            return Refused(f"could not {doing}: {said}", remedy="sign in again (`az login`)", **details)
        case 403:
            return Refused(
                f"could not {doing}: {said}",
                remedy=f"grant {needs or _GROUPS}",
                **details,
            )
    return (Rejected if writing else Refused)(f"could not {doing}: {said}", **details)


class _Headers(Mapping[str, str]):
    """An error's headers, whatever their case."""

    def __init__(self, err: APIError) -> None:
        self._headers = {str(name).lower(): str(value) for name, value in (err.response_headers or {}).items()}

    def __getitem__(self, name: str) -> str:
        return self._headers[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._headers)

    def __len__(self) -> int:
        return len(self._headers)
