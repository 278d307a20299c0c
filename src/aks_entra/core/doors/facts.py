"""The facts from which doors are weighed. A fact that could not be read is `Unread` and says why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from aks_entra.core.cluster import Posture


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """A fact that could not be read: why, and the right or the change that would make it readable."""

    why: str
    remedy: str = ""


NOBODY_LOOKED: Final = Unread(why="nobody looked")
"""A fact that this run did not ask for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JwtAuthenticator:
    """One of ARM's `jwtAuthenticators`: an issuer of tokens that the API server accepts as well as Entra ID's."""

    name: str
    issuer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorFacts:
    """Everything that was read about the doors of one cluster."""

    posture: Posture | Unread = NOBODY_LOOKED
    jwt_authenticators: tuple[JwtAuthenticator, ...] | Unread = NOBODY_LOOKED
    managed_namespaces: tuple[str, ...] | Unread = NOBODY_LOOKED  # their names
