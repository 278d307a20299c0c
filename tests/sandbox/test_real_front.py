"""What needs no kube-apiserver: how a world that asks for one is refused where there is none, and told of."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from azure_sandbox.arm.spec import ClusterSpec
from azure_sandbox.cli import app
from azure_sandbox.clock import Clock
from azure_sandbox.cluster.real.binaries import Binaries
from azure_sandbox.cluster.real.instance import DidNotStart
from azure_sandbox.cluster.real.plant import Plant
from azure_sandbox.cluster.timeline import Timeline
from azure_sandbox.server import Sandbox
from azure_sandbox.world import WorldError, load_world
from tests.sandbox.arm_desk import SUBSCRIPTION, Desk

WORLD = """\
version: 1
subscriptions:
  - name: prod
    resourceGroups:
      - name: shop
        clusters: [{name: shop-01, controlPlane: real}]
"""


@pytest.fixture
def world(tmp_path: Path) -> Path:
    file = tmp_path / "world.yaml"
    file.write_text(WORLD)
    return file


def test_without_the_programs_the_world_is_refused_and_the_remedy_named(
    world: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    with pytest.raises(WorldError, match="KUBEBUILDER_ASSETS is not set; build them with `make control-plane`"):
        Sandbox(world)
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path / "nowhere"))
    with pytest.raises(WorldError, match=r"needs .*nowhere/etcd, which is no program"):
        Sandbox(world)
    outcome = CliRunner().invoke(app, ["exec", "--world", str(world), "--", "true"])
    assert outcome.exit_code == 2
    assert "`controlPlane: real` needs" in outcome.output


def test_what_the_world_says_holds_for_its_clusters_unless_they_say_otherwise(world: Path) -> None:
    assert load_world(world).wants_real_control_planes
    world.write_text(WORLD.replace("controlPlane: real", "controlPlane: builtin"))
    assert not load_world(world).wants_real_control_planes
    world.write_text("version: 1\ncontrolPlane: real\n")
    assert load_world(world).wants_real_control_planes
    world.write_text("version: 1\ncontrolPlane: imagined\n")
    with pytest.raises(WorldError, match="controlPlane"):
        load_world(world)


def test_webhooks_that_nobody_answers_are_refused_beside_a_real_control_plane(
    world: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("etcd", "kube-apiserver"):
        (tmp_path / name).symlink_to(sys.executable)
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    world.write_text(WORLD.replace("controlPlane: real", "controlPlane: real, webhooks: [{name: policy}]"))
    with pytest.raises(WorldError, match="shop-01: a real control plane calls its webhooks"):
        Sandbox(world)


def test_outside_of_a_sandbox_there_is_no_real_control_plane() -> None:
    with pytest.raises(ValueError, match="there is no real control plane here"):
        Desk(ClusterSpec(name="c", real=True))


async def test_programs_that_do_not_start_are_cited(tmp_path: Path) -> None:
    """A program that ends at once instead of etcd and of kube-apiserver."""
    broken = tmp_path / "program"
    broken.write_text("#!/bin/sh\necho this is not Kubernetes >&2\nexit 1\n")
    broken.chmod(0o755)
    clock = Clock()
    plant = Plant(Binaries(etcd=broken, kube_apiserver=broken), clock)
    desk = Desk()
    desk.arm.clusters.serve = plant.serve
    desk.arm.add_cluster(SUBSCRIPTION, "shop-weu", ClusterSpec(name="c", real=True))
    with pytest.raises(DidNotStart, match=r"failed 3 times: .*this is not Kubernetes"):
        await plant.start()
    assert not plant.pids


def test_a_timeline_waits_while_it_is_held() -> None:
    clock, seen, held = Clock.instant(), list[int](), [False, True]
    timeline = Timeline()
    for number in (1, 2):
        timeline.plan(clock.now(), "cause", lambda _, number=number: seen.append(number))  # type: ignore[misc]  # mypy does not infer a lambda with a default
    timeline.settle(clock.now(), held=lambda: held.pop(0))
    assert seen == [1]
    assert timeline.next is not None
    timeline.settle(clock.now())
    assert seen == [1, 2]
    assert timeline.next is None
