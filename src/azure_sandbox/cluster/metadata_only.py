"""Lists of metadata for clients that ask for `PartialObjectMetadataList`. They contain no value of a secret."""

from __future__ import annotations

from typing import Any

ASKED = "as=PartialObjectMetadataList"
META = "meta.k8s.io/v1"


def wants_metadata(accept: str) -> bool:
    """Return whether the client's first choice is metadata only."""
    return ASKED in accept.replace(" ", "").split(",")[0]


def metadata_list(page: list[dict[str, Any]], metadata: dict[str, Any]) -> dict[str, Any]:
    """Return a page of objects as `PartialObjectMetadataList`."""
    items = [{"kind": "PartialObjectMetadata", "apiVersion": META, "metadata": it["metadata"]} for it in page]
    return {"kind": "PartialObjectMetadataList", "apiVersion": META, "metadata": metadata, "items": items}
