"""Documents that earlier versions wrote are read, and keep their digests.

`earlier/` holds documents as the code of that day wrote them: `2026-11-24-first` has the first format, `2026-11-24` the
last one before documents had a version and plans a digest of their findings. They are never written again.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aks_entra import documents

EARLIER = Path(__file__).parent / "earlier"
SAMPLES = sorted(EARLIER.glob("*/*.json"))
FORMS: dict[str, tuple[Callable[[str], Any], Callable[[Any], str]]] = {
    "plan": (documents.load_plan, documents.dump_plan),
    "report": (documents.load_report, documents.dump_report),
    "verdict": (documents.load_verdict, documents.dump_verdict),
    "baseline": (documents.load_baseline, documents.dump_baseline),
    "opening": (documents.load_opening, documents.dump_opening),
    "records": (documents.load_records, documents.dump_records),
}


def test_there_is_a_sample_of_every_document() -> None:
    assert {sample.stem for sample in SAMPLES} == set(FORMS)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda one: f"{one.parent.name}/{one.stem}")
def test_a_document_of_an_earlier_version_is_read_whole(sample: Path) -> None:
    text = sample.read_text(encoding="utf-8")
    load, dump = FORMS[sample.stem]
    written = json.loads(text)
    again = json.loads(dump(load(text)))

    assert again.get("digest") == written.get("digest"), "what was approved yesterday is still approved"
    assert missing(written, again) == []


def missing(written: Any, again: Any, at: str = "") -> list[str]:
    """Return the places of a document whose value was lost or changed."""
    if isinstance(written, dict) and isinstance(again, dict):
        return [place for name, value in written.items() for place in missing(value, again.get(name), f"{at}/{name}")]
    if isinstance(written, list) and isinstance(again, list) and len(written) == len(again):
        return [
            place
            for at_, pair in enumerate(zip(written, again, strict=True))
            for place in missing(*pair, f"{at}/{at_}")
        ]
    return [] if written == again else [at]


def test_only_a_plan_without_a_digest_of_its_findings_is_called_unsealed() -> None:
    plans = {sample.parent.name: documents.load_plan(sample.read_text()) for sample in EARLIER.glob("*/plan.json")}

    assert {name: plan.unsealed for name, plan in plans.items()} == {
        "2026-11-24-first": True,
        "2026-11-24": True,
        "2026-11-27": False,
    }
