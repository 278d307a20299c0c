"""Lists of metadata alone, for a client that asks for `PartialObjectMetadataList`: no value of a secret is in them."""

from __future__ import annotations

from typing import Any

ASKED = "as=PartialObjectMetadataList"
META = "meta.k8s.io/v1"


def wants_metadata(accept: str) -> bool:
    """Whether the client's first choice is metadata without the objects."""
    return ASKED in accept.replace(" ", "").split(",")[0]


def metadata_list(page: list[dict[str, Any]], metadata: dict[str, Any]) -> dict[str, Any]:
    """A page of objects as the API server shows their metadata."""
    items = [{"kind": "PartialObjectMetadata", "apiVersion": META, "metadata": it["metadata"]} for it in page]
    return {"kind": "PartialObjectMetadataList", "apiVersion": META, "metadata": metadata, "items": items}
