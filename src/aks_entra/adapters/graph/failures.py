"""Turns a response of Microsoft Graph into a document, or into one of our errors."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import httpx
from azure.core.exceptions import AzureError

from aks_entra.adapters.http.failures import code_and_message, no_answer, one_line, retry_after, translated
from aks_entra.adapters.http.malformed import malformed
from aks_entra.adapters.http.network import unreachable
from aks_entra.errors import AksEntraError, Refused, Rejected, TryLater

GRAPH_HOST: Final = "graph.microsoft.com"
LICENCES: Final = {
    "AadPremiumLicenseRequired": "Privileged Identity Management needs Microsoft Entra ID P2 (or ID Governance)",
    "Authentication_RequestFromNonPremiumTenantOrB2CTenant": "the sign-in log needs Microsoft Entra ID P1",
}
"""The remedy if a licence is missing, by Graph's error code."""

_GROUPS: Final = "GroupMember.Read.All to read, Group.Create (or Group.ReadWrite.All) to create groups"
_THROTTLED: Final = 429


@contextmanager
def translate(doing: str, *, writing: bool) -> Iterator[None]:
    """Translate what the HTTP pipeline and the sign-in raise before Graph responds.

    Args:
        doing: completes "could not …".
        writing: Graph may have accepted the request although no response came, so the error is TryLater.
    """
    try:
        yield
    except httpx.DecodingError as err:
        raise malformed(doing, GRAPH_HOST, str(err), writing=writing) from err
    except httpx.HTTPError as err:
        if writing and isinstance(err, httpx.ReadError | httpx.RemoteProtocolError | httpx.ReadTimeout):
            raise no_answer(doing, after=10) from err
        raise unreachable(err, GRAPH_HOST) from err
    except AzureError as err:
        raise translated(err, doing, host=GRAPH_HOST) from err


def answered(response: httpx.Response, doing: str, *, writing: bool, needs: str) -> Mapping[str, Any]:
    """Return the JSON document of a successful response; an empty one when it has no body.

    Raises:
        Refused: a person must act: sign in (401), grant a permission (403), buy a licence, or correct the request.
        Rejected: a write that Graph did not accept, or a successful response that is not a JSON object.
        TryLater: 429 and 5xx.
    """
    if not response.is_success:
        raise _error(response, doing, writing=writing, needs=needs)
    if not response.content:
        return {}
    try:
        document: Any = json.loads(response.text)
    except (ValueError, RecursionError) as err:
        raise malformed(doing, GRAPH_HOST, "the response is not JSON", writing=writing) from err
    return document if isinstance(document, Mapping) else {"value": document}


def _error(response: httpx.Response, doing: str, *, writing: bool, needs: str) -> AksEntraError:
    status = response.status_code
    code, message = code_and_message(response.text)
    said = one_line(message) or f"Microsoft Graph answered {status}"
    details: dict[str, Any] = {
        "code": code,
        "status": status,
        "correlation_id": response.headers.get("request-id") or "",
    }
    licence = _licence(code, message)
    match status:
        case 429 | 500 | 502 | 503 | 504:
            return TryLater(
                f"could not {doing}: Microsoft Graph {'throttles' if status == _THROTTLED else 'has a fault'}",
                after=retry_after(response.headers, 20),
                remedy=licence or "aks-entra tries again",
                **details,
            )
        case 401:
            remedy = licence or "sign in again (`az login`)"
            return Refused(f"could not {doing}: {said}", remedy=remedy, **details)
        case 403:
            return Refused(f"could not {doing}: {said}", remedy=licence or f"grant {needs or _GROUPS}", **details)
    if writing:
        return Rejected(f"could not {doing}: {said}", **details)
    return Refused(f"could not {doing}: {said}", remedy=licence, **details)


def _licence(code: str, message: str) -> str:
    """Return the licence that a refusal asks for, or an empty text if it is about something else."""
    if code not in LICENCES and "not licensed for this feature" in message:
        return "Conditional Access needs Microsoft Entra ID P1"
    return LICENCES.get(code, "")
