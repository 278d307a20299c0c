"""The automations that tell people what happened: those of `deployments/automations`, with notification blocks.

The files have a placeholder where an action names its block. `aks-entra deploy --notify` repeats the action for each
block. A tag in the files says whose the automations are: only automations with that tag are changed or removed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import BlockDocument
from prefect.events import filters
from prefect.events.actions import SendNotification
from prefect.events.schemas.automations import Automation as Stored
from prefect.events.schemas.automations import AutomationCore
from prefect.exceptions import ObjectNotFound
from ruamel.yaml import YAML

from aks_entra.core.deployments import Automation, Change
from aks_entra.errors import Refused
from aks_entra.host.runbooks import INSTALLATION
from aks_entra.prefect_client import automations, names

TAG: Final = "aks-entra-notification"
"""The tag of the automations that `aks-entra deploy --notify` makes."""
PLACEHOLDER: Final = UUID(int=0)
"""The id of the block in the files."""
FOLDER: Final = INSTALLATION / "deployments" / "automations"
_PAGE: Final = 200


def in_files() -> tuple[AutomationCore, ...]:
    """Return the automations of `deployments/automations`, with the placeholder for the block."""
    yaml = YAML(typ="safe", pure=True)
    read = [one for file in sorted(FOLDER.glob("*.yaml")) for one in yaml.load(file)["automations"]]
    return tuple(AutomationCore.model_validate(one) for one in read)


def with_blocks(one: AutomationCore, blocks: Sequence[UUID]) -> AutomationCore:
    """Return an automation whose messages go to each of these blocks."""
    actions: list[Any] = []
    for action in one.actions:
        if isinstance(action, SendNotification):
            actions += [action.model_copy(update={"block_document_id": block}) for block in blocks]
        else:
            actions.append(action)
    return one.model_copy(update={"actions": actions})


def as_shown(one: AutomationCore, called: Mapping[UUID, str]) -> Automation:
    """Return an automation as people compare it. `called`: the names of the blocks, by id."""
    told = [action for action in one.actions if isinstance(action, SendNotification)]
    bare = automations.essence(with_blocks(one, ()))
    messages = sorted({(action.subject, action.body) for action in told})
    content = json.dumps([bare, messages], sort_keys=True)
    return Automation(
        name=one.name,
        events=tuple(bare["trigger"]["expect"]),
        blocks=tuple(sorted(called[action.block_document_id] for action in told)),
        description=one.description,
        content=hashlib.sha256(content.encode()).hexdigest()[:8],
    )


async def wanted(blocks: Sequence[str]) -> tuple[Automation, ...]:
    """Return the automations that tell these blocks (`slack-webhook/ops`).

    Raises:
        Refused: a block is not there or cannot notify, or somebody else's automation has one of the names.
    """
    async with get_client() as client:
        found = {one.id: name for name, one in (await _resolved(client, blocks)).items()}
        made = in_files()
        for name in (one.name for one in made):
            if any(TAG not in one.tags for one in await client.read_automations_by_name(name)):
                raise Refused(
                    f"an automation {name!r} exists, and `aks-entra deploy` did not make it",
                    remedy=f"rename it, delete it, or give it the tag {TAG}",
                )
    return tuple(as_shown(with_blocks(one, tuple(found)), found) for one in made)


async def found() -> tuple[Automation, ...]:
    """Return the automations with our tag."""
    async with get_client() as client:
        there = await _tagged(client)
        used = {
            action.block_document_id for one in there for action in one.actions if isinstance(action, SendNotification)
        }
        called = {block: await _name_of(client, block) for block in used}
    return tuple(as_shown(one, called) for one in there)


async def apply(change: Change) -> None:
    """Carry out one change. Raises Rejected, with the server's reason, if Prefect's server does not accept it."""
    async with get_client() as client:
        there = [one for one in await _tagged(client) if one.name == change.name]
        with automations.translated(change.name):
            if not isinstance(change.wanted, Automation):
                for one in there:
                    await client.delete_automation(one.id)
                return
            blocks = [one.id for one in (await _resolved(client, change.wanted.blocks)).values()]
            (meant,) = (with_blocks(one, blocks) for one in in_files() if one.name == change.name)
            if there:
                await automations.update(client, there[0], meant)
            else:
                await client.create_automation(meant)


async def switched_off() -> tuple[str, ...]:
    """Return the automations with our tag that a person switched off."""
    async with get_client() as client:
        return tuple(one.name for one in await _tagged(client) if not one.enabled)


async def pages() -> dict[str, str]:
    """Return the pages of the automations with our tag in Prefect's UI, by name."""
    async with get_client() as client:
        return {one.name: names.automation_page(one.id) for one in await _tagged(client)}


async def _tagged(client: PrefectClient) -> list[Stored]:
    ours = filters.AutomationFilter(tags=filters.AutomationFilterTags(all_=[TAG]))
    read: list[Stored] = []
    while True:
        page = await client.read_automations(automations=ours, limit=_PAGE, offset=len(read))
        read += page
        if len(page) < _PAGE:
            return sorted(read, key=lambda one: (one.name, one.id))


async def _resolved(client: PrefectClient, blocks: Sequence[str]) -> dict[str, BlockDocument]:
    """Return the blocks by their names. Raises Refused for one that is not there or cannot notify."""
    return {name: await _resolve(client, name) for name in dict.fromkeys(blocks)}


async def _resolve(client: PrefectClient, name: str) -> BlockDocument:
    kind, _, called = name.partition("/")
    try:
        block = await client.read_block_document_by_name(called, kind, include_secrets=False)
    except ObjectNotFound:
        raise Refused(
            f"--notify {name}: the Prefect server has no such block",
            remedy=f"`prefect block ls` lists the blocks; to make it: {names.new_block_page(kind)}, with the name "
            f"{called} (`prefect block type ls` lists the types)",
        ) from None
    if block.block_schema is None or "notify" not in block.block_schema.capabilities:
        raise Refused(
            f"--notify {name}: a block of type {kind} cannot notify",
            remedy="name a block of another type: slack-webhook, ms-teams-webhook, sendgrid-email, custom-webhook",
        )
    return block


async def _name_of(client: PrefectClient, block: UUID) -> str:
    try:
        found = await client.read_block_document(block, include_secrets=False)
    except ObjectNotFound:
        return f"block {str(block)[:8]}, which is not there"
    return f"{found.block_type.slug if found.block_type else found.block_type_name}/{found.name}"
