"""Real control planes without kube-apiserver: refused worlds, programs that do not start, and the timeline."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from azure_sandbox.arm.containerservice.spec import ClusterSpec
from azure_sandbox.cli import app
from azure_sandbox.clock import Clock
from azure_sandbox.cluster.real.binaries import Binaries
from azure_sandbox.cluster.real.instance import DidNotStart
from azure_sandbox.cluster.real.plant import Plant
from azure_sandbox.cluster.timeline import Timeline
from azure_sandbox.server import Sandbox
from azure_sandbox.world.model import WorldError, load_world
from tests.support.arm_client import SUBSCRIPTION, ArmClient

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


def test_a_world_without_the_programs_is_refused_with_the_remedy(
    world: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    with pytest.raises(WorldError, match="KUBEBUILDER_ASSETS is not set; build them with `make control-plane`"):
        Sandbox(world)
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path / "nowhere"))
    with pytest.raises(WorldError, match=r"needs .*nowhere/etcd, which is not an executable file"):
        Sandbox(world)
    outcome = CliRunner().invoke(app, ["exec", "--world", str(world), "--", "true"])
    assert outcome.exit_code == 2
    assert "`controlPlane: real` needs" in outcome.output


def test_a_cluster_overrides_the_control_plane_of_the_world(world: Path) -> None:
    assert load_world(world).wants_real_control_planes
    world.write_text(WORLD.replace("controlPlane: real", "controlPlane: builtin"))
    assert not load_world(world).wants_real_control_planes
    world.write_text("version: 1\ncontrolPlane: real\n")
    assert load_world(world).wants_real_control_planes
    world.write_text("version: 1\ncontrolPlane: imagined\n")
    with pytest.raises(WorldError, match="controlPlane"):
        load_world(world)


def test_a_real_control_plane_with_declared_webhooks_is_refused(
    world: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("etcd", "kube-apiserver"):
        (tmp_path / name).symlink_to(sys.executable)
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    world.write_text(WORLD.replace("controlPlane: real", "controlPlane: real, webhooks: [{name: policy}]"))
    with pytest.raises(WorldError, match="shop-01: a real control plane calls its webhooks"):
        Sandbox(world)


def test_without_a_plant_a_real_control_plane_is_refused() -> None:
    with pytest.raises(ValueError, match="no real control plane is available"):
        ArmClient(ClusterSpec(name="c", real=True))


async def test_the_error_quotes_the_log_of_a_program_that_does_not_start(tmp_path: Path) -> None:
    """Both programs are replaced by a script that ends at once."""
    broken = tmp_path / "program"
    broken.write_text("#!/bin/sh\necho this is not Kubernetes >&2\nexit 1\n")
    broken.chmod(0o755)
    clock = Clock()
    plant = Plant(Binaries(etcd=broken, kube_apiserver=broken), clock)
    client = ArmClient()
    client.arm.clusters.serve = plant.serve
    client.arm.add_cluster(SUBSCRIPTION, "shop-weu", ClusterSpec(name="c", real=True))
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
