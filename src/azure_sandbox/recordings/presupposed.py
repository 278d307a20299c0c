"""What a recording presupposes of the service on its day: the versions of Kubernetes and of its own API."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

from azure_sandbox.arm.containerservice.versions import DEFAULT, OFFERS, Offer, number
from azure_sandbox.arm.service import ArmSettings

Document = dict[str, Any]
REFUSED = 400  # the first status of a refusal


def settings_of(exchanges: list[Document]) -> ArmSettings:
    """Return the settings with which a sandbox answers like the service of the recording's day."""
    return ArmSettings(
        default_version=_default(exchanges), offers=_offers(exchanges), accepted_versions=_accepted(exchanges)
    )


def _default(exchanges: list[Document]) -> str:
    for it in exchanges:
        answer = it["response"]
        properties = answer.get("properties") if isinstance(answer, dict) else None
        if isinstance(properties, dict) and properties.get("currentKubernetesVersion"):
            return str(properties["currentKubernetesVersion"])
    return DEFAULT


def _offers(exchanges: list[Document]) -> tuple[Offer, ...]:
    """Return the Kubernetes versions that a region offered on that day; those of today if the recording lists none."""
    for it in exchanges:
        values = it["response"].get("values") if isinstance(it["response"], dict) else None
        if "/kubernetesversions" in it["url"].lower() and isinstance(values, list):
            return tuple(
                Offer(
                    minor=one["version"],
                    patches=tuple(sorted(one["patchVersions"], key=number)),
                    preview=bool(one.get("isPreview")),
                    default=bool(one.get("isDefault")),
                )
                for one in values
            )
    return OFFERS


def _accepted(exchanges: list[Document]) -> frozenset[str]:
    """Return the api-versions that the service knew on the day of a recording; previews have ended since."""
    queries = (urlsplit(it["url"]).query for it in exchanges if it["status"] < REFUSED)
    return frozenset(dict(parse_qsl(it)).get("api-version", "") for it in queries)
