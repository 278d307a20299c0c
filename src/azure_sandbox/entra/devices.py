"""Device codes: a terminal polls while a user signs in elsewhere."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from azure_sandbox.clock import Clock
from azure_sandbox.front.http import Problem

DEVICE_FORM = "https://login.microsoftonline.com/common/oauth2/deviceauth"
ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
LIFETIME = 900  # seconds
Answer = TypeVar("Answer")


@dataclass(slots=True, kw_only=True)
class DeviceCode(Generic[Answer]):
    """A device-code sign-in that has begun. Times are real. `answer` is the result, `refused` the error."""

    user_code: str
    device_code: str
    client: str
    expires_at: datetime
    interval: int = 1  # Entra says 5
    answer: Answer | None = None
    refused: Problem | None = None

    @property
    def waiting(self) -> bool:
        """Return whether the code has not been entered yet."""
        return self.answer is None and self.refused is None


class DeviceCodes(Generic[Answer]):
    """The device codes that were issued, each of which can be redeemed once."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._codes: dict[str, DeviceCode[Answer]] = {}

    @staticmethod
    def secret() -> str:
        """Return a new opaque token."""
        return secrets.token_urlsafe(48)

    def begin(self, client: str) -> DeviceCode[Answer]:
        """Begin a sign-in for a client."""
        begun = DeviceCode[Answer](
            user_code="".join(secrets.choice(ALPHABET) for _ in range(9)),
            device_code=self.secret(),
            client=client,
            expires_at=self._clock.now() + timedelta(seconds=LIFETIME),
        )
        self._codes[begun.device_code] = begun
        return begun

    def entered(self, user_code: str) -> DeviceCode[Answer] | None:
        """Return the sign-in that waits for this user code. Returns None if the code is unknown."""
        wanted, now = user_code.strip().upper(), self._clock.now()
        return next(
            (it for it in self._codes.values() if it.waiting and it.user_code == wanted and now < it.expires_at), None
        )

    def find(self, device_code: str) -> DeviceCode[Answer] | None:
        """Return the sign-in with this device code. Returns None if the code is unknown."""
        return self._codes.get(device_code)

    def spend(self, code: DeviceCode[Answer]) -> None:
        """Mark a code as redeemed."""
        self._codes.pop(code.device_code, None)
