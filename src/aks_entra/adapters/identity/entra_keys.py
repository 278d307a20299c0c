"""The keys of Microsoft Entra ID that are trusted: those that it publishes now, or those in a file, and no others."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, Protocol

import jwt
from azure.core import AsyncPipelineClient
from azure.core.pipeline.policies import AsyncRetryPolicy
from azure.core.rest import HttpRequest

from aks_entra.adapters.http.failures import azure
from aks_entra.adapters.http.network import OwnHostOnly, Web
from aks_entra.adapters.identity.browser_sign_in import LOGIN
from aks_entra.core.durations import stamp
from aks_entra.core.entra_keys import SETTING, URL, PublishedKey, renewal
from aks_entra.core.storable import canonical
from aks_entra.errors import Refused

_ANY_TENANT: Final = "{tenantid}"
"""What the `issuer` of a key says in place of a tenant, if the key signs tokens of all organisations."""
_READ_AGAIN: Final = timedelta(hours=1)
"""After which time the published keys are read again, so that a key that Entra withdrew stops counting.

Source of both times: https://learn.microsoft.com/entra/identity-platform/signing-key-rollover, "Best practices".
"""
_FOR_UNKNOWN: Final = timedelta(minutes=5)
"""How old the published keys have to be before they are read again for an unknown key id.

Anybody may store a document with an unknown key id, so such a document must not cost a request each time.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedKeys:
    """Entra's keys for one tenant (JWK), by key id. `refusal`: why a signature with another key does not count.

    `published`: the same keys with the place and time of their reading, if they were read from Entra.
    """

    keys: Mapping[str, dict[str, Any]]
    refusal: str
    published: Mapping[str, PublishedKey] = field(default_factory=dict)


class Keys(Protocol):
    """Where the trusted keys come from."""

    async def of(self, tenant: str, ids: Iterable[str] = ()) -> TrustedKeys:
        """Return the keys of a tenant. `ids`: the key ids that the caller looks for; the answer may lack some of them.

        Raises Refused or TryLater if the keys cannot be read.
        """


class PublishedKeys:
    """The keys that Entra publishes. They are kept for each tenant, and read again as Microsoft advises."""

    def __init__(self, web: Web, now: Callable[[], datetime]) -> None:
        self._web = web
        self._now = now
        self._read: dict[str, tuple[datetime, TrustedKeys]] = {}
        self._reading = asyncio.Lock()

    async def of(self, tenant: str, ids: Iterable[str] = ()) -> TrustedKeys:
        """Return the keys with which Entra signs tokens of a tenant now. An unknown id has them read again."""
        wanted = frozenset(ids)
        async with self._reading:
            kept = self._read.get(tenant)
            if kept is None or self._now() - kept[0] >= (
                _READ_AGAIN if wanted <= kept[1].keys.keys() else _FOR_UNKNOWN
            ):
                kept = self._read[tenant] = (self._now(), await self._published(tenant))
        return kept[1]

    async def _published(self, tenant: str) -> TrustedKeys:
        policies = [OwnHostOnly(LOGIN), AsyncRetryPolicy()]
        client: AsyncPipelineClient[Any, Any] = AsyncPipelineClient(
            f"https://{LOGIN}", transport=self._web.transport(), policies=policies
        )
        doing = "read the keys with which Microsoft Entra ID signs"
        with azure(doing, host=LOGIN):
            response = await client.send_request(HttpRequest("GET", URL.format(tenant=tenant)))
            response.raise_for_status()
            await response.read()
        try:
            keys = {str(one["kid"]): one for one in response.json()["keys"]}
        except (ValueError, KeyError, TypeError) as error:
            raise Refused(f"could not {doing}: the answer is no list of keys", code="MalformedKeys") from error
        url, at = URL.format(tenant=tenant), stamp(self._now())
        return TrustedKeys(
            keys=keys,
            refusal="Microsoft Entra ID does not publish the key that signed its ID token",
            published={
                kid: PublishedKey(tenant_id=tenant, kid=kid, url=url, key=canonical(key), seen_at=at)
                for kid, key in keys.items()
            },
        )


class KeysInFile:
    """The keys in a file that an operator keeps. No request is made for them.

    The file is read each time, so that a renewed one counts at once.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    async def of(self, tenant: str, ids: Iterable[str] = ()) -> TrustedKeys:  # noqa: ARG002 - no other place is asked
        """Return the keys of the file that sign tokens of a tenant. A key with another tenant's issuer is left out."""
        keys = {str(one["kid"]): one for one in keys_in(self._file) if _signs_for(tenant, one)}
        return TrustedKeys(
            keys=keys,
            refusal=f"the key that signed the ID token is not in {self._file}, which {SETTING} names; if Entra "
            f"publishes it, {renewal(str(self._file), tenant)}",
        )


def keys_in(file: Path) -> tuple[dict[str, Any], ...]:
    """Return the keys of a file in the format of Entra's answer (RFC 7517). Raises Refused if one cannot be read."""
    remedy = renewal(str(file))
    try:
        found = tuple(json.loads(file.read_text(encoding="utf-8"))["keys"])
        for one in found:
            _check(one)
    except OSError as error:
        raise Refused(f"{SETTING}={file}: the file cannot be read: {error.strerror}", remedy=remedy) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, jwt.PyJWTError) as error:
        raise Refused(
            f"{SETTING}={file}: the file holds no set of RSA keys with `kid`: {type(error).__name__}",
            remedy=remedy,
            code="MalformedKeys",
        ) from None
    if not found:
        raise Refused(f"{SETTING}={file}: the file holds no key", remedy=remedy, code="MalformedKeys")
    return found


def _check(key: Any) -> None:
    """Raise an error unless this is an RSA key with an id."""
    jwt.PyJWK(key, algorithm="RS256")
    if not isinstance(key["kid"], str) or not isinstance(key.get("issuer", ""), str):
        raise TypeError("`kid` and `issuer` have to be texts")


def _signs_for(tenant: str, key: Mapping[str, Any]) -> bool:
    """Whether a key signs tokens of a tenant. The file may be of an endpoint for several tenants (`common`)."""
    issuer = str(key.get("issuer", "")).lower()
    return not issuer or _ANY_TENANT in issuer or tenant.lower() in issuer
