"""Check whether Prefect's server accepts this process, and whether it accepts everybody."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

import httpx
from prefect.client.orchestration import PrefectClient
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import get_current_settings

from aks_entra.errors import Refused

_REFUSALS: Final = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
_PATIENCE: Final = 10.0  # seconds for one answer


async def require(client: PrefectClient, url: str) -> None:
    """Raise Refused, with what to export, if the server at `url` does not accept our authentication string."""
    try:
        await client.api_version()
    except PrefectHTTPStatusError as error:
        if error.response.status_code not in _REFUSALS:
            return  # other errors are reported by the request that follows
        sent = get_current_settings().api.auth_string is not None
        raise Refused(
            f"the Prefect server at {url} asks for authentication, and "
            + ("refuses PREFECT_API_AUTH_STRING" if sent else "PREFECT_API_AUTH_STRING is not set"),
            remedy="export the server's string: `aks-entra up` names the file that holds it, which only its user can "
            "read" + ("; or unset PREFECT_API_AUTH_STRING: then it is read from there" if sent else ""),
        ) from None


async def asks_for_authentication() -> bool | None:
    """Return whether the server refuses a request without a credential. None if it does not answer."""
    url = get_current_settings().api.url or ""
    try:
        async with httpx.AsyncClient(timeout=_PATIENCE) as stranger:
            answer = await stranger.get(f"{url.rstrip('/')}/admin/version")
    except (httpx.HTTPError, httpx.InvalidURL):
        return None
    return answer.status_code in _REFUSALS
