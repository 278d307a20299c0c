"""A person's own sign-in at Microsoft Graph, through a public client of theirs: by device code or in a browser.

The Azure CLI's token carries no permission for Privileged Identity Management, so an application that was consented
to them is named. The token lives in this process's memory and ends with it.
"""

from __future__ import annotations

import asyncio
import os
import threading
from typing import TYPE_CHECKING, Any, Final, Self

from azure.identity import CredentialUnavailableError, DeviceCodeCredential, InteractiveBrowserCredential

from aks_entra.adapters.network import BUNDLES
from aks_entra.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from azure.core.credentials import AccessToken

    from aks_entra.access_ports import PersonSpec

ANY_TENANT: Final = "organizations"


class PersonCredential:
    """An asynchronous credential on one of azure-identity's interactive ones, which are synchronous only.

    A person takes minutes: the waiting is done in a thread that does not hold the process back when it is to end.
    """

    def __init__(self, spec: PersonSpec) -> None:
        self._turn = asyncio.Lock()
        tenant = spec.tenant_id or os.environ.get("AZURE_TENANT_ID") or ANY_TENANT
        options: dict[str, Any] = {"client_id": spec.client_id, "tenant_id": tenant, **_trusted()}
        try:
            self._inner = (
                InteractiveBrowserCredential(**options)
                if spec.login == "interactive"
                else DeviceCodeCredential(prompt_callback=_told(spec), **options)
            )
        except ValueError as err:
            raise Refused(f"this sign-in cannot be used: {err}", code="CredentialUnavailable") from err

    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        """A token; the first call asks the person to sign in, and the others wait for it.

        All of them say that they understand continuous access evaluation, as Graph's own client does: azure-identity
        keeps a cache of its own for those, and would ask the person a second time for the rest.
        """
        options["enable_cae"] = True
        async with self._turn:
            return await _aside(lambda: self._inner.get_token(*scopes, **options))

    async def close(self) -> None:
        """Let go of the connection."""
        self._inner.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _told(spec: PersonSpec) -> Callable[[str, str, object], None]:
    def prompt(address: str, code: str, _expires: object) -> None:
        spec.tell(f"To sign in, use a web browser to open the page {address} and enter the code {code}")

    return prompt


def _trusted() -> dict[str, str]:
    """azure-identity's synchronous credentials do not read SSL_CERT_FILE by themselves."""
    bundle = "" if any(os.environ.get(one) for one in BUNDLES) else os.environ.get("SSL_CERT_FILE", "")
    return {"connection_verify": bundle} if bundle else {}


async def _aside(work: Callable[[], AccessToken]) -> AccessToken:
    loop = asyncio.get_running_loop()
    done: asyncio.Future[AccessToken] = loop.create_future()

    def settle(token: AccessToken | None, error: BaseException | None) -> None:
        if not done.done():
            if token is None:
                done.set_exception(error or CredentialUnavailableError("no token"))
            else:
                done.set_result(token)

    def run() -> None:
        token, error = None, None
        try:
            token = work()
        except BaseException as err:  # noqa: BLE001 - handed over to whoever waits
            error = err
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, token, error)

    threading.Thread(target=run, name="sign-in", daemon=True).start()
    return await done
