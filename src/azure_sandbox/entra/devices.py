"""Device codes: what a terminal waits for while a person signs in elsewhere."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto

from azure_sandbox.clock import Clock

ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"


class Pending(Enum):
    """Why a device code gives no token."""

    UNKNOWN = auto()
    EXPIRED = auto()
    WAITING = auto()


@dataclass(slots=True, kw_only=True)
class DeviceCode:
    """One sign-in that was begun; times are real seconds."""

    user_code: str
    device_code: str
    expires_at: datetime
    lifetime: int = 900
    interval: int = 1  # Entra says 5
    approved_by: str | None = None


class DeviceCodes:
    """All of them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._codes: dict[str, DeviceCode] = {}

    @staticmethod
    def secret() -> str:
        """A fresh opaque token."""
        return secrets.token_urlsafe(48)

    def begin(self) -> DeviceCode:
        """Begin a sign-in."""
        user_code = "".join(secrets.choice(ALPHABET) for _ in range(9))
        expires_at = self._clock.now() + timedelta(seconds=900)
        begun = DeviceCode(user_code=user_code, device_code=self.secret(), expires_at=expires_at)
        self._codes[begun.device_code] = begun
        return begun

    def approve(self, user_code: str, object_id: str) -> bool:
        """A person entered the code; whether there was such a code."""
        now = self._clock.now()
        wanted = user_code.strip().upper()
        found = next((it for it in self._codes.values() if it.user_code == wanted and now < it.expires_at), None)
        if found is None:
            return False
        found.approved_by = object_id
        return True

    def redeem(self, device_code: str) -> str | Pending:
        """The object id of who approved, once; or why there is nobody yet."""
        found = self._codes.get(device_code)
        if found is None:
            return Pending.UNKNOWN
        if self._clock.now() >= found.expires_at:
            return Pending.EXPIRED
        if found.approved_by is None:
            return Pending.WAITING
        del self._codes[device_code]
        return found.approved_by
