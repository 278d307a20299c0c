"""Counts of what a sandbox has seen: requests by host and status, unmodelled routes, refused hosts."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import jwt

from azure_sandbox.front.http import Request, on_one_line

NOT_MODELLED = 501
HIDDEN = "…"
TOLD = frozenset(  # the query options whose values are told; others may be signatures, codes or tokens
    {
        *("api-version", "$filter", "$select", "$top", "$expand", "$search", "$count", "$orderby"),
        *("watch", "labelselector", "fieldselector", "limit", "timeoutseconds", "resourceversion", "dryrun"),
        *("fieldmanager", "fieldvalidation", "propagationpolicy", "timeout"),
    }
)
MOST = 1000  # distinct lines: a client that invents paths must not fill the memory

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One answered request, without headers and bodies, so without secrets. `words`: why it is not modelled.

    Of the `query`, only options that hold no secret have their value. `caller` is the name in the token, or how the
    request authenticates; `milliseconds` are of real time.
    """

    at: datetime
    host: str
    method: str
    path: str
    status: int
    words: str = ""
    query: str = ""
    caller: str = ""
    milliseconds: int = 0


def exchange_of(request: Request, at: datetime, status: int, *, words: str, milliseconds: int) -> Exchange:
    """Return what may be told about an answered request: no secret, and no control character."""
    shown = ((name, value if name.lower() in TOLD else HIDDEN) for name, value in request.query.items())
    return Exchange(
        at=at,
        host=request.host,
        method=request.method,
        path=on_one_line(request.path),
        status=status,
        words=on_one_line(words),
        query=on_one_line("&".join(f"{name}={value}" for name, value in shown)),
        caller=on_one_line(_caller(request)),
        milliseconds=milliseconds,
    )


def _caller(request: Request) -> str:
    """Return who a request says that it is: the name in its token (not verified), or how it authenticates."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        return "certificate" if request.peer_certificate is not None else ""
    try:
        claims = jwt.decode(token.strip(), options={"verify_signature": False})
    except (jwt.PyJWTError, RecursionError):
        return "token"
    return str(claims.get("upn") or claims.get("appid") or claims.get("azp") or claims.get("sub") or "token")


class Report:
    """Counts since the start."""

    def __init__(self) -> None:
        self._requests: Counter[tuple[str, int]] = Counter()
        self._unmodelled: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()

    def note(self, exchange: Exchange) -> None:
        """Count an exchange. An unmodelled one is also logged, once."""
        self._requests[
            exchange.host if not exchange.host.endswith(".azmk8s.io") else "*.azmk8s.io", exchange.status
        ] += 1
        if exchange.status == NOT_MODELLED:
            line = f"{exchange.method} https://{exchange.host}{exchange.path}: {exchange.words}"
            if line not in self._unmodelled:
                _log.warning("not modelled: %s", line)
            self._count(self._unmodelled, line)

    def refuse(self, host: str) -> None:
        """Count a refused host."""
        self._count(self._refused, host)

    @staticmethod
    def _count(counter: Counter[str], line: str) -> None:
        if line in counter or len(counter) < MOST:
            counter[line] += 1

    def shown(self) -> dict[str, Any]:
        """Return the counts as JSON."""
        requests: dict[str, dict[str, int]] = {}
        for (host, status), number in sorted(self._requests.items()):
            requests.setdefault(host, {})[str(status)] = number
        return {
            "requests": requests,
            "unmodelled": dict(sorted(self._unmodelled.items())),
            "refusedHosts": dict(sorted(self._refused.items())),
        }
