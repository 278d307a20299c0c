"""The pipelines of deployments/: their plan step, run as the pipeline runs it, in a sandbox."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.command_line import serving
from tests.contract.small_world import UNLOCKED
from tests.support.pipelines import PIPELINES, step

FLEET = """\
version: 1
name: {name}
clusters: [{{subscription: {subscription}, resource_group: shop-weu, name: guarded}}]
target: {{admin_groups: [{{name: aks-admins}}]}}
"""


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    yield from serving(tmp_path_factory.mktemp("world"), UNLOCKED)


def planned(pipeline: str, folder: Path, sandbox: dict[str, str], **fleets: str) -> subprocess.CompletedProcess[str]:
    """Run the plan step of a pipeline in a folder with fleet files. `fleets`: a subscription for each name."""
    (folder / "fleets").mkdir()
    for name, subscription in fleets.items():
        (folder / "fleets" / f"{name}.yaml").write_text(FLEET.format(name=name, subscription=subscription))
    return subprocess.run(
        ["/bin/bash", "--noprofile", "--norc", "-c", step(pipeline, "Plan")],
        cwd=folder,
        env={**os.environ, **sandbox, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_changes_do_not_fail_a_pull_request_and_each_fleet_is_in_the_comment(
    pipeline: str, tmp_path: Path, sandbox: dict[str, str]
) -> None:
    ended = planned(pipeline, tmp_path, sandbox, first="prod-eu", second="prod-eu")
    assert ended.returncode == 0, ended.stderr
    assert "fleets/second.yaml: there are changes" in ended.stdout
    assert [line for line in (tmp_path / "plan.md").read_text().splitlines() if line.startswith("# ")] == [
        "# Plan of first",
        "# Plan of second",
    ]


def test_a_fleet_that_cannot_be_planned_fails_the_pull_request(tmp_path: Path, sandbox: dict[str, str]) -> None:
    ended = planned(PIPELINES[0], tmp_path, sandbox, wrong="prod-us")
    assert ended.returncode == 1
    assert "fleets/wrong.yaml:3: clusters[0].subscription: no subscription is named 'prod-us'" in ended.stderr


def test_both_pipelines_plan_and_deploy_alike() -> None:
    assert {step(pipeline, "Plan") for pipeline in PIPELINES} == {step(PIPELINES[0], "Plan")}
    assert {step(pipeline, "Deploy") for pipeline in PIPELINES} == {step(PIPELINES[0], "Deploy")}
