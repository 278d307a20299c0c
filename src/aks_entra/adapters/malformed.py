"""Answers of ARM and Graph that are none: a sign-in page of a proxy, half a document, a list where things are expected.

They are told from real ones in one place, before an SDK makes objects of them: what it would make of "value": "x" is
anybody's guess, and of an empty page "there is nothing", which is the one thing that must never be guessed.
"""

from __future__ import annotations

import json
from typing import Any, Final

import httpx
from azure.core.exceptions import ServiceResponseError
from azure.core.pipeline import PipelineRequest, PipelineResponse
from azure.core.pipeline.policies import SansIOHTTPPolicy

from aks_entra.errors import Rejected, TryLater

_WITH_BODY: Final = frozenset({200, 201})


def complaint(method: str, status: int, text: str) -> str:
    """What is wrong with a successful answer; empty when nothing is. A GET must answer with a JSON object."""
    if status not in _WITH_BODY or method not in {"GET", "POST", "PUT", "PATCH"} or not (text or method == "GET"):
        return ""
    try:
        document: Any = json.loads(text)
    except (ValueError, RecursionError):
        return "what answered is no JSON"
    if not isinstance(document, dict):
        return "what answered is no JSON object"
    things = document.get("value", [])
    if not isinstance(things, list) or not all(isinstance(one, dict | str) for one in things):
        return "the list in the answer is none"
    return ""


class MalformedError(ServiceResponseError):
    """The connection held, and still no answer came: azure-core repeats a read as it does when a connection breaks."""


def malformed(doing: str, host: str, said: str, *, writing: bool) -> TryLater | Rejected:
    """The error that such an answer becomes. A write may have been accepted: the next attempt looks first."""
    remedy = f"something between here and {host} answers in its place: look at HTTPS_PROXY"
    if writing:
        return TryLater(f"could not {doing}: {said}", after=30, code="NoAnswer", remedy=remedy)
    return Rejected(f"could not {doing}: {said}", code="Malformed", remedy=remedy)


class WholeAnswers(SansIOHTTPPolicy[Any, Any]):
    """For Azure's SDKs: an answer that is none is a `MalformedError`."""

    def on_response(self, request: PipelineRequest[Any], response: PipelineResponse[Any, Any]) -> None:
        """Look at one answer, unless its body is still to come (the SDK streams what begins an operation)."""
        if request.context.options.get("stream"):
            return
        http = response.http_response
        if said := complaint(request.http_request.method, http.status_code, http.text()):
            raise MalformedError(said)


async def whole(response: httpx.Response) -> None:
    """For Graph's client: an answer that is none is a `httpx.DecodingError`."""
    await response.aread()
    if said := complaint(response.request.method, response.status_code, response.text):
        raise httpx.DecodingError(said, request=response.request)
