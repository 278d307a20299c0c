"""One call to Graph as its handlers see it: the request, the caller, and the directory as a read sees it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from azure_sandbox.entra.directory import Directory, Group
from azure_sandbox.front.http import Problem, Reply, Request
from azure_sandbox.graph import errors
from azure_sandbox.graph.access import Caller

_REFERENCE = re.compile(
    r"^(?:https?://[^/]+/(?:v1\.0|beta)/+|/)?(?:(?:directoryObjects|users|groups|servicePrincipals)/)?"
    r"(?P<id>[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})/?$"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """An authenticated call. The handlers check its permissions."""

    request: Request
    caller: Caller
    directory: Directory

    def visible(self, group: Group) -> bool:
        """Return whether a read sees the group already."""
        return group.visible_at <= self.request.now

    def seen(self, group: Group) -> Group | None:
        """Return a group as a read sees it, or None if the read does not see it or sees it as deleted."""
        shown = group.seen(self.request.now)
        return shown if self.visible(group) and shown.deleted_at is None else None

    def group(self, group_id: str) -> Group:
        """Return a group by id, for a write; raises 404 if it does not exist or is not visible yet."""
        group = self.directory.group(group_id)
        if group is None or not self.visible(group):
            raise errors.not_found(group_id)
        return group

    def read_group(self, group_id: str) -> Group:
        """Return a group by id as a read sees it; raises 404. A deleted group is visible until the delay has passed."""
        group = self.directory.principal(group_id)
        shown = self.seen(group) if isinstance(group, Group) else None
        if shown is None:
            raise errors.not_found(group_id)
        return shown

    def live(self, shown: Group) -> Group:
        """Return the group behind what a read sees, because its members replicate separately."""
        found = self.directory.principal(shown.id)
        return found if isinstance(found, Group) else shown

    def groups(self) -> list[Group]:
        """Return every group that a read sees, as the read sees it."""
        return [shown for it in self.directory.every_group() if (shown := self.seen(it)) is not None]

    def json(self) -> dict[str, Any]:
        """Return the body; raises Graph's 400 unless it is a JSON object."""
        try:
            return self.request.json()
        except Problem as error:
            raise errors.problem(400, "BadRequest", "Unable to read JSON request payload.") from error


CallHandler = Callable[..., Awaitable[Reply]]


def referenced(call: Call, url: object) -> str:
    """Return the id in an `@odata.id`; raises 400 for a malformed reference, 404 for an unknown object."""
    match = _REFERENCE.match(url) if isinstance(url, str) else None
    if match is None:
        raise errors.bad_request(f"Invalid object reference: {url!r}; expected .../v1.0/directoryObjects/<id>.")
    principal = call.directory.principal(match["id"])
    if principal is None or (isinstance(principal, Group) and not _seen(call, principal)):
        raise errors.not_found(match["id"])
    return principal.id


def _seen(call: Call, group: Group) -> bool:
    return group.deleted_at is None and call.visible(group)


def string_list(body: dict[str, Any], name: str, *, most: int) -> list[str]:
    """Return a list of up to `most` strings from a body; raises 400 for any other value."""
    values = body.get(name)
    if not isinstance(values, list) or not all(isinstance(it, str) for it in values):
        raise errors.bad_request(f"Invalid value specified for parameter '{name}': a list of strings is expected.")
    if len(values) > most:
        raise errors.bad_request(f"The number of values in '{name}' exceeds the limit of {most}.")
    return values
