"""Signs a person in with an authorization code and PKCE, for nothing but an ID token with a given `nonce`.

azure-identity and MSAL's applications choose the nonce themselves, so this uses the OAuth client inside of MSAL.
Source: https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow.
"""

from __future__ import annotations

import os
import threading
import warnings
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlsplit

from msal.oauth2cli.authcode import AuthCodeReceiver
from msal.oauth2cli.oauth2 import Client

from aks_entra.adapters.http.network import BUNDLES
from aks_entra.errors import Refused

if TYPE_CHECKING:
    from aks_entra.core.planning.approvers import Approvers
    from aks_entra.ports.approvals import Browser

LOGIN: Final = "login.microsoftonline.com"
TIMEOUT: Final = 600
"""Seconds that a person has to sign in."""
_PASTED_REDIRECT: Final = "http://localhost"
_ASK: Final = {"scope": ["openid", "profile"], "prompt": "select_account"}


def id_token(approvers: Approvers, nonce: str, browser: Browser) -> str:
    """Return an ID token of the approvers' application. Blocks until a person signed in.

    Raises Refused if Entra refuses the person, or nobody signs in within `TIMEOUT`.
    """
    base = f"https://{LOGIN}/{approvers.tenant_id}/oauth2/v2.0"
    trusted = next((found for name in (*BUNDLES, "SSL_CERT_FILE") if (found := os.environ.get(name))), True)
    client = Client(
        {"authorization_endpoint": f"{base}/authorize", "token_endpoint": f"{base}/token"},
        approvers.client_id,
        verify=trusted,
        timeout=60,
    )
    flow, answer = _here(client, nonce, browser) if browser.pasted is None else _elsewhere(client, nonce, browser)
    try:
        result: dict[str, Any] = client.obtain_token_by_auth_code_flow(flow, answer)
    except ValueError as error:
        raise Refused(
            "the answer of Microsoft Entra ID belongs to another sign-in", remedy="sign in again", code="StateMismatch"
        ) from error
    except OSError as error:  # also what the HTTP client of MSAL raises
        raise Refused(f"{LOGIN} did not answer: {type(error).__name__}", remedy="check the network") from error
    if "id_token" not in result:
        said = str(result.get("error_description") or result.get("error") or "it returned no ID token")
        raise Refused(
            f"Microsoft Entra ID did not sign the person in: {said.partition(' Trace ID:')[0]}",
            remedy="`aks-entra approvals setup` prints the app registration that is needed",
            code=said.partition(":")[0] if said.startswith("AADSTS") else "",
        )
    return str(result["id_token"])


def _here(client: Any, nonce: str, browser: Browser) -> tuple[dict[str, Any], dict[str, Any]]:
    """Open a browser on this machine, and wait for its answer on a loopback address."""
    with AuthCodeReceiver(port=0) as receiver:
        address = f"http://localhost:{receiver.get_port()}"
        flow = client.initiate_auth_code_flow(redirect_uri=address, response_mode="form_post", nonce=nonce, **_ASK)
        browser.tell(f"Sign in with a browser on this machine: {flow['auth_uri']}")
        threading.Thread(target=browser.open, args=(flow["auth_uri"],), name="browser", daemon=True).start()
        answer = receiver.get_auth_response(state=flow["state"], timeout=TIMEOUT)
    if not answer:
        raise Refused("nobody signed in within ten minutes", remedy="type the command again; --no-browser for a paste")
    return flow, answer


def _elsewhere(client: Any, nonce: str, browser: Browser) -> tuple[dict[str, Any], dict[str, Any]]:
    """Let the person sign in with a browser anywhere, and read the address at which it ended."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # MSAL prefers form_post, of which an address bar shows nothing
        flow = client.initiate_auth_code_flow(redirect_uri=_PASTED_REDIRECT, response_mode="query", nonce=nonce, **_ASK)
    browser.tell(f"Sign in with any browser: {flow['auth_uri']}")
    browser.tell("It ends at a page that does not load. Paste the address of that page here.")
    answer = dict(parse_qsl(urlsplit((browser.pasted or str)().strip()).query))
    if not answer.get("code") and not answer.get("error"):
        raise Refused("this is not the address at which the browser ended", remedy="paste it whole, from http:// on")
    return flow, answer
