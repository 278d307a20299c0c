"""How long the tests wait for what other processes do: generous, because a busy machine is no fault."""

from __future__ import annotations

from typing import Final

SOON: Final = 300
"""Seconds. An idle machine needs a tenth of them."""
