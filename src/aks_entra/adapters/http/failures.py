"""Translates error responses of Azure and Microsoft Entra ID into errors that say what to do next.

ARM wraps an error in two ways (`{"error": {…}}` and bare `{code, message}`), and both are read here. Messages are short
and never contain a header, a token or a whole body.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ServiceRequestError,
    ServiceResponseError,
)

from aks_entra.adapters.http.malformed import MalformedError, malformed
from aks_entra.adapters.http.network import unreachable
from aks_entra.adapters.http.paging import every
from aks_entra.adapters.http.retry_after import asked, say
from aks_entra.errors import AksEntraError, Refused, Rejected, TryLater

_T = TypeVar("_T")
_ENTRA_CODE: Final = re.compile(r"AADSTS\d+")
_ENTRA_TEXT: Final = re.compile(r"(AADSTS\d+):\s*(.+?)(?:\s+Trace ID:|\s*[\r\n]|$)")
_CORRELATION: Final = re.compile(r"Correlation ID: ([0-9a-fA-F-]{36})")
_ACTION: Final = re.compile(r"perform action '([^']+)'")
_LINKED: Final = re.compile(r"not have permission to perform action '([^']+)' on the linked scope\(s\) '([^']+)'")
_POLICY: Final = re.compile(
    r'"policyAssignment(?:Display)?Name"\s*:\s*"([^"]+)"|[Pp]olicy(?: assignment)? \'([^\']+)\''
)
_IN_PROGRESS: Final = re.compile(r"in progress|another .*operation|preempted|wait for it to finish", re.IGNORECASE)
_SIGN_IN: Final = "sign in again (`az login`), or check AZURE_TENANT_ID, AZURE_CLIENT_ID and its secret"

TRANSIENT: Final = frozenset({"AADSTS90033", "AADSTS90055", "AADSTS90006"})
"""Codes of Microsoft Entra ID for: service unavailable, tenant throttled, retryable error of an external server."""

REMEDIES: Final = {
    "AADSTS7000215": "wrong secret: AZURE_CLIENT_SECRET (or the prover's variable) must hold its value, not its id",
    "AADSTS7000222": "the client secret has expired: create a new one for the application",
    "AADSTS700016": "the application is not known in this tenant: check the client id and the tenant id",
    "AADSTS90002": "check the tenant id",
    "AADSTS900023": "check the tenant id",
    "AADSTS53003": "a Conditional Access policy blocks this sign-in: ask its administrator",
    "AADSTS700082": "sign in again: `az login`",
    "AADSTS50173": "sign in again: `az login`",
    "AADSTS700213": "no federated credential of the application matches: check issuer, subject and audience",
    "AADSTS65001": "an administrator must consent to the application",
    "AADSTS7000112": "the application is disabled in this tenant",
}


@contextmanager
def azure(doing: str, *, host: str = "management.azure.com", writing: bool = False) -> Iterator[None]:
    """Translate the exceptions of Azure's SDKs into ours.

    Args:
        doing: completes "could not …".
        host: the host that is called, for an error without a response.
        writing: a write, which raises Rejected if Azure does not accept it, and TryLater if its response was lost.
    """
    try:
        yield
    except AzureError as err:
        raise translated(err, doing, host=host, writing=writing) from err


async def collected(listed: AsyncIterable[_T], doing: str) -> list[_T]:
    """Read every page of a list of Azure's SDK. `doing` completes "could not …".

    Raises:
        Refused: code EndlessList when the list does not end, or ARM's own code when ARM refuses.
        TryLater: ARM throttles, fails, or cannot be reached.
    """
    with azure(doing):
        return [one async for one in every(listed, doing)]


def translated(err: AzureError, doing: str, *, host: str = "", writing: bool = False) -> AksEntraError:
    """Return the error of ours for an exception of Azure's SDKs. The arguments are those of `azure`."""
    if isinstance(err, MalformedError):
        return malformed(doing, host or "Azure", err.message, writing=writing)
    if isinstance(err, HttpResponseError) and err.response is not None and not _from_entra(err):
        return _answered(err, doing, writing=writing)
    if isinstance(err, ClientAuthenticationError):
        return not_signed_in(err)
    if isinstance(err, ServiceResponseError) and writing:
        return no_answer(doing, after=30)
    if isinstance(err, ServiceRequestError | ServiceResponseError):
        return unreachable(err, host)
    return Refused(f"could not {doing}: {one_line(str(err))}")


