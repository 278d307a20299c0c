"""The options for a person who signs in for one command, by device code or in a browser."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from aks_entra.cli import output
from aks_entra.ports.access import PersonSpec


class Way(StrEnum):
    """Ways to sign in, as kubelogin names them."""

    DEVICE_CODE = "devicecode"
    INTERACTIVE = "interactive"


ClientId = Annotated[
    str,
    typer.Option(
        "--client-id",
        metavar="ID",
        envvar="AKS_ENTRA_PERSON_CLIENT_ID",
        help="Sign in yourself, through this public client. Default: the identity of `az login`.",
        show_default=False,
    ),
]
TenantId = Annotated[
    str,
    typer.Option(
        "--tenant-id",
        metavar="ID",
        help="Sign in to this tenant. Default: AZURE_TENANT_ID, or any tenant.",
        show_default=False,
    ),
]
Login = Annotated[Way, typer.Option("--login", help="Sign in with a device code, or in a browser on this machine.")]


def person(client_id: str, tenant_id: str, login: Way) -> PersonSpec | None:
    """Return who signs in for this command. None means the identity that is signed in already."""
    if not client_id:
        return None
    return PersonSpec(
        client_id=client_id,
        tenant_id=tenant_id,
        login="interactive" if login is Way.INTERACTIVE else "devicecode",
        tell=output.say,
    )
