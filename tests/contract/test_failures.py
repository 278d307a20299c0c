"""Errors that a sandbox seldom returns, in the words of arm-wire-facts, and how each is classified."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ServiceRequestError, ServiceResponseError

from aks_entra.adapters.http.failures import azure, retry_after
from aks_entra.errors import AksEntraError, Refused, Rejected, TryLater

IN_PROGRESS = (
    "Operation is not allowed because there's an in progress update managed cluster operation (operation ID: "
    "e375d315) on the managed cluster started on UTC 2026-05-22T07:19:23Z. Please wait for it to finish."
)
PENDING = (
    "Operation is not allowed: Another operation (Updating) is in progress, please wait for it to finish before "
    "starting a new operation. See https://aka.ms/aks-pending-operation for more details"
)


@dataclass(kw_only=True)
class Answer:
    """The parts of azure-core's response from which an error is made."""

    status_code: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)
    reason: str = "because"

    def text(self) -> str:
        return self.body if isinstance(self.body, str) else json.dumps(self.body)


def raised(answer: Answer, *, writing: bool = True) -> AksEntraError:
    error = HttpResponseError(response=answer)  # type: ignore[arg-type]  # has only the attributes that are read
    with pytest.raises(AksEntraError) as caught, azure("change x", writing=writing):
        raise error
    assert caught.value.__cause__ is error
    return caught.value


@pytest.mark.parametrize(
    ("answer", "kind", "code", "words"),
    [
        pytest.param(
            Answer(status_code=409, body={"code": "OperationNotAllowed", "message": m}),
            TryLater,
            "OperationNotAllowed",
            "another operation",
            id=m[:40],
        )
        for m in (IN_PROGRESS, PENDING)
    ]
    + [
        pytest.param(
            Answer(
                status_code=409,
                body={"code": "EtagMismatch", "message": "Operation is not allowed: Another operation is in progress"},
            ),
            TryLater,
            "EtagMismatch",
            "another operation",
            id="a race without an ETag",
        ),
        pytest.param(
            Answer(status_code=412, body={"code": "PreconditionFailed", "message": "Etag mismatched"}),
            TryLater,
            "PreconditionFailed",
            "compares it again",
            id="a race with an ETag",
        ),
        pytest.param(
            Answer(
                status_code=412,
                body={"code": "PreconditionFailed", "message": "Resource not found but ETag header is provided."},
            ),
            Rejected,
            "PreconditionFailed",
            "not found",
            id="gone",
        ),
        pytest.param(
            Answer(status_code=409, body={"code": "OperationNotAllowed", "message": "Not on a stopped cluster."}),
            Rejected,
            "OperationNotAllowed",
            "stopped",
            id="waiting does not help",
        ),
        pytest.param(
            Answer(
                status_code=403,
                body={
                    "error": {
                        "code": "RequestDisallowedByPolicy",
                        "message": "Resource 'x' was disallowed by policy.",
                        "additionalInfo": [{"info": {"policyAssignmentName": "no-local-accounts"}}],
                    }
                },
            ),
            Rejected,
            "RequestDisallowedByPolicy",
            "'no-local-accounts' forbids it",
            id="policy",
        ),
        pytest.param(
            Answer(status_code=401, body={"error": {"code": "ExpiredAuthenticationToken", "message": "expired"}}),
            Refused,
            "ExpiredAuthenticationToken",
            "az login",
            id="expired token",
        ),
        pytest.param(Answer(status_code=500, body="<html>oops</html>"), TryLater, "", "answered 500", id="no JSON"),
        pytest.param(
            Answer(status_code=400, body={"code": "BadRequest", "message": "bad"}),
            Rejected,
            "BadRequest",
            "bad",
            id="bad",
        ),
    ],
)
def test_an_error_is_classified_by_what_must_happen_next(
    answer: Answer, kind: type[AksEntraError], code: str, words: str
) -> None:
    error = raised(answer)
    assert type(error) is kind
    assert (error.code, error.status) == (code, answer.status_code)
    assert words in str(error)


def test_a_read_that_fails_permanently_is_refused_and_not_rejected() -> None:
    assert type(raised(Answer(status_code=400, body={"code": "BadRequest"}), writing=False)) is Refused


def test_a_throttled_request_waits_as_long_as_azure_asks() -> None:
    error = raised(Answer(status_code=429, body={"code": "Throttled"}, headers={"Retry-After": "13"}))
    assert isinstance(error, TryLater)
    assert error.after == 13


def test_an_error_keeps_the_correlation_id() -> None:
    answer = Answer(status_code=400, body={}, headers={"x-ms-correlation-request-id": "c-1", "x-ms-request-id": "r-1"})
    assert raised(answer).correlation_id == "c-1"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 30.0),
        ({"Retry-After": "0.2"}, 0.2),
        ({"x-ms-retry-after-ms": "100"}, 0.1),
        ({"Retry-After": "Mon, 23 Nov 2026 10:00:20 GMT", "Date": "Mon, 23 Nov 2026 10:00:00 GMT"}, 20.0),
        ({"Retry-After": "soon"}, 30.0),
    ],
)
def test_every_form_of_retry_after_is_parsed(headers: dict[str, str], seconds: float) -> None:
    assert retry_after(headers, 30.0) == seconds


def test_a_write_without_an_answer_counts_as_possibly_done() -> None:
    with pytest.raises(TryLater, match="before the response came") as later, azure("change x", writing=True):
        raise ServiceResponseError("connection reset")
    assert later.value.code == "NoAnswer"
    with pytest.raises(TryLater, match=r"cannot be reached"), azure("change x", writing=True):
        raise ServiceRequestError("nobody there")
