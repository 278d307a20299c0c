"""Changes of deployments, and of automations that notify people, as lines for a terminal and as a JSON document."""

from __future__ import annotations

import difflib
import io
import json
from collections.abc import Iterable, Iterator
from typing import Any, Final

from rich.console import RenderableType
from ruamel.yaml import YAML

from aks_entra.core.deployments import Automation, Change, ChangeKind, Deployment, Difference, summary
from aks_entra.report.terminal import safe_line

_MARKS: Final = {
    ChangeKind.CREATE: ("+", "green"),
    ChangeKind.UPDATE: ("~", "yellow"),
    ChangeKind.REMOVE: ("-", "red"),
    ChangeKind.NOTHING: ("=", "dim"),
}
_JSON: Final = frozenset({"fleet", "job_variables"})
"""Fields of a deployment that are JSON. People read them as YAML."""
_AROUND: Final = 1  # lines of the fleet that are shown around a change


def render(changes: Iterable[Change]) -> Iterator[RenderableType]:
    """Yield the lines that say what happens to each deployment and automation, with each value before and after."""
    changes = tuple(changes)
    for change in changes:
        mark, style = _MARKS[change.kind]
        yield safe_line(f"{mark} {change.name}: {_words(change)}", style)
        for one in change.differences:
            yield from _difference(one)
    yield safe_line(summary(changes))


def document(changes: Iterable[Change], *, applied: bool, pages: dict[str, str]) -> dict[str, Any]:
    """Return the changes for programs. `pages`: the pages in Prefect's UI, by name."""
    return {
        "kind": "aks-entra/deployments",
        "applied": applied,
        "changes": [
            {
                "automation" if change.of_automation else "deployment": change.name,
                "change": str(change.kind),
                "page": pages.get(change.name, ""),
                "differences": [
                    {"field": one.field, "before": _value(one.field, one.before), "after": _value(one.field, one.after)}
                    for one in change.differences
                ],
            }
            for change in changes
        ],
    }


def _words(change: Change) -> str:
    if change.kind is ChangeKind.REMOVE:
        why = "--notify does not ask for it" if change.of_automation else "the file no longer has it"
        return f"remove, {why}"
    if change.kind is ChangeKind.UPDATE or change.wanted is None:
        return str(change.kind)
    said = f"{change.kind}, {_starts(change.wanted)}"
    if isinstance(change.wanted, Deployment) and change.kind is ChangeKind.CREATE:
        said += f", in pool {change.wanted.pool} (queue {change.wanted.queue})"
    return said


def _starts(one: Deployment | Automation) -> str:
    """Say what starts a deployment, or whom an automation tells."""
    if isinstance(one, Automation):
        return f"tells {' and '.join(one.blocks)}" if one.blocks else "tells nobody"
    ways = [f"runs at {one.schedule}"] if one.schedule else []
    ways += [f"starts on the event {one.event}"] if one.event else []
    return " and ".join(ways) or "started by hand"


def _difference(one: Difference) -> Iterator[RenderableType]:
    if one.field != "fleet":
        yield safe_line(f"    {one.field.replace('_', ' ')}: {one.before or 'none'} → {one.after or 'none'}")
        return
    yield safe_line("    fleet:")
    lines = difflib.unified_diff(_yaml(one.before), _yaml(one.after), lineterm="", n=_AROUND)
    for line in lines:
        if not line.startswith(("---", "+++", "@@")):
            yield safe_line(f"      {line}", {"+": "green", "-": "red"}.get(line[:1], "dim"))


def _yaml(text: str) -> list[str]:
    stream = io.StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.dump(json.loads(text), stream)
    return stream.getvalue().splitlines()


def _value(field: str, text: str) -> Any:
    return json.loads(text) if field in _JSON else text
