"""Device codes: what a terminal waits for while a person signs in elsewhere."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from azure_sandbox.clock import Clock
from azure_sandbox.http import Problem

ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
LIFETIME = 900  # seconds
Answer = TypeVar("Answer")


@dataclass(slots=True, kw_only=True)
class DeviceCode(Generic[Answer]):
    """One sign-in that was begun; times are real seconds. `answer` is who came of it, `refused` why nobody did."""

    user_code: str
    device_code: str
    client: str
    expires_at: datetime
    interval: int = 1  # Entra says 5
    answer: Answer | None = None
    refused: Problem | None = None

    @property
    def waiting(self) -> bool:
        """Whether nobody has entered the code yet."""
        return self.answer is None and self.refused is None


class DeviceCodes(Generic[Answer]):
    """All of them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._codes: dict[str, DeviceCode[Answer]] = {}

    @staticmethod
    def secret() -> str:
        """A fresh opaque token."""
        return secrets.token_urlsafe(48)

    def begin(self, client: str) -> DeviceCode[Answer]:
        """Begin a sign-in."""
        begun = DeviceCode[Answer](
            user_code="".join(secrets.choice(ALPHABET) for _ in range(9)),
            device_code=self.secret(),
            client=client,
            expires_at=self._clock.now() + timedelta(seconds=LIFETIME),
        )
        self._codes[begun.device_code] = begun
        return begun

    def entered(self, user_code: str) -> DeviceCode[Answer] | None:
        """The sign-in that waits for this code."""
        wanted, now = user_code.strip().upper(), self._clock.now()
        return next(
            (it for it in self._codes.values() if it.waiting and it.user_code == wanted and now < it.expires_at), None
        )

    def find(self, device_code: str) -> DeviceCode[Answer] | None:
        """The sign-in that a terminal polls for."""
        return self._codes.get(device_code)

    def spend(self, code: DeviceCode[Answer]) -> None:
        """It has been answered."""
        self._codes.pop(code.device_code, None)
