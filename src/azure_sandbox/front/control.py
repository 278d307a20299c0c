"""The control host of a running sandbox: report, clock, faults, world and ledger, behind the proxy.

Azure has no such host. Its clients are `aks-entra-sandbox clock`, `fault`, `report` and `world export`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Protocol, get_args

from azure_sandbox.clock import Clock
from azure_sandbox.faults.operations import KINDS as OPERATION_KINDS
from azure_sandbox.faults.operations import OperationFault, OperationFaultKind
from azure_sandbox.faults.requests import DEFAULT_HOST, KINDS, Faults, identity_throttled, overtaken, plain, throttled
from azure_sandbox.front.http import Problem, Reply, Request, Router
from azure_sandbox.front.traffic_report import Report

CONTROL_HOST = "control.azure-sandbox.internal"
UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


class Controlled(Protocol):
    """The parts of a sandbox that the control host reads and changes."""

    clock: Clock
    faults: Faults
    report: Report

    def export(self) -> str:
        """Return the present state as a world file (YAML)."""

    def ledger(self) -> dict[str, Any]:
        """Return the static credentials that were handed out, without secrets, and whether each is accepted now."""


def seconds(text: str) -> float:
    """Return the seconds of `90`, `90s`, `10m`, `2h` or `1d`. Raises ValueError for any other text."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", text.strip())
    if found is None:
        raise ValueError(f"{text!r} is not a duration; write 90s, 10m, 2h or 1d")
    return float(found[1]) * UNITS[found[2]]


def _refused(message: str) -> Problem:
    return Problem(400, {"error": {"code": "BadRequest", "message": message}})


class Control:
    """The routes of the control host of one sandbox."""

    def __init__(self, sandbox: Controlled) -> None:
        self._sandbox = sandbox
        self.router = Router("control host")
        self.router.add("GET", "/report", self._report)
        self.router.add("GET", "/clock", self._clock)
        self.router.add("POST", "/clock/advance", self._advance)
        self.router.add("GET", "/faults", self._list)
        self.router.add("POST", "/faults", self._add)
        self.router.add("DELETE", "/faults", self._clear)
        self.router.add("GET", "/world", self._world)
        self.router.add("GET", "/ledger", self._ledger)

    async def _report(self, _: Request) -> Reply:
        return Reply(200, {**self._sandbox.report.shown(), "faults": self._sandbox.faults.account()})

    def _time(self) -> dict[str, Any]:
        clock = self._sandbox.clock
        pace: Any = "by-hand" if clock.by_hand else clock.pace if clock.pace != float("inf") else "instant"
        return {"now": clock.now().isoformat(), "progress": clock.progress().isoformat(), "pace": pace}

    async def _clock(self, _: Request) -> Reply:
        return Reply(200, self._time())

    async def _advance(self, request: Request) -> Reply:
        try:
            ahead = seconds(str(request.json().get("by", "")))
            self._sandbox.clock.advance(timedelta(seconds=ahead))
        except (ValueError, OverflowError) as error:
            raise _refused(str(error)) from error
        return Reply(200, self._time())

    async def _list(self, _: Request) -> Reply:
        faults = self._sandbox.faults
        waiting: list[dict[str, Any]] = [
            {"kind": it.kind, "method": it.method, "host": it.host, "path": it.path.pattern} for it in faults.waiting
        ]
        waiting += [
            {"kind": it.kind, "operation": it.operation, "cluster": it.cluster, "at": it.at}
            for it in faults.operations.waiting
        ]
        return Reply(200, {"waiting": waiting, **faults.account()})

    async def _clear(self, request: Request) -> Reply:
        self._sandbox.faults.clear()
        return await self._list(request)

    async def _add(self, request: Request) -> Reply:
        sent = request.json()
        try:
            add_fault(self._sandbox.faults, sent)
        except (ValueError, TypeError) as error:
            raise _refused(str(error)) from error
        return await self._list(request)

    async def _world(self, _: Request) -> Reply:
        return Reply(200, self._sandbox.export())

    async def _ledger(self, _: Request) -> Reply:
        return Reply(200, self._sandbox.ledger())


def add_fault(faults: Faults, wanted: dict[str, Any]) -> None:
    """Queue a fault that is described as the command line sends it.

    A fault of requests has: kind, method, path, host, status, code, seconds, change, times. A fault of operations has:
    kind, operation, cluster, at, factor, times.

    Raises:
        ValueError: The description is wrong.
    """
    kind = wanted.get("kind")
    times = _number(wanted, "times", 1, int)
    if not 1 <= times <= 10_000:  # noqa: PLR2004  # bounds the memory of the queue
        raise ValueError("times must be between 1 and 10000")
    if kind in OPERATION_KINDS:
        allowed = {"kind", "operation", "cluster", "at", "factor", "times"}
        _only(wanted, allowed)
        named: OperationFaultKind = next(it for it in get_args(OperationFaultKind) if it == kind)
        fault = OperationFault(
            kind=named,
            operation=str(wanted.get("operation", "*")),
            cluster=str(wanted.get("cluster", "*")),
            at=_number(wanted, "at", 0.5, float),
            factor=_number(wanted, "factor", 10.0, float),
        )
        faults.operations.add(fault, times=times)
        return
    if kind not in KINDS:
        raise ValueError(
            f"unknown kind of fault {kind!r}; requests: {', '.join(KINDS)}; operations: {', '.join(OPERATION_KINDS)}"
        )
    _only(wanted, {"kind", "method", "path", "host", "status", "code", "seconds", "change", "times"})
    answer = None
    wait = _number(wanted, "seconds", 30.0, float)
    if kind == "status":
        status = _number(wanted, "status", 500, int)
        if not 400 <= status <= 599:  # noqa: PLR2004  # HTTP
            raise ValueError("status must be between 400 and 599")
        answer = plain(status, str(wanted.get("code") or ""))
    elif kind == "throttle":
        answer = throttled(max(1, int(wait)) if "seconds" in wanted else 1)
    elif kind == "identity-throttle":
        answer = identity_throttled(str(wanted.get("path", "")))
    elif kind == "etag-mismatch":
        answer = overtaken()
    change = wanted.get("change", {})
    if not isinstance(change, dict):
        raise ValueError("change must be a JSON object: it is merged into the cluster")  # noqa: TRY004  # of a request
    faults.add(
        str(wanted.get("method", "*")),
        str(wanted.get("path", "")),
        host=str(wanted.get("host", DEFAULT_HOST)),
        answer=answer,
        kind=kind,
        seconds=wait,
        change=change,
        times=times,
    )


def _only(wanted: dict[str, Any], allowed: set[str]) -> None:
    if unknown := sorted(set(wanted) - allowed):
        raise ValueError(
            f"a fault {wanted['kind']} has no option {', '.join(unknown)}; it has {', '.join(sorted(allowed))}"
        )


def _number(wanted: dict[str, Any], name: str, default: float, kind: Callable[[Any], Any]) -> Any:
    try:
        return kind(wanted.get(name, default))
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be a number") from None
