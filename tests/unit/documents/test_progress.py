"""The progress of a batch as a text, and back."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from aks_entra.core.rollout.progress import BatchProgress
from aks_entra.core.verdict.verdict import Outcome
from aks_entra.documents import pack
from aks_entra.documents.progress import dump_progress, load_progress
from aks_entra.errors import Refused
from tests.support.progress_samples import at_step, clusters, ended, thousand, waiting

ONE, TWO, THREE = clusters(3)
SAMPLE = BatchProgress(
    plan="sha256:1a2b",
    clusters=(ended(ONE, Outcome.FAILED, "no quota"), at_step(TWO, 4, seconds=3), waiting(THREE)),
)


def test_progress_is_read_as_it_was_written() -> None:
    assert load_progress(dump_progress(SAMPLE)) == SAMPLE


def test_a_text_that_no_database_takes_is_written_without_the_halves_of_characters() -> None:
    odd = replace(SAMPLE, clusters=(ended(ONE, Outcome.FAILED, "half \ud800"),))
    assert load_progress(dump_progress(odd)).clusters[0].because == "half \ufffd"


def test_the_progress_of_a_thousand_clusters_is_small() -> None:
    _, found = thousand()
    assert len(pack(dump_progress(BatchProgress(plan="sha256:1a2b", clusters=found)))) < 40_000


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "aks-entra/plan"},
        {"version": 2},
        {"version": None},
        {"clusters": None},
        {"clusters": [["a", "b"]]},
        {"clusters": [["a", "b", "fine", "", False, []]]},
        {"clusters": [["a", "b", None, "", False, [["look", "", "asleep", 0]]]]},
    ],
)
def test_progress_that_is_malformed_or_newer_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(Refused):
        load_progress(json.dumps({**json.loads(dump_progress(SAMPLE)), **change}))


@pytest.mark.parametrize("text", ["", "[]", "{}", "nonsense"])
def test_a_text_that_is_no_progress_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        load_progress(text)
