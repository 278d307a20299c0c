"""Random histories of plans, runs, approvals, forgeries and openings at two clusters: every write was approved.

A failure prints its seed and the history that led to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from tests.flows.approved_writes import writes_in
from tests.flows.conftest import WORLD
from tests.flows.lossy_server import lossy_server
from tests.flows.signed_history import SignedHistory
from tests.flows.signers import ACCEPTED
from tests.flows.write_clusters import GROUPS
from tests.flows.write_history import HARMS, LOSSES, History, chance

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.flows.conftest import PrefectStack, Until
    from tests.flows.lossy_server import LossyServer

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize("seed", range(3))
async def test_nothing_is_written_without_an_approval_in_a_random_history(
    stack: PrefectStack, until: Until, seed: int
) -> None:
    with stack.inside():
        await History(stack=stack, until=until, chance=chance(seed)).live_through(6)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2000, 2012))
async def test_nothing_is_written_without_an_approval_where_the_database_is_lost_at_random(
    lossy: LossyServer, until: Until, seed: int
) -> None:
    with lossy.stack.inside():
        await History(stack=lossy.stack, until=until, chance=chance(seed), lossy=lossy).live_through(8)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(1000, 1100))
async def test_nothing_is_written_without_an_approval_in_a_hundred_random_histories(
    stack: PrefectStack, until: Until, seed: int
) -> None:
    with stack.inside():
        await History(stack=stack, until=until, chance=chance(seed)).live_through(10)


SIGNED_BY_TWO = "signed-by-two"
FORGED = (
    *("plan", "start", "dana signs", "dana signs", "seizes: alters"),
    *("start", "makes up sign-ins with Entra's key id", "dana signs", "glass signs"),
    *("seizes: replays",),
)
"""Forged signatures and the same person twice open nothing; two people open the first stage, and not the second one."""


async def test_only_what_two_people_signed_is_written_whatever_an_attacker_stores(
    stack: PrefectStack, until: Until
) -> None:
    with stack.inside():
        history = SignedHistory(stack=stack, until=until, chance=chance(1), group=SIGNED_BY_TWO)
        await history.happen_in_turn(FORGED)
        canary, rest = (one.cluster.key for one in history.plans[0].clusters)
        written = {one.cluster for one in writes_in(stack.exchanges, SIGNED_BY_TWO)}
        assert canary in written, "\n".join(history.events)
        assert rest not in written, "\n".join(history.events)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def signing(tmp_path_factory: pytest.TempPathFactory, python: Path, database: Path) -> AsyncIterator[LossyServer]:
    """Yield a server with a store of records, whose worker begins nothing that its approvers did not sign."""
    world = (WORLD + GROUPS).replace("users:\n", "users:\n  - {name: mallory, upn: mallory@contoso.com}\n")
    folder = tmp_path_factory.mktemp("signing")
    async with lossy_server(world, folder, python, database, AKS_ENTRA_APPROVERS=ACCEPTED) as server:
        yield server


@pytest.mark.long
@pytest.mark.parametrize("seed", range(3000, 3020))
async def test_only_what_two_people_signed_is_written_where_the_database_is_lost_at_random(
    signing: LossyServer, until: Until, seed: int
) -> None:
    with signing.stack.inside():
        await SignedHistory(stack=signing.stack, until=until, chance=chance(seed), lossy=signing).live_through(12)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(4000, 4010))
async def test_only_what_two_people_signed_is_written_where_records_come_to_harm(
    signing: LossyServer, until: Until, seed: int
) -> None:
    with signing.stack.inside():
        history = SignedHistory(
            stack=signing.stack, until=until, chance=chance(seed), lossy=signing, losses=(*LOSSES, *HARMS)
        )
        await history.live_through(12)
