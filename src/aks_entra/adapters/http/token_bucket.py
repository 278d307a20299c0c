"""One token bucket of Azure's, as this process may use it.

Azure's bucket is not visible. This one never holds more tokens than Azure's: a request that was sent and not yet
answered keeps its token, because Azure may count it at any time until then. So neither a slow network nor a stalled
event loop can make requests arrive closer together than Azure allows.
"""

from __future__ import annotations

import math
from typing import Final

_ONE: Final = 1 - 1e-9


class TokenBucket:
    """A token bucket: `burst` requests at once and `rate` more each second, of which this process has a `share`.

    All times are seconds of a clock that never goes back. `share` is between 0 and 1.
    """

    def __init__(self, burst: float, rate: float, *, now: float, share: float = 1.0) -> None:
        self.burst = burst
        self.rate = rate
        self.share = share
        self.in_flight = 0  # requests that were sent and not answered yet
        self._at = now
        self._blocked_until = now
        self._level = self._size()
        self._beyond = 0.0  # tokens that were taken while the share was larger, and that are not back yet

    def wait(self, now: float) -> float:
        """Return the seconds until there is a token. `math.inf`: not before an answer comes, or the share grows."""
        self._refill(now)
        if self._level >= _ONE:
            return max(0.0, self._blocked_until - now)
        if self.share <= 0 or self._size() - self.in_flight < 1:
            return math.inf
        return max(0.0, self._blocked_until - now) + (1 - self._level) / (self.rate * self.share)

    def take(self, now: float) -> None:
        """Take a token for a request that is sent now."""
        self._refill(now)
        self._level -= 1
        self.in_flight += 1

    def answered(self, now: float) -> None:
        """Note that a request was answered, or that no answer comes."""
        self._refill(now)
        self.in_flight -= 1

    def know(self, now: float, remaining: float) -> None:
        """Take notice of what Azure says is left in its bucket, in an answer to a request that is still in flight."""
        self._refill(now)
        self._level = min(self._level, max(0.0, remaining * self.share - (self.in_flight - 1)))

    def block(self, now: float, seconds: float) -> None:
        """Keep the bucket empty for some seconds, because Azure asked for it. Then all processes have one token."""
        self._refill(now)
        if now + seconds > self._blocked_until:
            self._blocked_until = now + seconds
            self._level = min(self._level, self.share)

    def blocked(self, now: float) -> float:
        """Return for how many seconds Azure still asks to wait."""
        return max(0.0, self._blocked_until - now)

    def resize(self, now: float, share: float) -> None:
        """Change the share. A larger share fills with its rate; tokens that do not fit into a smaller one are lost.

        What is missing stays missing: a smaller share does not bring back what a larger one took.
        """
        missing = self.missing(now)
        self.share = share
        self._level = min(self._level, max(0.0, self._size() - self.in_flight))
        self._beyond = max(0.0, missing - (self._size() - self._level))

    def fill(self, now: float, level: float) -> None:
        """Set the number of tokens, as far as they fit. Below 0, that many are missing beyond the share."""
        self._at = now
        self._level = max(0.0, min(level, self._size() - self.in_flight))
        self._beyond = max(0.0, -level)

    def missing(self, now: float) -> float:
        """Return how many tokens this process took that are not back yet."""
        self._refill(now)
        return max(0.0, self._size() - self._level) + self._beyond

    def _size(self) -> float:
        """Return how many tokens fit: at least one, or no request could ever be sent."""
        return max(1.0, self.burst * self.share) if self.share > 0 else 0.0

    def _refill(self, now: float) -> None:
        elapsed = now - max(self._at, self._blocked_until)
        if elapsed > 0:
            room = max(0.0, self._size() - self.in_flight - self._level)
            back = elapsed * self.rate * self.share
            self._level += min(room, back)
            self._beyond = max(0.0, self._beyond - max(0.0, back - room))
        self._at = max(self._at, now)
