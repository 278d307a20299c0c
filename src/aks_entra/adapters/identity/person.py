"""Signs a person in to Microsoft Graph with a public client of their tenant, by device code or in a browser.

The Azure CLI's token has no permission for Privileged Identity Management, so the person names a client application
with consented permissions. The token is kept only in this process's memory.
"""

from __future__ import annotations

import asyncio
import os
import threading
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from azure.identity import CredentialUnavailableError, DeviceCodeCredential, InteractiveBrowserCredential

from aks_entra.adapters.http.network import BUNDLES
from aks_entra.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from azure.core.credentials import AccessToken

    from aks_entra.ports.access import PersonSpec

ANY_TENANT: Final = "organizations"
_T = TypeVar("_T")


class PersonCredential:
    """An asynchronous credential around an interactive credential of azure-identity, which is synchronous.

    A person may take minutes to sign in. A daemon thread waits, so that the process can end at any time.
    """

    def __init__(self, spec: PersonSpec) -> None:
        self._turn = asyncio.Lock()
        tenant = spec.tenant_id or os.environ.get("AZURE_TENANT_ID") or ANY_TENANT
        options: dict[str, Any] = {"client_id": spec.client_id, "tenant_id": tenant, **_trusted()}
        try:
            self._inner = (
                InteractiveBrowserCredential(**options)
                if spec.login == "interactive"
                else DeviceCodeCredential(prompt_callback=_device_code_prompt(spec), **options)
            )
        except ValueError as err:
            raise Refused(f"this sign-in cannot be used: {err}", code="CredentialUnavailable") from err

    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        """Return a token. The first call asks the person to sign in, and other calls wait for it.

        Every call enables continuous access evaluation (CAE), as Graph's client does. azure-identity keeps a separate
        cache for CAE tokens, so a call without CAE would ask the person again.
        """
        options["enable_cae"] = True
        async with self._turn:
            return await in_own_thread(lambda: self._inner.get_token(*scopes, **options))

    async def close(self) -> None:
        """Close the connection."""
        self._inner.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _device_code_prompt(spec: PersonSpec) -> Callable[[str, str, object], None]:
    def prompt(address: str, code: str, _expires: object) -> None:
        spec.tell(f"To sign in, use a web browser to open the page {address} and enter the code {code}")

    return prompt


def _trusted() -> dict[str, str]:
    """Return options that name SSL_CERT_FILE, which azure-identity's synchronous credentials do not read."""
    bundle = "" if any(os.environ.get(one) for one in BUNDLES) else os.environ.get("SSL_CERT_FILE", "")
    return {"connection_verify": bundle} if bundle else {}


async def in_own_thread(work: Callable[[], _T]) -> _T:
    """Wait for work in a daemon thread of its own, so that the process can end while a person takes minutes."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[_T] = loop.create_future()

    def settle(token: _T | None, error: BaseException | None) -> None:
        if not done.done():
            if token is None:
                done.set_exception(error or CredentialUnavailableError("no token"))
            else:
                done.set_result(token)

    def run() -> None:
        token, error = None, None
        try:
            token = work()
        except BaseException as err:  # noqa: BLE001 - raised again in the coroutine that waits
            error = err
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, token, error)

    threading.Thread(target=run, name="sign-in", daemon=True).start()
    return await done
