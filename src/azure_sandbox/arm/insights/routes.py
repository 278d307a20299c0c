"""The route of the activity log in Microsoft.Insights."""

from __future__ import annotations

import datetime as dt
from typing import Any

from azure_sandbox.arm.errors import not_modelled
from azure_sandbox.arm.front_door import Call, FrontDoor
from azure_sandbox.arm.insights.activity_log import KEPT, PAGE, Entry, fits, parse
from azure_sandbox.arm.state import State
from azure_sandbox.front.http import Problem, Reply

SUBSCRIPTION = "/subscriptions/{subscription}"
VALUES = f"{SUBSCRIPTION}/providers/Microsoft.Insights/eventtypes/management/values"
JSON = {"content-type": "application/json; charset=utf-8"}


def _refused(message: str) -> Problem:
    return Problem(400, {"code": "BadRequest", "message": message}, JSON)


class Monitor:
    """Lists the activity log by `$filter`, which must name a start within the last 90 days."""

    def __init__(self, door: FrontDoor) -> None:
        self._state: State = door.state
        door.add(
            "GET",
            VALUES,
            self._values,
            scope=SUBSCRIPTION,
            action="Microsoft.Insights/eventtypes/values/read",
            options=("$filter", "$select", "$skipToken"),
        )

    async def _values(self, call: Call, subscription: str) -> Reply:
        home = self._state.subscription(subscription)
        since, until, wanted = parse(call.option("$filter"), _refused)
        now = call.request.now
        if since is None:
            raise _refused("The $filter must name a start: eventTimestamp ge '…'.")
        if since < now - KEPT - dt.timedelta(minutes=1):
            raise _refused(f"The start time cannot be more than {KEPT.days} days in the past.")
        for it in self._state.clusters_below(home.scope):
            it.server.settle()  # an operation that has ended writes its entry
        end = until or now
        prefix = f"{home.scope.lower()}/"

        def meets(it: Entry) -> bool:
            return it.resource.lower().startswith(prefix) and since <= it.at <= end

        found = [it.shown(home.id, home.tenant) for it in self._state.activity.find(meets, now)]
        found = [it for it in found if fits(it, wanted)]
        start = self._start(call.option("$skipToken"))
        page = found[start : start + PAGE]
        body: dict[str, Any] = {"value": [self._selected(it, call.option("$select")) for it in page]}
        if start + PAGE < len(found):
            rest = "&".join(f"{name}={value}" for name, value in call.request.query.items() if name != "$skipToken")
            body["nextLink"] = f"https://management.azure.com{call.request.path}?{rest}&$skipToken={start + PAGE}"
        return Reply(200, body, JSON)

    @staticmethod
    def _start(token: str) -> int:
        if token and not token.isdecimal():
            raise _refused("The skip token cannot be read.")
        return int(token or 0)

    @staticmethod
    def _selected(shown: dict[str, Any], select: str) -> dict[str, Any]:
        names = {it.strip() for it in select.split(",") if it.strip()}
        if unknown := sorted(names - set(shown)):
            raise not_modelled(f"$select of {', '.join(unknown)} in the activity log")
        return {name: value for name, value in shown.items() if not names or name in names}
