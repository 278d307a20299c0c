"""Each runbook works with its listed Graph permissions, and names any one that is missing."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from aks_entra.access import grants
from aks_entra.access import review as access_review
from aks_entra.access.conditional_access import PolicyRequest
from aks_entra.core.access.conditional_access import Control
from aks_entra.core.access.grants import Approval, Level
from aks_entra.core.access.pim import ActivationPolicy, Kind
from aks_entra.errors import Refused
from aks_entra.wiring import Session
from tests.contract.access_engines import FLOWS, LISTED, ROOT, granter, jit, rules
from tests.contract.small_world import DANA, READER, UNLOCKED, Opener, cluster


async def grant(session: Session) -> None:
    what = (READER["appId"], Level.READER, "default", None)
    place = cluster("azure-rbac", "pay-weu")
    length = timedelta(hours=1)
    for to in (READER["appId"], DANA, "aks-admins"):
        ask = await grants.ask_for(session.ports, place, (to, *what[1:]), length, "CHG-1")
        given = await granter(session).give(ask, Approval(digest=ask.digest, approver="erin"))
        await granter(session).end(given.grant)


async def review(session: Session) -> None:
    posture = await session.ports.arm.cluster(cluster("guarded"))
    found = await access_review.review(session.ports, session.access, posture)
    if any("unknown" in one.who for one in found) or not any("dana" in one.who for one in found):
        raise Refused("something could not be read", remedy="grant what is listed")
    await session.access.pim.memberships(group_id=posture.admin_group_ids[0])


async def make_group(session: Session) -> None:
    await jit(session).create_group("jit", "jit", "", (DANA,), ActivationPolicy())


async def assign(session: Session) -> None:
    for kind, who in ((Kind.ELIGIBLE, DANA), (Kind.ACTIVE, READER["id"])):
        await jit(session).assign("aks-admins", who, kind, timedelta(days=1), "on call")


async def apply(session: Session) -> None:
    request = PolicyRequest(name="aks", groups=("aks-admins",), controls=(Control.MFA,), break_glass=(DANA,))
    await rules(session).apply(request, enforce=False)


WORK: dict[str, Callable[[Session], Awaitable[None]]] = {
    "grant-access": grant,
    "review-access": review,
    "create-group": make_group,
    "access assign": assign,
    "apply-conditional-access": apply,
}


def world(permissions: list[str]) -> dict[str, Any]:
    held = f"graphPermissions: [{', '.join(permissions)}]"
    return {"world": re.sub(r"graphPermissions: \[[^]]*\]", held, UNLOCKED, count=1)}


ENOUGH = [pytest.param(world(LISTED[name]), name, id=name) for name in WORK]
LESS = [
    pytest.param(world([one for one in LISTED[name] if one != taken]), name, taken, id=f"{name} without {taken}")
    for name in WORK
    for taken in LISTED[name]
]


@pytest.mark.parametrize("name", FLOWS)
def test_each_listed_flow_exists(name: str) -> None:
    assert (ROOT / "flows" / f"{name.replace('-', '_')}.py").is_file()


@pytest.mark.usefixtures("box")
@pytest.mark.parametrize(("box", "name"), ENOUGH, indirect=["box"])
async def test_the_listed_permissions_are_enough(opened: Opener, name: str) -> None:
    async with opened() as session:
        await WORK[name](session)


@pytest.mark.usefixtures("box")
@pytest.mark.parametrize(("box", "name", "taken"), LESS, indirect=["box"])
async def test_a_missing_permission_is_named(opened: Opener, name: str, taken: str) -> None:
    async with opened() as session:
        with pytest.raises(Refused) as refused:
            await WORK[name](session)
    if name != "review-access":  # a row of the review names it, and the run fails
        assert taken in refused.value.remedy, refused.value
