"""What this program does with every automation of its own at Prefect's server: compare, update, explain a refusal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prefect.client.orchestration import PrefectClient
from prefect.events.schemas.automations import Automation, AutomationCore
from prefect.exceptions import PrefectHTTPStatusError

from aks_entra.errors import Rejected


async def update(client: PrefectClient, there: Automation, wanted: AutomationCore) -> None:
    """Change an automation. One that a person switched off stays off."""
    content = wanted.model_dump(exclude={"owner_resource"})  # the server refuses an update that contains it
    await client.update_automation(there.id, AutomationCore.model_validate({**content, "enabled": there.enabled}))


def essence(one: AutomationCore) -> dict[str, Any]:
    """Return what an automation waits for and what it does. Two automations that do the same are equal."""
    shown = one.model_dump(mode="json", include={"trigger", "actions"})
    shown["trigger"].pop("id", None)
    for name in ("after", "expect", "for_each"):  # sets: their order means nothing
        shown["trigger"][name] = sorted(shown["trigger"].get(name, ()))
    return shown


@contextmanager
def translated(name: str) -> Iterator[None]:
    """Raise Rejected, with the server's reason, if Prefect's server does not accept a deployment or an automation."""
    try:
        yield
    except PrefectHTTPStatusError as error:
        said = error.response.json().get("detail") if "json" in error.response.headers.get("content-type", "") else ""
        raise Rejected(
            f"{name}: Prefect's server answered {error.response.status_code}{f': {said}' if said else ''}",
            remedy="correct it, then run `aks-entra deploy` again: it goes on where this one ended",
        ) from error
