"""Commands name one bad file, subscription or cluster, and show and plan the rest."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.command_line import serving, typed
from tests.contract.small_world import ADMINS, WORLD

pytestmark = pytest.mark.usefixtures("quick")
FLEET = f"""\
version: 1
name: guarded
clusters: [{{subscription: prod-eu, resource_group: shop-weu, name: guarded}}]
target: {{admin_groups: [{{id: {ADMINS}}}]}}
"""


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[dict[str, str]]:
    yield from serving(tmp_path, WORLD)


def test_one_bad_part_is_named_and_the_rest_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("evidence").mkdir()
    Path("evidence/torn.json").write_text("!!")
    Path("evidence/newer.json").write_text('{"kind": "aks-entra/report", "version": 2, "report": {}}')
    Path("fleet.yaml").write_text(FLEET)

    found = typed("inventory", "--subscription", "prod-eu", "--subscription", "none-such", "-o", "json")
    assert found.exit_code == 1, found.output
    assert len(json.loads(found.stdout)["clusters"]) == 5
    assert "Not shown: --subscription: no subscription is named 'none-such'" in found.stderr
    assert "evidence/torn.json cannot be read: " in found.stderr
    assert "evidence/newer.json cannot be read: this report was written by a newer version" in found.stderr

    plan = typed("plan", "fleet.yaml", "--out", "plan.json")
    assert plan.exit_code == 0, plan.output
    assert "evidence/torn.json cannot be read: " in plan.stderr
    assert "Expected time\n  stage all  " in plan.stdout

    back = typed("rollback", "plan.json", "--out", "back.json")
    assert back.exit_code == 0, back.output
    assert "evidence/torn.json cannot be read: " in back.stderr

    alone = typed("inventory", "--subscription", "none-such")
    assert alone.exit_code == 2
    assert "no subscription is named 'none-such'" in alone.stderr
