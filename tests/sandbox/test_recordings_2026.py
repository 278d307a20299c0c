"""The sandbox compared with exchanges recorded up to September 2026: how many get the recorded status and shape.

The recordings are not part of this repository. Without them the test is skipped with a message.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.support.recorded import Outcome, Replay

ROOT = Path(__file__).resolve().parents[2]
EARLIER = Path(os.environ.get("AZURE_SANDBOX_RECORDINGS") or ROOT.parent / "shared" / "recordings")
FOLDER = EARLIER.with_name(f"{EARLIER.name}-2026")

pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(),
    reason=f"no recordings at {FOLDER}: they lie beside those that AZURE_SANDBOX_RECORDINGS names",
)

SAME_STATUS, SAME_SHAPE = 0.94, 0.76  # shares of the recorded exchanges that the sandbox models


async def test_the_sandbox_answers_like_the_recorded_service() -> None:
    outcomes: list[tuple[str, Outcome]] = []
    for path in sorted(FOLDER.glob("*.json")):
        found = await Replay(json.loads(path.read_text("utf-8"))).run()
        outcomes += [(path.stem, it) for it in found if it.modelled]
    status = sum(it.same_status for _, it in outcomes) / len(outcomes)
    shape = sum(it.same_shape for _, it in outcomes) / len(outcomes)
    unlike = "\n".join(
        f"{name} #{it.number} {it.method} {it.url}: {it.recorded} -> {it.status} {it.said} {' '.join(it.unlike)}"
        for name, it in outcomes
        if not it.same_shape
    )
    assert status >= SAME_STATUS, (status, unlike)
    assert shape >= SAME_SHAPE, (shape, unlike)
