"""The tags of a cluster or a resource group, read and written apart from the resource."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from azure_sandbox.arm.containerservice.validation import mapping
from azure_sandbox.arm.errors import front, not_modelled
from azure_sandbox.arm.front_door import Call, FrontDoor
from azure_sandbox.arm.state import CLUSTER_TYPE, ManagedCluster, ResourceGroup, State
from azure_sandbox.front.http import Reply

TAGS = "/{scope:path}/providers/Microsoft.Resources/tags/default"
MOST = 50
Tags = dict[str, str]


def _without(held: Tags, sent: Tags) -> Tags:
    return {name: value for name, value in held.items() if name not in sent or sent[name] not in ("", value)}


OPERATIONS: dict[str, Callable[[Tags, Tags], Tags]] = {
    "replace": lambda _, sent: sent,
    "merge": lambda held, sent: held | sent,
    "delete": _without,
}


class TagRoutes:
    """Read, replace and patch tags. Other scopes than clusters and resource groups are answered with 501."""

    def __init__(self, door: FrontDoor) -> None:
        self._state: State = door.state
        act, scope = "Microsoft.Resources/tags/", "/{scope}"
        door.add("GET", TAGS, self._get, scope=scope, action=act + "read")
        door.add("PUT", TAGS, self._put, scope=scope, action=act + "write")
        door.add("PATCH", TAGS, self._patch, scope=scope, action=act + "write")

    def _target(self, scope: str) -> ManagedCluster | ResourceGroup:
        provider, kind = CLUSTER_TYPE.lower().split("/")
        match scope.lower().split("/"):
            case ["subscriptions", subscription, "resourcegroups", group]:
                return self._state.group(subscription, group)
            case ["subscriptions", subscription, "resourcegroups", group, "providers", namespace, resource, name] if (
                namespace,
                resource,
            ) == (provider, kind):
                return self._state.cluster(subscription, group, name)
            case _:
                raise not_modelled(f"the tags of /{scope}")

    @staticmethod
    def _held(target: ManagedCluster | ResourceGroup) -> Tags:
        return dict((target.tags if isinstance(target, ResourceGroup) else target.document.get("tags")) or {})

    def _shown(self, target: ManagedCluster | ResourceGroup) -> Reply:
        properties: dict[str, Any] = {"tags": self._held(target)}
        shown = {"id": f"{target.id}/providers/Microsoft.Resources/tags/default", "name": "default"}
        return Reply(200, {**shown, "type": "Microsoft.Resources/tags", "properties": properties})

    def _keep(self, target: ManagedCluster | ResourceGroup, tags: Tags) -> Reply:
        if len(tags) > MOST:
            text = f"The number of tags {len(tags)} exceeds the maximum number of allowed tags {MOST}."
            raise front(400, "TagsLimitExceeded", text)
        if isinstance(target, ResourceGroup):
            target.tags = tags
        else:
            target.document = {**target.document, "tags": tags}
            target.touch()
        return self._shown(target)

    async def _get(self, _: Call, scope: str) -> Reply:
        return self._shown(self._target(scope))

    async def _put(self, call: Call, scope: str) -> Reply:
        return self._keep(self._target(scope), _sent(call))

    async def _patch(self, call: Call, scope: str) -> Reply:
        target = self._target(scope)
        name = str(call.request.json().get("operation"))
        change = OPERATIONS.get(name.lower())
        if change is None:
            text = f"The tags operation '{name}' is not valid. It is one of 'Replace', 'Merge' and 'Delete'."
            raise front(400, "InvalidTagsOperation", text)
        return self._keep(target, change(self._held(target), _sent(call)))


def _sent(call: Call) -> Tags:
    properties = mapping(call.request.json().get("properties"), "properties")
    return {name: str(value) for name, value in mapping(properties.get("tags"), "properties.tags").items()}
