"""The Kubernetes versions that the service offers, and what each api-version adds to an answer."""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT = "1.35.7"
PATCHES = {
    "1.25": "1.25.6",
    "1.26": "1.26.6",
    "1.27": "1.27.9",
    "1.28": "1.28.15",
    "1.29": "1.29.15",
    "1.30": "1.30.14",
    "1.31": "1.31.13",
    "1.32": "1.32.9",
    "1.33": "1.33.5",
    "1.34": "1.34.1",
    "1.35": "1.35.7",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A minor version that regions offer, with its patch versions; a preview has no long-term support."""

    minor: str
    patches: tuple[str, ...]
    preview: bool = False
    default: bool = False


OFFERS = tuple(
    Offer(minor=it, patches=(PATCHES[it],), default=PATCHES[it] == DEFAULT)
    for it in sorted(PATCHES, key=lambda one: [int(part) for part in one.split(".")])[-4:]
)
NEWEST_API = "2026-08-01"
ETAGS_SINCE = "2026-03-01"
PREVIEW_ETAGS_SINCE = "2024-04-02"
RESOURCE_UIDS_SINCE = "2024-09-01"
KINDS_SINCE = "2025-01-01"
WORDS_SINCE = "2025-03-01"
UPDATE_WORDS = ("InProgress", "ProvisioningNetworkResources", "ProvisioningControlPlane", "ReconcilingDNS")
CREATION_WORDS = (*UPDATE_WORDS, "CreatingAgentPools", "ReconcilingAddons")
POOL_WORDS = ("CreatingAgentPool", "CreatingAgentPool: 0/{count} nodes completed")
"""The statuses that an operation shows before Succeeded, in the recorded order. A single poll may meet any of them."""


def patch_of(version: str) -> str:
    """Return the full version for `1.33`; a full version stays as it is, and "" gives the default."""
    if not version:
        return DEFAULT
    return PATCHES.get(version, version)


def number(version: str) -> tuple[int, ...]:
    """Return a version as integers, to compare it.

    Raises:
        ValueError: It is not a version.
    """
    return tuple(int(it) for it in version.split("."))


def has_etags(api_version: str) -> bool:
    """Return whether the answers of an api-version contain `eTag`: recorded for previews long before stable ones."""
    return api_version[:10] >= (PREVIEW_ETAGS_SINCE if api_version.endswith("-preview") else ETAGS_SINCE)


def omits_defaults(api_version: str) -> bool:
    """Return whether a stable api-version omits `enableAutoScaling` of a pool that does not scale by itself."""
    return not api_version.endswith("-preview") and api_version >= ETAGS_SINCE


def has_kind(api_version: str) -> bool:
    """Return whether the answers of an api-version contain `kind` and `resourceUID`."""
    return api_version[:10] >= KINDS_SINCE


def words_of(api_version: str, words: tuple[str, ...]) -> tuple[str, ...]:
    """Return the statuses of an operation that an api-version started; earlier versions show `InProgress` alone."""
    return words if api_version[:10] >= WORDS_SINCE else ()
