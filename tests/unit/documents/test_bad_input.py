"""Saved plans and reports that somebody touched, cut off or made up: one error that says where, or the same meaning.

Every place of a real document is spoilt in every way of a list: what is not refused must still have its digest.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from aks_entra import documents
from aks_entra.core.planning.plan import FleetPlan
from aks_entra.core.verdict.report import FleetReport
from aks_entra.errors import Refused
from tests.support.report_samples import every_verdict, fleet_plan, planned, posture

Place = tuple[str | int, ...]
GONE: Final = object()
SPOILT: dict[str, Any] = {
    "a number": 17,
    "a fraction": 1.5,
    "true": True,
    "null": None,
    "an empty list": [],
    "a list in a list": [[]],
    "an empty mapping": {},
    "no text": "",
    "other text": "x y",
    "gone": GONE,
}
PLAN = documents.dump_plan(fleet_plan(("all", (planned(posture("shop-01")),))))
REPORT = documents.dump_report(every_verdict())
KINDS: dict[str, tuple[str, Callable[[str], FleetPlan | FleetReport]]] = {
    "plan": (PLAN, documents.load_plan),
    "report": (REPORT, documents.load_report),
}


def places(value: Any, at: Place = ()) -> Iterator[Place]:
    """Every place in a JSON document, below its top."""
    if at:
        yield at
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inside:
        yield from places(one, (*at, key))


def spoil(document: Any, at: Place, wrong: Any) -> Any:
    changed = copy.deepcopy(document)
    target = changed
    for key in at[:-1]:
        target = target[key]
    if wrong is GONE:
        del target[at[-1]]
    else:
        target[at[-1]] = wrong
    return changed


def refusal(text: str, load: Callable[[str], FleetPlan | FleetReport]) -> str:
    """The one error; empty when it was read."""
    try:
        load(text)
    except Refused as error:
        refused = error
    else:
        return ""
    assert refused.remedy
    assert "\n" not in refused.message
    return refused.message


@pytest.mark.parametrize("way", SPOILT)
@pytest.mark.parametrize("kind", KINDS)
def test_a_spoilt_place_is_named_or_changes_nothing(kind: str, way: str) -> None:
    text, load = KINDS[kind]
    document, digest = json.loads(text), load(text).digest
    refused = 0
    for at in places(document):
        changed = json.dumps(spoil(document, at, SPOILT[way]))
        message = refusal(changed, load)
        if not message:
            assert load(changed).digest == digest, at
            continue
        refused += 1
        place = [str(part) for part in at if not isinstance(part, int)]
        named = place[-1] in message or f"is no {kind}" in message or "was changed: its content" in message
        assert named or any(part in message for part in place[1:]), (at, message)
    assert refused > (15 if way == "gone" else 40)


@pytest.mark.parametrize("kind", KINDS)
def test_a_document_that_was_cut_off_is_no_document(kind: str) -> None:
    text, load = KINDS[kind]
    for length in range(0, len(text) - 1, 97):
        assert f"this is no {kind}: it is not JSON" in refusal(text[:length], load), length


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "text",
    ["", "null", "[]", "17", '"text"', "{}", '{"kind": "aks-entra/verdict"}', "\x00", "{" * 5000, "[" * 100_000],
    ids=["nothing", "null", "list", "number", "text", "empty", "another kind", "NUL", "braces", "brackets"],
)
def test_what_is_something_else_is_said_to_be(kind: str, text: str) -> None:
    assert f"this is no {kind}" in refusal(text, KINDS[kind][1])


def test_a_packed_document_is_never_guessed_at() -> None:
    packed = documents.pack(PLAN)
    for damaged in ("", "!", packed[:-8], packed[4:], packed.replace("A", "B"), "AAAA", packed + "=", "é"):
        with pytest.raises(Refused, match="damaged"):
            documents.unpack(damaged)


def test_other_documents_are_read_as_strictly() -> None:
    for load in (documents.load_verdict, documents.load_baseline):
        for text in ("", "[]", PLAN, json.dumps({"kind": "aks-entra/verdict", "verdict": {"outcome": "fine"}})):
            with pytest.raises(Refused):
                load(text)
