"""A CA is kept only as long as nobody can have replaced it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from aks_entra.core.cluster import Identity
from aks_entra.core.verdict.verdict import Outcome
from aks_entra.probes.authorities import Authorities
from tests.support.executor_jobs import job_for
from tests.support.memory_model import Cluster, posture_of
from tests.support.memory_ports import World

READ, HANDSHAKE = "arm.certificate_authority", "kubernetes.handshake"


def nothing(_: World, __: Cluster) -> None:
    """Nobody writes."""


def tagged(_: World, cluster: Cluster) -> None:
    cluster.etag += 1


def rotated(_: World, cluster: Cluster) -> None:
    cluster.etag += 1
    cluster.generation += 1


def made_anew(_: World, cluster: Cluster) -> None:
    cluster.uid = "another"


def without_etag(_: World, cluster: Cluster) -> None:
    cluster.shows_etag = False


def rotated_without_etag(_: World, cluster: Cluster) -> None:
    cluster.shows_etag = False
    cluster.generation += 1


def out_of_reach(_: World, cluster: Cluster) -> None:
    cluster.etag += 1
    cluster.reachable = False


def without_address(_: World, cluster: Cluster) -> None:
    cluster.etag += 1
    cluster.fqdn = None


def busy(_: World, cluster: Cluster) -> None:
    cluster.state = "Updating"


@pytest.mark.parametrize(
    ("happens", "asked"),
    [
        (nothing, []),
        (tagged, [HANDSHAKE]),
        (rotated, [HANDSHAKE, READ]),
        (made_anew, [READ]),
        (without_etag, [HANDSHAKE]),
        (rotated_without_etag, [HANDSHAKE, READ]),
        (out_of_reach, [HANDSHAKE, READ]),
        (without_address, [READ]),
        (busy, [READ]),
    ],
)
async def test_a_kept_authority_is_never_older_than_a_write_that_could_have_replaced_it(
    happens: Callable[[World, Cluster], None], asked: list[str]
) -> None:
    world = World()
    cluster = world.add(identity=Identity.MANAGED)
    authorities = Authorities(world.process().ports)
    first = await authorities.of(posture_of(cluster))
    happens(world, cluster)
    world.calls.clear()

    assert await authorities.of(posture_of(cluster)) == cluster.ca

    assert world.calls == asked
    assert (first == cluster.ca) is (cluster.generation == 0 and not cluster.uid)


async def test_a_handshake_after_a_write_is_enough_until_the_next_write() -> None:
    world = World()
    cluster = world.add(identity=Identity.MANAGED)
    authorities = Authorities(world.process().ports)
    await authorities.of(posture_of(cluster))
    cluster.etag += 1
    world.calls.clear()

    for _ in range(3):
        await authorities.of(posture_of(cluster))

    assert world.calls == [HANDSHAKE]


async def test_an_authority_that_was_read_during_an_operation_is_not_kept() -> None:
    world = World()
    cluster = world.add(identity=Identity.MANAGED, state="RotatingClusterCertificates")
    authorities = Authorities(world.process().ports)
    await authorities.of(posture_of(cluster))  # ARM still shows the CA from before
    cluster.state, cluster.generation = "Succeeded", 1  # and its ETag changed only at the beginning
    world.calls.clear()

    assert await authorities.of(posture_of(cluster)) == cluster.ca

    assert world.calls == [READ]


async def test_a_migration_reads_the_authority_first_and_after_the_rotation_and_looks_just_before_it() -> None:
    world = World()
    world.add()
    job = await job_for(world)
    world.calls.clear()

    verdict = await world.process().executor.migrate(job)

    assert verdict.outcome is Outcome.VERIFIED, verdict.because
    reads = [at for at, call in enumerate(world.calls) if call == READ]
    rotation = world.calls.index("arm.rotate_certificates")
    assert len(reads) == 2
    assert reads[0] < world.calls.index("arm.enable_entra") < rotation < reads[1]
    assert world.calls[rotation - 1] == HANDSHAKE