def no_answer(doing: str, *, after: float) -> TryLater:
    """Return the error for a write whose response was lost. `after` is in seconds."""
    return TryLater(
        f"could not {doing}: the connection broke before the response came",
        after=after,
        code="NoAnswer",
        remedy="Azure may have accepted it; the next attempt reads first",
    )


def not_signed_in(err: ClientAuthenticationError) -> AksEntraError:
    """Return the error for a missing token: there is no credential, or Microsoft Entra ID refuses (code AADSTS…)."""
    text = f"{err.message} {_body(err)}"
    if (found := _ENTRA_CODE.search(text)) is not None:
        said = _ENTRA_TEXT.search(text)
        correlation = _CORRELATION.search(text)
        if found[0] in TRANSIENT:
            return TryLater(
                "Microsoft Entra ID issues no tokens at the moment",
                after=30,
                code=found[0],
                correlation_id=correlation[1] if correlation else "",
            )
        return Refused(
            f"Microsoft Entra ID refused the sign-in: {one_line(said[2] if said else text)}",
            remedy=REMEDIES.get(found[0], _SIGN_IN),
            code=found[0],
            correlation_id=correlation[1] if correlation else "",
        )
    if re.search(r"[Cc]annot connect to host|[Tt]imeout while|Name or service not known", text):
        return unreachable(err, "login.microsoftonline.com")
    return Refused(
        "no Azure credential was found",
        remedy="sign in with `az login`, set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, "
        "or run where a managed or workload identity is available",
        code="CredentialUnavailable",
    )


def service_error(err: HttpResponseError) -> tuple[str, str]:
    """Return ARM's own (code, message); see `code_and_message`."""
    return code_and_message(_body(err))


def code_and_message(text: str) -> tuple[str, str]:
    """Return (code, message) from the body of an error response. Both are empty if the body contains none."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        body = {}
    error = body.get("error", body) if isinstance(body, dict) else {}
    if not isinstance(error, dict):
        error = {}
    return str(error.get("code") or ""), str(error.get("message") or "")


def correlation_id(headers: Any) -> str:
    """Return the id by which Azure's support finds a request."""
    return str(headers.get("x-ms-correlation-request-id") or headers.get("x-ms-request-id") or "")


def retry_after(headers: Mapping[str, str], otherwise: float) -> float:
    """Return how many seconds a service asks us to wait (`asked` limits it), or `otherwise` if it does not ask."""
    found = asked(headers)
    return otherwise if found is None else found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """The parts of an error response of ARM that our errors use."""

    doing: str
    status: int
    code: str
    message: str
    body: str
    headers: Mapping[str, str]

    @property
    def said(self) -> str:
        return f"could not {self.doing}: {one_line(self.message) or f'Azure answered {self.status}'}"

    def later(self, after: float, remedy: str, *, message: str = "", code: str = "") -> TryLater:
        seconds = asked(self.headers)
        say(f"{message or self.said} (it asks to wait)", seconds or 0)
        return TryLater(
            message or self.said,
            after=after if seconds is None else seconds,
            remedy=remedy,
            code=code or self.code,
            status=self.status,
            correlation_id=correlation_id(self.headers),
        )

    def no(
        self, kind: type[Refused | Rejected], remedy: str = "", *, message: str = "", code: str = ""
    ) -> Refused | Rejected:
        return kind(
            message or self.said,
            remedy=remedy,
            code=code or self.code,
            status=self.status,
            correlation_id=correlation_id(self.headers),
        )


