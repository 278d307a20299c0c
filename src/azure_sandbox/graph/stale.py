"""The values that reads still see after a write, because Graph's replicas lag behind."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from azure_sandbox.clock import Clock

Value = TypeVar("Value")


class Stale(Generic[Value]):
    """The old values of a collection, which reads see until the delay since the write has passed."""

    def __init__(self, clock: Clock, delay: timedelta) -> None:
        self._clock = clock
        self._delay = delay
        self._before: dict[str, tuple[datetime, Value | None]] = {}

    def write(self, values: MutableMapping[str, Value], key: str, value: Value | None) -> None:
        """Set a value, or remove it (None); reads see the old value until the delay has passed."""
        if self._delay:
            self._before[key] = (self._clock.now() + self._delay, self.view(values).get(key))
        if value is None:
            values.pop(key, None)
        else:
            values[key] = value

    def view(self, values: Mapping[str, Value]) -> dict[str, Value]:
        """Return the values that a read sees now."""
        now, seen = self._clock.now(), dict(values)
        for key, (until, before) in list(self._before.items()):
            if now >= until:
                del self._before[key]
            elif before is None:
                seen.pop(key, None)
            else:
                seen[key] = before
        return seen
