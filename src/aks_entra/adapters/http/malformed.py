"""Detects malformed responses of ARM and Graph: a proxy's sign-in page, half a document, a list of the wrong type.

They are detected before an SDK parses them. From an empty page, an SDK could conclude that a list is empty, and we must
never assume that.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from azure.core.exceptions import ServiceResponseError
from azure.core.pipeline import PipelineRequest, PipelineResponse
from azure.core.pipeline.policies import SansIOHTTPPolicy

from aks_entra.errors import Rejected, TryLater

_WITH_BODY: Final = frozenset({200, 201})


def complaint(method: str, status: int, text: str, decode: Callable[[], Any] | None = None) -> str:
    """Describe what is wrong with a successful response. Empty if nothing is. A GET must return a JSON object.

    `decode` returns the decoded text, or raises ValueError.
    """
    if status not in _WITH_BODY or method not in {"GET", "POST", "PUT", "PATCH"} or not (text or method == "GET"):
        return ""
    try:
        document: Any = (decode or partial(json.loads, text))()
    except (ValueError, RecursionError):
        return "the response is not JSON"
    if not isinstance(document, dict):
        return "the response is not a JSON object"
    things = document.get("value", [])
    if not isinstance(things, list) or not all(isinstance(one, dict | str) for one in things):
        return "`value` in the response is not a list of objects"
    return ""


class MalformedError(ServiceResponseError):
    """A malformed response. azure-core repeats a read after it, as it does after a broken connection."""


def malformed(doing: str, host: str, said: str, *, writing: bool) -> TryLater | Rejected:
    """Return the error for a malformed response. After a write it is TryLater: Azure may have accepted it."""
    remedy = f"something between this machine and {host} answers instead of it: check HTTPS_PROXY"
    if writing:
        return TryLater(f"could not {doing}: {said}", after=30, code="NoAnswer", remedy=remedy)
    return Rejected(f"could not {doing}: {said}", code="Malformed", remedy=remedy)


class WholeAnswers(SansIOHTTPPolicy[Any, Any]):
    """A policy for Azure's SDKs that raises `MalformedError` for a malformed response."""

    def on_response(self, request: PipelineRequest[Any], response: PipelineResponse[Any, Any]) -> None:
        """Check a response. Skip one whose body is streamed: the SDK reads it later.

        The response keeps its decoded body, so that whoever reads it next does not decode it again. azure-core's
        older kind of response, that of a next page, cannot keep it.
        """
        if request.context.options.get("stream"):
            return
        http = response.http_response
        decode = getattr(http, "json", None)
        if said := complaint(request.http_request.method, http.status_code, http.text(), decode):
            raise MalformedError(said)