def _answered(err: HttpResponseError, doing: str, *, writing: bool) -> AksEntraError:
    code, message = service_error(err)
    answer = _Answer(
        doing=doing,
        status=err.status_code or 0,
        code=code,
        message=message,
        body=_body(err),
        headers=headers_of(err),
    )
    nothing_written = Rejected if writing else Refused
    if isinstance(err, ResourceExistsError) and err.status_code == 412:  # noqa: PLR2004 - HTTP: If-None-Match found it
        return answer.no(nothing_written, "choose another name", message=f"could not {doing}: it exists already")
    return _transient(answer) or _forbidden(answer, nothing_written) or answer.no(nothing_written)


def _transient(answer: _Answer) -> TryLater | None:
    busy = answer.code == "OperationNotAllowed" and _IN_PROGRESS.search(answer.message)
    match answer.status:
        case 429:
            return answer.later(30, "aks-entra tries again", message=f"could not {answer.doing}: Azure throttles")
        case 408 | 500 | 502 | 503 | 504:
            return answer.later(20, "Azure has a fault; aks-entra tries again")
        case 409 if busy or answer.code == "EtagMismatch":
            return answer.later(30, "another operation runs on the cluster; wait for its end")
        case 412 if "not found" not in answer.message:
            return answer.later(
                5,
                "aks-entra reads and compares it again before the next attempt",
                message=f"could not {answer.doing}: somebody else changed it in between; nothing was written",
                code=answer.code or "PreconditionFailed",
            )
    return None


def _forbidden(  # noqa: PLR0911 - a table: one case for each refusal
    answer: _Answer, nothing_written: type[Refused | Rejected]
) -> Refused | Rejected | None:
    match answer.status, answer.code:
        case _, "ScopeLocked":
            return answer.no(nothing_written, "remove the management lock for the time of the change")
        case _, "RequestDisallowedByPolicy":
            found = _POLICY.search(answer.body)
            policy = next((f" {name!r}" for name in found.groups() if name), "") if found else ""
            return answer.no(
                nothing_written,
                "have the policy exempt the cluster, or change the target so that it complies",
                message=f"could not {answer.doing}: Azure Policy{policy} forbids it",
            )
        case 401, _:
            return answer.no(Refused, _SIGN_IN, message=f"could not {answer.doing}: Azure does not accept the token")
        case 403, "LinkedAuthorizationFailed" if linked := _LINKED.search(answer.message):
            return answer.no(
                Refused,
                f"assign a role that allows it there (deployments/roles): {linked[2].replace(',', ', ')}",
                message=f"could not {answer.doing}: the signed-in identity lacks {linked[1]} on {linked[2]}",
            )
        case 403, _:
            action = _ACTION.search(answer.message)
            lacks = f"the signed-in identity lacks {action[1]}" if action else ""
            return answer.no(
                Refused,
                "assign a role that allows it (deployments/roles) on the cluster, its resource group or subscription",
                message=f"could not {answer.doing}: {lacks}" if lacks else "",
            )
        case 404, _:
            return answer.no(
                Refused, "check subscription, resource group and name", code=answer.code or "ResourceNotFound"
            )
    return None


def headers_of(err: HttpResponseError) -> Mapping[str, str]:
    """Return the headers of an error's response. Empty if there was no response."""
    return getattr(err.response, "headers", None) or {}


def _from_entra(err: HttpResponseError) -> bool:
    """Whether the token endpoint answered and not ARM. Its errors contain AADSTS codes."""
    return isinstance(err, ClientAuthenticationError) and (
        err.response is None or _ENTRA_CODE.search(f"{err.message} {_body(err)}") is not None
    )


def _body(err: HttpResponseError) -> str:
    response = err.response
    if response is None:
        return ""
    try:
        return str(response.text())
    except Exception:  # noqa: BLE001 - the body was not read or is not text: the status has to be enough
        return ""


def one_line(text: str, most: int = 400) -> str:
    """Return a service's text as one line of at most `most` characters."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[:most]}…"
