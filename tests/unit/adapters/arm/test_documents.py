"""A response of ARM is decoded once. A response that is not JSON is an error."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, cast

import pytest
from azure.core.pipeline import PipelineRequest, PipelineResponse
from azure.core.rest import AsyncHttpResponse

from aks_entra.adapters.arm.documents import document_of
from aks_entra.adapters.http.malformed import MalformedError, WholeAnswers
from aks_entra.errors import Rejected


class Response:
    """As much of a response of azure-core as is read. It keeps its decoded text, as azure-core's does."""

    def __init__(self, text: str, status: int = 200) -> None:
        self.status_code = status
        self.decoded = 0
        self._text = text
        self._document: Any = None

    def text(self) -> str:
        return self._text

    def json(self) -> Any:
        if self._document is None:
            self.decoded += 1
            self._document = json.loads(self._text)
        return self._document


def check(response: Response, *, stream: bool = False) -> None:
    request = SimpleNamespace(
        context=SimpleNamespace(options={"stream": stream}), http_request=SimpleNamespace(method="GET")
    )
    WholeAnswers().on_response(
        cast("PipelineRequest[Any]", request),
        cast("PipelineResponse[Any, Any]", SimpleNamespace(http_response=response)),
    )


def read(response: Response) -> Any:
    return document_of(cast("AsyncHttpResponse", response), "read a document")


def test_a_response_that_was_checked_is_not_decoded_again() -> None:
    response = Response('{"value": [{"id": "a"}]}')
    check(response)
    assert read(response) == {"value": [{"id": "a"}]}
    assert response.decoded == 1


def test_an_older_kind_of_response_is_checked_as_well() -> None:
    whole = SimpleNamespace(status_code=200, text=lambda: '{"value": []}')
    half = SimpleNamespace(status_code=200, text=lambda: '{"value": [')
    check(cast("Response", whole))
    with pytest.raises(MalformedError, match="the response is not JSON"):
        check(cast("Response", half))


@pytest.mark.parametrize("half", ["\\ud83d", "\\uD83D"])
def test_half_of_a_surrogate_pair_is_replaced(half: str) -> None:
    assert read(Response(f'{{"name": "a{half}"}}')) == {"name": "a\ufffd"}


def test_a_body_that_is_empty_or_no_object_is_an_empty_document() -> None:
    assert read(Response("", 204)) == {}
    assert read(Response("[]", 202)) == {}


def test_what_is_no_json_is_an_error() -> None:
    with pytest.raises(MalformedError, match="the response is not JSON"):
        check(Response("<html>"))
    with pytest.raises(Rejected, match="could not read a document: the response is not JSON") as rejected:
        read(Response("<html>", 202))
    assert rejected.value.code == "Malformed"


def test_a_streamed_body_is_left_to_its_reader() -> None:
    response = Response("<html>")
    check(response, stream=True)
    assert response.decoded == 0
