"""How a person signs in by themselves for a command: a public client of theirs, by device code or in a browser."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from aks_entra.cli import output

if TYPE_CHECKING:
    from aks_entra.access_ports import PersonSpec


class Way(StrEnum):
    """In kubelogin's words."""

    DEVICE_CODE = "devicecode"
    INTERACTIVE = "interactive"


ClientId = Annotated[
    str,
    typer.Option(
        "--client-id",
        metavar="ID",
        envvar="AKS_ENTRA_PERSON_CLIENT_ID",
        help="Sign in yourself, to this public client. Default: who `az login` left.",
        show_default=False,
    ),
]
TenantId = Annotated[
    str,
    typer.Option(
        "--tenant-id", metavar="ID", help="Of that sign-in. Default: AZURE_TENANT_ID, else any.", show_default=False
    ),
]
Login = Annotated[Way, typer.Option("--login", help="How: a code to enter elsewhere, or a browser here.")]


def person(client_id: str, tenant_id: str, login: Way) -> PersonSpec | None:
    """Who signs in by themselves; None: whoever is signed in already."""
    if not client_id:
        return None
    from aks_entra.access_ports import PersonSpec  # noqa: PLC0415 - startup is quick without it

    return PersonSpec(
        client_id=client_id,
        tenant_id=tenant_id,
        login="interactive" if login is Way.INTERACTIVE else "devicecode",
        tell=output.say,
    )
