"""Label and field selectors."""

from __future__ import annotations

import re
from typing import Any

from azure_sandbox.cluster.status import bad_request

SET = re.compile(r"^(?P<key>\S+)\s+(?P<operator>in|notin)\s+\((?P<values>[^)]*)\)$")


def _terms(selector: str) -> list[str]:
    """Split a selector at the commas outside of parentheses."""
    return [it.strip() for it in re.split(r",(?![^(]*\))", selector) if it.strip()]


def _label(labels: dict[str, str], term: str) -> bool:
    if found := SET.match(term):
        values = {it.strip() for it in found["values"].split(",")}
        inside = labels.get(found["key"]) in values
        return inside if found["operator"] == "in" else not inside
    for operator in ("!=", "==", "="):
        if operator in term:
            key, _, value = term.partition(operator)
            return (labels.get(key.strip()) == value.strip()) is not (operator == "!=")
    if " " in term:
        raise bad_request(f"unable to parse requirement: {term}")
    return term[1:] not in labels if term.startswith("!") else term in labels


def _field(document: dict[str, Any], term: str) -> bool:
    operator = "!=" if "!=" in term else "==" if "==" in term else "="
    path, found, value = term.partition(operator)
    allowed = {"metadata.name", "metadata.namespace", "spec.nodeName", "status.phase", "type", "spec.signerName"}
    if not found or (path not in allowed and not path.startswith("involvedObject.")):
        raise bad_request(f'field label not supported: "{path}"')
    held: Any = document
    for step in path.split("."):
        held = held.get(step, "") if isinstance(held, dict) else ""
    return (held == value) is not (operator == "!=")


def matches(document: dict[str, Any], labels: str, fields: str) -> bool:
    """Return whether an object meets both selectors. Raises a 400 for an invalid selector."""
    held = document["metadata"].get("labels") or {}
    return all(_label(held, it) for it in _terms(labels)) and all(_field(document, it) for it in _terms(fields))
