"""The options of a decision that is recorded (who, why, which ticket), and the name of the signed-in identity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from aks_entra.cli import output
from aks_entra.cli.deferred import wiring
from aks_entra.core.planning.rollout import needs_requester
from aks_entra.settings import Settings
from aks_entra.typed_text import LONGEST_APPROVER, LONGEST_REASON, LONGEST_TICKET, words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from aks_entra.core.planning.rollout import Gated, Soak
    from aks_entra.ports.migration import Caller


def at_most(longest: int) -> Callable[[typer.CallbackParam, str | None], str | None]:
    """Return the check of an option that is recorded, so that nobody signs in for what the form would refuse."""

    def check(param: typer.CallbackParam, value: str | None) -> str | None:
        with output.guarded():
            return value if value is None or value == param.default else words(param.opts[0], value, longest)

    return check


Approver = Annotated[
    str | None,
    typer.Option(
        "--approver",
        callback=at_most(LONGEST_APPROVER),
        metavar="NAME",
        help="Name of the person who decides. Default: the identity that is signed in.",
        show_default=False,
    ),
]
Reason = Annotated[
    str,
    typer.Option("--reason", callback=at_most(LONGEST_REASON), metavar="TEXT", help="Give the reason. It is recorded."),
]
Ticket = Annotated[
    str,
    typer.Option(
        "--ticket",
        callback=at_most(LONGEST_TICKET),
        metavar="ID",
        help="Give the number of the change ticket. It is recorded.",
        show_default=False,
    ),
]


async def signed_in() -> str:
    """Return the name of the identity that runs the command. An approval records it as a claim."""
    caller = await _caller()
    return caller.name or caller.object_id


async def requester_for(stages: Iterable[Gated], rotation: Soak | None) -> str:
    """Return the object id of the identity that starts a run, if somebody must not approve it. Empty if not needed."""
    return (await _caller()).object_id if needs_requester(stages, rotation) else ""


async def _caller() -> Caller:
    async with wiring.open_session(Settings()) as session:
        return await session.ports.callers.runner()
